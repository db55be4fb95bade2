/** A night on which things are in the way, with 9,000 documents; and once more with every step killed. `npm run faults` has longer ones. */
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { Night } from './night.ts';

let night: Night;
test.before(async () => {
  night = await Night.begin({ customers: 600, deleted: 100 });
});
test.after(() => night.end());

const SLOW = { deadlineMs: 240_000 };

test(
  'three runs with something in the way end verified, and are taken back from the targets alone',
  () => night.undisturbed(),
  SLOW,
);

test(
  'the same with every step that writes killed at a random moment',
  async () => {
    const kills = await night.disturbed(14);
    assert.ok(kills.length > 2, JSON.stringify(kills));
  },
  SLOW,
);

test.run();
