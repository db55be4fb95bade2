/**
 * Random writes on a real server: following its oplog gives its documents, byte for byte. `npm run differential -- --oplog 100000` sends
 * more.
 */
import * as assert from 'uvu/assert';
import { runOplogCampaign } from '../differential/oplog-campaign.ts';
import { test } from '../harness.ts';
import { type ReplicaSet, startReplicaSet } from '../lab/replica-set.ts';

let set: ReplicaSet;
test.before(async () => {
  set = await startReplicaSet();
});
test.after(() => set.stop());

test('4000 random writes: any earlier state, rolled to any later one, is what the server had', async () => {
  const result = await runOplogCampaign(set, { seed: 1, updates: 4000, rounds: 5 });
  assert.is(result.mismatches.length, 0, `\n${result.mismatches.slice(0, 5).join('\n\n')}`);
  assert.ok((result.kinds['u diff'] ?? 0) > 1000, JSON.stringify(result.kinds));
  assert.ok((result.kinds['u whole'] ?? 0) > 200, JSON.stringify(result.kinds));
  assert.ok((result.kinds['applyOps'] ?? 0) > 20, JSON.stringify(result.kinds));
});

test.run();
