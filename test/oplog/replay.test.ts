/** What a replay makes of entries in their many forms. Written by hand; `server-entries.test.ts` has those that a server writes. */
import { type Document, Long, serialize, Timestamp } from 'bson';
import * as assert from 'uvu/assert';
import { showDocument } from '../../src/bson/show.ts';
import { CannotRoll, OplogFault } from '../../src/oplog/faults.ts';
import { test } from '../harness.ts';
import { entry, OTHER_UUID, on, replayOf, rolled, SECONDS, UUID, uuid, WALL } from './by-hand.ts';

const shown = (documents: readonly (Buffer | Document)[]): string[] =>
  documents.map((each) => showDocument(Buffer.isBuffer(each) ? each : Buffer.from(serialize(each))));

/** What the entries make of the base is what is expected, in this order. */
function becomes(entries: readonly Buffer[], base: readonly Document[], expected: readonly Document[]): void {
  assert.equal(shown(rolled(replayOf(entries), base)), shown(expected));
}

function refuses(entries: readonly Buffer[], message: RegExp, base?: readonly Document[]): void {
  assert.throws(
    () => rolled(replayOf(entries), base ?? []),
    (fault: unknown) =>
      (fault instanceof OplogFault || fault instanceof CannotRoll) && message.test((fault as Error).message),
  );
}

const session = (number: number): Document => ({
  lsid: { id: uuid('11111111111111111111111111111111') },
  txnNumber: Long.fromNumber(number),
});
const FIRST = { prevOpTime: { ts: new Timestamp({ t: 0, i: 0 }), t: Long.fromNumber(-1) } };
const after = (ordinal: number): Document => ({
  prevOpTime: { ts: new Timestamp({ t: SECONDS + ordinal, i: 1 }), t: Long.fromNumber(1) },
});
const admin = (o: Document, more: Document = {}): Document => ({ op: 'c', ns: 'admin.$cmd', o, ...more });
const changed = (o: Document): Document => ({ $v: 2, diff: { u: o } });

test('inserts come last, deletions drop out, the rest passes', () => {
  becomes(
    [
      entry(1, on('i', { _id: 3, a: 1 })),
      entry(2, on('d', { _id: 1 })),
      entry(3, on('u', changed({ a: 5 }), { o2: { _id: 2 } })),
      entry(4, on('i', { _id: 4 })),
    ],
    [{ _id: 1 }, { _id: 2, a: 1 }, { _id: 9 }],
    [{ _id: 2, a: 5 }, { _id: 9 }, { _id: 3, a: 1 }, { _id: 4 }],
  );
});

test('a replacement has its _id first, wherever the entry has it', () => {
  becomes(
    [entry(1, on('u', { a: 2, _id: 1, b: 3 }, { o2: { _id: 1 } }))],
    [{ _id: 1 }],
    [{ _id: 1, a: 2, b: 3 }],
  );
});

test('a deletion names the _id behind a shard key', () => {
  becomes([entry(1, on('d', { k: 2, _id: 3 }))], [{ _id: 2 }, { _id: 3 }], [{ _id: 2 }]);
});

test('an insert replaces what is there, and a number of another type is the same _id', () => {
  becomes(
    [entry(1, on('d', { _id: 1 })), entry(2, on('i', { _id: Long.fromNumber(1), a: 2 }))],
    [{ _id: 1, a: 1 }],
    [{ _id: Long.fromNumber(1), a: 2 }],
  );
});

test('what was before an insert, a replacement or a deletion does not count', () => {
  becomes(
    [
      entry(1, on('u', changed({ a: 1 }), { o2: { _id: 1 } })),
      entry(2, on('d', { _id: 1 })),
      entry(3, on('u', changed({ a: 1 }), { o2: { _id: 2 } })),
      entry(4, on('i', { _id: 2, b: 1 })),
      entry(5, on('u', changed({ b: 2 }), { o2: { _id: 2 } })),
    ],
    [],
    [{ _id: 2, b: 2 }],
  );
});

test('an update of a document that nobody has is refused: the oplog begins too late', () => {
  refuses([entry(1, on('u', changed({ a: 1 }), { o2: { _id: 1 } }))], /was inserted before the oplog begins/);
  refuses(
    [entry(1, on('d', { _id: 1 })), entry(2, on('u', changed({ a: 1 }), { o2: { _id: 1 } }))],
    /was inserted before the oplog begins/,
    [{ _id: 1 }],
  );
});

test('no-ops are passed over, whatever they hold', () => {
  becomes(
    [entry(1, { op: 'n', ns: 'shop.a', ui: uuid(UUID), o: { _id: 1, a: 2 }, o2: { _id: 1 } })],
    [{ _id: 1 }],
    [{ _id: 1 }],
  );
  for (const op of ['ci', 'cu', 'cd', 'km'])
    becomes([entry(1, { op, ns: 'shop.a', ui: uuid(UUID), o: { k: 1 } })], [], []);
});

test('deletes of many, inserts of many and what is nested are found inside applyOps', () => {
  becomes(
    [
      entry(1, admin({ applyOps: [on('d', { _id: 1 }), on('d', { _id: 2 })] })),
      entry(
        2,
        admin(
          { applyOps: [on('i', { _id: 4 }), on('i', { _id: 5 })] },
          { ...session(1), ...FIRST, multiOpType: 1 },
        ),
      ),
      entry(3, admin({ applyOps: [{ op: 'c', ns: 'admin.$cmd', o: { applyOps: [on('i', { _id: 6 })] } }] })),
    ],
    [{ _id: 1 }, { _id: 2 }, { _id: 3 }],
    [{ _id: 3 }, { _id: 4 }, { _id: 5 }, { _id: 6 }],
  );
});

test('a transaction counts where it is committed, with all its parts', () => {
  const part = (ordinal: number, id: number, more: Document): Buffer =>
    entry(
      ordinal,
      admin(
        { applyOps: [on('u', changed({ a: ordinal }), { o2: { _id: id } })], partialTxn: true },
        { ...session(7), ...more },
      ),
    );
  const entries = [
    part(1, 1, FIRST),
    entry(2, on('u', changed({ b: 2 }), { o2: { _id: 9 } })),
    part(3, 2, after(1)),
    entry(4, admin({ applyOps: [on('d', { _id: 3 })], count: 3 }, { ...session(7), ...after(3) })),
  ];
  becomes(
    entries,
    [{ _id: 1, a: 0 }, { _id: 2, a: 0 }, { _id: 3 }, { _id: 9 }],
    [
      { _id: 1, a: 1 },
      { _id: 2, a: 3 },
      { _id: 9, b: 2 },
    ],
  );
  const cut = replayOf(entries, { cut: { wall: WALL + 4000 } });
  assert.equal(
    shown(rolled(cut, [{ _id: 1, a: 0 }, { _id: 9 }])),
    shown([
      { _id: 1, a: 0 },
      { _id: 9, b: 2 },
    ]),
    'not committed before the cut',
  );
  assert.is(cut.entriesUsed, 1);
  assert.is(replayOf(entries).entriesUsed, 4);
  // Without an end: an abort of what is not prepared leaves no entry.
  becomes(
    entries.slice(0, 3),
    [{ _id: 1, a: 0 }, { _id: 9 }],
    [
      { _id: 1, a: 0 },
      { _id: 9, b: 2 },
    ],
  );
});

test('a prepared transaction counts where it is committed, and not where it is aborted', () => {
  const prepared = entry(
    1,
    admin({ applyOps: [on('i', { _id: 1 })], prepare: true }, { ...session(7), ...FIRST }),
  );
  const commit = admin(
    { commitTransaction: 1, commitTimestamp: new Timestamp({ t: SECONDS + 2, i: 1 }) },
    { ...session(7), ...after(1) },
  );
  becomes([prepared, entry(3, commit)], [], [{ _id: 1 }]);
  becomes([prepared, entry(3, admin({ abortTransaction: 1 }, { ...session(7), ...after(1) }))], [], []);
  refuses([prepared], /prepared transaction has no outcome/);
  const before = { cut: { wall: WALL + 3000 } };
  assert.is(
    rolled(replayOf([prepared, entry(3, commit)], before), []).length,
    1,
    'what was visible before the cut',
  );
  const later = admin(
    { commitTransaction: 1, commitTimestamp: new Timestamp({ t: SECONDS + 9, i: 1 }) },
    { ...session(7), ...after(1) },
  );
  assert.is(rolled(replayOf([prepared, entry(9, later)], before), []).length, 0);
  const elsewhere = entry(
    1,
    admin(
      { applyOps: [{ op: 'i', ns: 'shop.b', ui: uuid(OTHER_UUID), o: { _id: 1 } }], prepare: true },
      { ...session(7), ...FIRST },
    ),
  );
  becomes([elsewhere], [], []);
});

test('a transaction whose beginning is missing is refused', () => {
  refuses(
    [entry(4, admin({ applyOps: [on('d', { _id: 3 })], count: 3 }, { ...session(7), ...after(3) }))],
    /begun before the replay begins/,
  );
  refuses(
    [
      entry(3, admin({ applyOps: [on('d', { _id: 2 })], partialTxn: true }, { ...session(7), ...after(1) })),
      entry(4, admin({ applyOps: [on('d', { _id: 3 })], count: 3 }, { ...session(7), ...after(3) })),
    ],
    /begun before the replay begins/,
  );
  refuses(
    [entry(4, admin({ commitTransaction: 1 }, { ...session(7), ...after(3) }))],
    /begun before the replay begins/,
  );
});

test('parts of a transaction outside the plan are told', () => {
  const both = admin(
    { applyOps: [on('i', { _id: 1 }), { op: 'i', ns: 'shop.bids', ui: uuid(OTHER_UUID), o: { _id: 2 } }] },
    { ...session(7), ...FIRST },
  );
  const { notes, entriesUsed } = replayOf([entry(1, both)]);
  assert.is(entriesUsed, 1);
  assert.equal(notes, [
    '1 transaction that changed documents of this plan also changed shop.bids, which is not part of it',
  ]);
});

test('the cut is exclusive and goes by the primary’s clock, or by a timestamp', () => {
  const entries = [1, 2, 3].map((id) => entry(id, on('i', { _id: id })));
  const idsBefore = (cut: Parameters<typeof replayOf>[1]): number =>
    rolled(replayOf(entries, cut), []).length;
  assert.is(idsBefore({ cut: { wall: WALL + 2000 } }), 1);
  assert.is(idsBefore({ cut: { wall: WALL + 2001 } }), 2);
  assert.is(idsBefore({ cut: { ts: { seconds: SECONDS + 3, ordinal: 1 } } }), 2);
  assert.is(idsBefore({ cut: { ts: { seconds: SECONDS + 3, ordinal: 2 } } }), 3);
  assert.is(idsBefore({ cut: 'end' }), 3);
  assert.is(idsBefore({ begin: { seconds: SECONDS + 2, ordinal: 1 } }), 2, 'the beginning is inclusive');
  assert.equal(replayOf(entries, { cut: { wall: WALL + 2000 } }).cut, {
    seconds: SECONDS + 2,
    ordinal: 1,
    wall: WALL + 2000,
  });
  const withoutClock = entry(2, { ...on('i', { _id: 5 }), wall: null });
  assert.is(rolled(replayOf([withoutClock], { cut: { wall: WALL + 2000 } }), []).length, 0);
});

test('a clock that differs from the oplog’s time near the cut is told', () => {
  const drifted = entry(1, { ...on('i', { _id: 1 }), wall: new Date(WALL - 5000) });
  assert.match(replayOf([drifted], { cut: { wall: WALL } }).notes.join(), /differ by more than 2 seconds/);
});

test('entries out of order, twice, or without a time are refused', () => {
  const [one, two] = [entry(1, on('i', { _id: 1 })), entry(2, on('i', { _id: 2 }))] as const;
  refuses([two, one], /comes after .*timestamps rise/);
  refuses([one, one], /comes after .*timestamps rise/);
  refuses([Buffer.from(serialize(on('i', { _id: 1 })))], /these are not the entries of an oplog/);
});

test('forms of newer servers are refused by name where they may concern the collection', () => {
  refuses([entry(1, on('xi', { _id: 1 }))], /operation "xi" that is not known/);
  refuses([entry(1, { op: 'x', ns: '', o: {} })], /operation "x" that is not known/);
  becomes([entry(1, { op: 'x', ns: 'shop.b', ui: uuid(OTHER_UUID), o: {} })], [], []);
  refuses([entry(1, { ...on('i', { _id: 1 }), v: 3 })], /version 3/);
  refuses([entry(1, on('u', { $v: 3, diff: {} }, { o2: { _id: 1 } }))], /\$v/);
  refuses(
    [entry(1, on('c', { shuffle: 'a' }, { ns: 'shop.$cmd' }))],
    /command "shuffle" that cannot be followed/,
  );
  refuses([entry(1, on('c', { importCollection: 'a' }, { ns: 'shop.$cmd' }))], /importCollection/);
  becomes([entry(1, { op: 'c', ns: 'shop.$cmd', ui: uuid(OTHER_UUID), o: { shuffle: 'b' } })], [], []);
  refuses(
    [entry(1, admin({ applyOps: [on('i', { _id: 1 })] }, { ...session(1), ...FIRST, multiOpType: 2 }))],
    /multiOpType 2/,
  );
});

test('commands that change no document are passed over, and those whose documents nobody knows are refused', () => {
  for (const name of [
    'abortIndexBuild',
    'cloneCollectionAsCapped',
    'commitIndexBuild',
    'createDatabaseMetadata',
    'createIndexes',
    'dbCheck',
    'deleteIndex',
    'deleteIndexes',
    'dropDatabaseMetadata',
    'dropIdent',
    'dropIndex',
    'dropIndexes',
    'modifyCollectionShardingIndexCatalog',
    'setMultikeyMetadata',
    'startIndexBuild',
  ])
    becomes([entry(1, on('c', { [name]: 'a' }, { ns: 'shop.$cmd' }))], [{ _id: 1 }], [{ _id: 1 }]);
  for (const name of ['importCollection', 'upgradeDowngradeViewlessTimeseries', 'truncateRange']) {
    refuses(
      [entry(1, on('c', { [name]: 'a' }, { ns: 'shop.$cmd' }))],
      new RegExp(`command "${name}" that cannot be followed`),
    );
    becomes([entry(1, { op: 'c', ns: 'shop.$cmd', ui: uuid(OTHER_UUID), o: { [name]: 'b' } })], [], []);
  }
});

test('what empties a collection before the moment is refused, with how many documents it held', () => {
  const command = (o: Document, more: Document = {}): Buffer =>
    entry(1, { op: 'c', ns: 'shop.$cmd', ui: uuid(UUID), o, ...more });
  refuses(
    [command({ drop: 'a' }, { o2: { numRecords: 17 } })],
    /^shop\.a was dropped with 17 documents at 2026-11-22T08:00:01/,
  );
  refuses([command({ emptycapped: 'a' })], /^shop\.a was emptied \(emptycapped\)/);
  refuses([command({ convertToCapped: 'a' })], /^shop\.a was emptied/);
  refuses([entry(1, { op: 'c', ns: 'shop.$cmd', o: { dropDatabase: 1 } })], /dropped with its database/);
  refuses([entry(1, { op: 'c', ns: 'shop.$cmd', o: { drop: 'a' } })], /^shop\.a was dropped/);
  const replaced = { renameCollection: 'shop.tmp', to: 'shop.a', dropTarget: uuid(UUID) };
  refuses(
    [entry(1, { op: 'c', ns: 'shop.$cmd', ui: uuid(OTHER_UUID), o: replaced })],
    /^shop\.a was replaced by shop\.tmp/,
  );
  refuses(
    [entry(1, { op: 'c', ns: 'shop.$cmd', ui: uuid(OTHER_UUID), o: { ...replaced, dropTarget: true } })],
    /^shop\.a was replaced/,
  );
  becomes(
    [entry(1, { op: 'c', ns: 'shop.$cmd', ui: uuid(OTHER_UUID), o: { drop: 'b' } })],
    [{ _id: 1 }],
    [{ _id: 1 }],
  );
});

test('a renamed collection is followed by its UUID, and its old name may be another’s', () => {
  const renamed = entry(1, {
    op: 'c',
    ns: 'shop.$cmd',
    ui: uuid(UUID),
    o: { renameCollection: 'shop.a', to: 'shop.z' },
  });
  const stranger = entry(2, { op: 'i', ns: 'shop.a', ui: uuid(OTHER_UUID), o: { _id: 8 } });
  const ours = entry(3, { op: 'i', ns: 'shop.z', ui: uuid(UUID), o: { _id: 9 } });
  const result = replayOf([renamed, stranger, ours]);
  assert.equal(shown(rolled(result, [])), shown([{ _id: 9 }]));
  assert.match(result.notes.join(), /shop\.a was renamed to shop\.z/);
  refuses([stranger], /belong to a collection with the UUID f+, and that of the backup is 0123/);
  const created = entry(3, { op: 'c', ns: 'shop.$cmd', ui: uuid(UUID), o: { create: 'a' } });
  becomes([stranger, created], [], []);
});

test('entries without a UUID are refused for a collection of the plan', () => {
  refuses([entry(1, { op: 'i', ns: 'shop.a', o: { _id: 1 } })], /without a UUID/);
  becomes([entry(1, { op: 'i', ns: 'shop.b', o: { _id: 1 } })], [], []);
});

test('documents that move between shards are refused: one oplog is of one shard', () => {
  refuses([entry(1, on('i', { _id: 1 }, { fromMigrate: true }))], /moved a document between shards/);
});

test('a wall that no calendar has is damage', () => {
  const changed = entry(1, on('i', { _id: 1 }));
  for (const wall of [8_640_000_000_000_001n, 2n ** 63n - 1n, -(2n ** 63n)]) {
    changed.writeBigInt64LE(wall, changed.indexOf('wall\0') + 5);
    assert.throws(() => replayOf([changed]), /wall is no time/);
  }
});

test('the sum of what was used is the same however the entries between are chosen', () => {
  const used = [1, 3].map((id) => entry(id, on('i', { _id: id })));
  const between = entry(2, { op: 'i', ns: 'shop.b', ui: uuid(OTHER_UUID), o: { _id: 1 } });
  const all = replayOf([used[0] as Buffer, between, used[1] as Buffer]);
  assert.is(all.entriesUsed, 2);
  assert.is(all.entriesRead, 3);
  assert.is(all.sha256, replayOf(used).sha256);
});

test.run();
