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
    // More than one transaction takes, so that it is cut into batches of one each.
    ground = new MergeGround(servers, 230, 20_000);
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
    assert.is(ground.doubtful, 0, 'of a batch that is one transaction the server says what came of it');
  });
}

test('kill -9 inside the transaction of a merge, then of its revert: the same bytes after a rerun', async () => {
  await ground.fill();
  for (const command of ['apply', 'revert'] as const) {
    await ground.dieInTransaction(command);
    await ground.rerun(command, 'its commit');
  }
  assert.is(ground.doubtful, 0);
});

test('kill -9 between the transactions of one batch: what is committed is doubtful, and a revert leaves that alone', async () => {
  await ground.fill();
  await ground.dieBetweenTransactions('apply');
  await ground.rerun('apply', 'between two transactions');
  assert.ok(ground.doubtful > 0, 'nothing was committed before the kill');
  await ground.rerun('revert', 'no moment');
});

test.run();
