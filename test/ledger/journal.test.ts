import { createHash } from 'node:crypto';
import { Binary, serialize } from 'bson';
import type { Document } from 'mongodb';
import * as assert from 'uvu/assert';
import { Documents } from '../../src/bson/documents.ts';
import type { Journal } from '../../src/ledger/journal.ts';
import { entryId, type JournalEntry, readJournalEntry } from '../../src/ledger/journal-entry.ts';
import { journalKeyOf, LEDGER_FORMAT } from '../../src/ledger/layout.ts';
import { openLedger } from '../../src/ledger/ledger.ts';
import { failure, numbered } from '../apply/documents.ts';
import { openWorkbench, type Workbench } from '../apply/workbench.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';

let lab: Lab;
let bench: Workbench;
let journal: Journal;

const KEY = { plan: 'p', selection: 'd'.repeat(64) };

test.before(async () => {
  lab = await openLab();
});
test.before.each(async () => {
  bench = openWorkbench(lab);
  journal = openLedger(await bench.target('staging')).journal(journalKeyOf(KEY));
});
test.after.each(() => bench.close());
test.after(() => lab.close());

async function read(entries: AsyncIterable<JournalEntry>): Promise<JournalEntry[]> {
  const all: JournalEntry[] = [];
  for await (const entry of entries) all.push(entry);
  return all;
}

test('entries come in the order of their numbers and backwards, more than one page of them, without their images', async () => {
  const documents = numbered(0, 2);
  const ids = { run: Documents.of(documents), positions: [0, 1] };
  // A journal whose key sorts right before and one right after: neither may show.
  for (const plan of ['o', 'q']) {
    const other = openLedger(await bench.target('staging')).journal(journalKeyOf({ ...KEY, plan }));
    await other.intend(1, 1, { action: 'insert', into: 'other', ids });
  }
  for (let batch = 1; batch <= 120; batch++) {
    await journal.intend(batch, 1, { action: 'replace', into: 'a', ids, images: documents });
  }
  const numbers = Array.from({ length: 120 }, (_, i) => i + 1);
  assert.equal(
    (await read(journal.entries())).map(({ batch }) => batch),
    numbers,
  );
  assert.equal(
    (await read(journal.entriesBackwards())).map(({ batch }) => batch),
    numbers.reverse(),
  );
});

test('an entry is read as it was intended, and as it ended', async () => {
  const documents = numbered(0, 3);
  const lsid = Buffer.alloc(16, 7);
  const identity = { lsid, txnNumber: 1, user: 'anna@admin', at: 1_795_000_000_000 };
  const hashes = Buffer.alloc(96, 1);
  const ids = { run: Documents.of(documents), positions: [0, 1, 2] };
  const ordinals = [4_000_000_000, 0, 7];
  await journal.intend(1, 5, { action: 'insert', into: 'a', ids, hashes, ordinals, identity });
  await journal.intend(2, 5, { action: 'remove', into: 'a', ids, undoes: 1 });
  await journal.record({ batch: 1, skipped: [1], doubtful: [2] });
  const [insert, remove] = await read(journal.entries());
  assert.equal(insert?.identity, identity);
  assert.equal(insert?.hashes, hashes);
  assert.equal([...(insert?.ordinals ?? [])], ordinals);
  assert.equal([insert?.state, insert?.skipped, insert?.doubtful], ['done', [1], [2]]);
  assert.equal([remove?.state, remove?.undoes, remove?.hashes], ['intended', 1, undefined]);
});

test('of a merge the fields and their hashes are kept, as docs/ledger.md has it', async () => {
  const documents = numbered(0, 2);
  const ids = { run: Documents.of(documents), positions: [0, 1] };
  const [hashes, fieldHashes] = [Buffer.alloc(64, 1), Buffer.alloc(64, 2)];
  const merged = { paths: ['address.zip', 'price'], hashes: fieldHashes };
  await journal.intend(1, 5, { action: 'merge', into: 'a', ids, images: documents, hashes, merged });
  const kept = await (await bench.db('staging'))
    .collection<Document>('restore_plan.journal')
    .findOne({ batch: 1 });
  assert.equal(Object.keys(kept ?? {}).sort(), [
    ...['_id', 'action', 'batch', 'count', 'fencing', 'fieldHashes', 'fields', 'format', 'hashes', 'ids'],
    ...['imageParts', 'into', 'skipped', 'state'],
  ]);
  assert.is(kept?.['format'], 2);
  assert.equal(kept?.['fields'], merged.paths);
  const [entry] = await read(journal.entries());
  assert.ok(entry);
  assert.equal(entry.merged, merged);
  assert.equal(await journal.images(entry), documents);
  const fault = await failure(readAfter({ $unset: { fieldHashes: '' } }));
  assert.match(fault.message, 'fieldHashes');
});

test('images that are no whole documents, or not one for each id, are damaged', async () => {
  const [first, second] = numbered(0, 2) as [Buffer, Buffer];
  const ids = { run: Documents.of([first, second]), positions: [0, 1] };
  const hashes = Buffer.alloc(64, 1);
  await journal.intend(1, 5, { action: 'replace', into: 'a', ids, images: [first, second], hashes });
  const [entry] = await read(journal.entries());
  assert.ok(entry);
  const journals = (await bench.db('staging')).collection<Document>('restore_plan.journal');
  for (const bytes of [
    ...[Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(33), Buffer.alloc(33, 255), first],
    ...[Buffer.concat([first, second, first]), Buffer.concat([first, second.subarray(1)])],
    Buffer.concat([first, second.subarray(0, -1)]),
  ]) {
    await journals.updateOne({ bytes: { $exists: true } }, { $set: { bytes: new Binary(bytes) } });
    const fault = await failure(journal.images(entry));
    assert.is(fault.code, 'TARGET', bytes.toString('hex'));
    assert.match(fault.message, 'restore_plan.journal is damaged');
  }
});

/** The entries, after somebody has changed the first one. */
async function readAfter(update: Document): Promise<JournalEntry[]> {
  const journals = (await bench.db('staging')).collection<Document>('restore_plan.journal');
  await journals.updateOne({ batch: 1 }, update);
  return read(journal.entries());
}

test('an entry that contradicts itself is damaged: its number, or its action', () => {
  const entry = {
    ...{ _id: entryId('key', 3), format: LEDGER_FORMAT, batch: 3, action: 'merge', into: 'a', state: 'done' },
    ...{ fencing: 1, ids: new Binary(Buffer.alloc(0)), skipped: [], imageParts: 1 },
    ...{ fields: ['price'], fieldHashes: new Binary(Buffer.alloc(0)) },
  };
  const changed = (change: Document): JournalEntry =>
    readJournalEntry(Buffer.from(serialize({ ...entry, ...change })));
  assert.is(changed({}).batch, 3);
  // Gone through page by page, the journal would never end.
  assert.throws(() => changed({ batch: 7 }), /damaged/);
  // A revert would remove what was there before.
  assert.throws(() => changed({ action: 'insert' }), /damaged/);
  assert.throws(() => changed({ action: 'replace' }), /damaged/);
});

test('an apply notes the hash of every document as it is stored, its place and its session', async () => {
  const documents = numbered(0, 5);
  const selection = bench.selection([{ collection: 'a', documents }]);
  await bench.apply(selection, 'staging');
  const key = { plan: bench.plan.name, selection: selection.manifest.digest };
  const applied = openLedger(await bench.target('staging')).journal(journalKeyOf(key));
  const [entry] = await read(applied.entries());
  const stored = await bench.documents('staging', 'a');
  const expected = Buffer.concat(stored.map((each) => createHash('sha256').update(each).digest()));
  assert.equal(entry?.hashes, expected);
  assert.equal([...(entry?.ordinals ?? [])], [0, 1, 2, 3, 4]);
  assert.is(entry?.identity?.lsid.length, 16);
});

test.run();
