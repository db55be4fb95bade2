import * as assert from 'uvu/assert';
import { Documents } from '../../src/bson/documents.ts';
import { readAccepted } from '../../src/ledger/accepted.ts';
import { journalKeyOf } from '../../src/ledger/layout.ts';
import { type Ledger, openLedger } from '../../src/ledger/ledger.ts';
import { numbered } from '../apply/documents.ts';
import { openWorkbench, type Workbench } from '../apply/workbench.ts';
import { suite } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';

const test = suite('what is accepted in a ledger');
let lab: Lab;
let bench: Workbench;
let ledger: Ledger;

const KEY = { plan: 'p', selection: 'd'.repeat(64) };
const ANNA = { user: 'anna', host: 'ops-1' };

test.before(async () => {
  lab = await openLab();
});
test.before.each(async () => {
  bench = openWorkbench(lab);
  ledger = openLedger(await bench.target('staging'));
});
test.after.each(() => bench.close());
test.after(() => lab.close());

const RUN = Documents.of(numbered(0, 10));
const part = (collection: string, ordinals: readonly number[], reason = 'seen') => ({
  collection,
  as: 'refused' as const,
  reason,
  ids: ordinals.map((ordinal) => RUN.id(ordinal % 10)),
  ordinals,
});
const accepting = (fencing: number) => ({ kind: 'accepted' as const, key: KEY, fencing, actor: ANNA });
const applying = (fencing: number) => ({ ...accepting(fencing), kind: 'applied' as const });
const read = async () => readAccepted((await bench.target('staging')).reader, KEY);

test('documents are known by their places, with who left them out and why', async () => {
  await ledger.accepted.write(accepting(3), 0, part('sessions', [0, 7, 70_000]));
  await ledger.accepted.write(accepting(3), 1, part('customers', [2], 'its e-mail is taken'));
  // Another run of the same database.
  const other = { ...KEY, plan: 'q' };
  await ledger.accepted.write({ ...accepting(3), key: other }, 0, part('sessions', [1]));
  const accepted = await read();
  const has = [0, 1, 7, 8, 69_999, 70_000, 70_001].filter((ordinal) => accepted.has('sessions', ordinal));
  assert.equal(has, [0, 7, 70_000]);
  assert.ok(accepted.has('customers', 2) && !accepted.has('orders', 2));
  assert.is(accepted.accepted, 4);
  const [sessions, customers] = accepted.sums;
  assert.equal([sessions?.count, sessions?.by.user, customers?.reason], [3, 'anna', 'its e-mail is taken']);
  assert.ok(Math.abs((sessions?.by.at.getTime() ?? 0) - Date.now()) < 60_000, 'by the server’s clock');
});

test('the digest says which documents, whoever accepted them in which order', async () => {
  assert.is((await read()).digest, undefined);
  await ledger.accepted.write(accepting(1), 0, part('a', [1, 2]));
  await ledger.accepted.write(accepting(2), 0, part('b', [5]));
  const { digest } = await read();
  assert.match(digest ?? '', /^[0-9a-f]{64}$/);
  await ledger.accepted.withdraw({ key: KEY, actor: ANNA });
  assert.is((await read()).digest, undefined);
  assert.ok((await read()).isEmpty);
  await ledger.accepted.write(accepting(3), 0, part('b', [5], 'once more'));
  await ledger.accepted.write(accepting(3), 1, part('a', [2]));
  await ledger.accepted.write({ ...accepting(4), actor: { ...ANNA, user: 'ben' } }, 0, part('a', [1]));
  assert.is((await read()).digest, digest);
});

test('of what applies left out only the last one counts, also while an older one is still there', async () => {
  await ledger.accepted.write(applying(1), 0, part('a', [1, 2]));
  await ledger.accepted.write(applying(4), 0, part('a', [2]));
  const accepted = await read();
  assert.equal([accepted.has('a', 1), accepted.has('a', 2), accepted.accepted], [false, true, 0]);
  assert.is(accepted.digest, undefined, 'what a class came to at apply is no acceptance');
  await ledger.accepted.dropAppliedBefore(KEY, 4);
  await ledger.accepted.dropAppliedBefore(KEY, 5);
  assert.ok((await read()).isEmpty);
});

test('nobody takes them for entries of the journal', async () => {
  await ledger.accepted.write(accepting(1), 0, part('a', [1]));
  const journal = ledger.journal(journalKeyOf(KEY));
  await journal.intend(1, 1, { action: 'insert', into: 'a', ids: { run: RUN, positions: [0] } });
  const batches: number[] = [];
  for await (const { batch } of journal.entries()) batches.push(batch);
  for await (const { batch } of journal.entriesBackwards()) batches.push(batch);
  assert.equal(batches, [1, 1]);
});

test.run();
