/** The short form of `npm run faults -- --merge-kills`: a merge and its revert die at each moment that matters, and are run again. */

import * as assert from 'uvu/assert';
import type { CheckpointName } from '../../src/run.ts';
import { test } from '../harness.ts';
import { MergeGround } from './merge-campaign.ts';
import { type OwnServers, ownServers } from './own-servers.ts';

let servers: OwnServers;
let ground: MergeGround;

test.before(
  async () => {
    servers = await ownServers();
    ground = new MergeGround(servers, 300);
    await ground.measure();
  },
  { deadlineMs: 120_000 },
);
test.after(async () => {
  await ground.bench.close();
  await servers.stop();
});

const MOMENTS: readonly CheckpointName[] = [
  'batch-compared',
  'batch-intended',
  'batch-written',
  'batch-recorded',
];

for (const dieAt of MOMENTS) {
  test(`kill -9 at ${dieAt} of a merge, then of its revert: the same bytes after a rerun`, async () => {
    await ground.fill();
    for (const command of ['apply', 'revert'] as const) {
      const { died } = await ground.die(command, { dieAt });
      assert.ok(died);
      await ground.rerun(command, dieAt);
    }
  });
}

test('kill -9 inside the transaction of a merge, then of its revert: the same bytes after a rerun', async () => {
  await ground.fill();
  for (const command of ['apply', 'revert'] as const) {
    await ground.dieInTransaction(command);
    await ground.rerun(command, 'its commit');
  }
});

test.run();
