/** Documents as they were before they were deleted or changed in a span of time. Written by hand; the scenarios have a server's own entries. */
import { type Document, Long, serialize, Timestamp } from 'bson';
import * as assert from 'uvu/assert';
import { findId } from '../../src/bson/documents.ts';
import { showDocument } from '../../src/bson/show.ts';
import type { RawValue } from '../../src/bson/types.ts';
import { OplogFault } from '../../src/oplog/faults.ts';
import { RecordLog } from '../../src/oplog/record-log.ts';
import type { ReplayResult } from '../../src/oplog/replay.ts';
import { type ShardScope, ShardWrites } from '../../src/oplog/shards/shard-writes.ts';
import { AcrossShards } from '../../src/oplog/windows/across-shards.ts';
import type { Instant } from '../../src/plan/instant.ts';
import type { Window } from '../../src/plan/windows.ts';
import { test } from '../harness.ts';
import { entry, OTHER_UUID, on, replayOf, UUID, uuid, WALL } from './by-hand.ts';

/** So many seconds after the first entry. */
const second = (n: number): Instant => ({ epochMs: WALL + n * 1000, text: `${n}` });
const deleted = (from: number, until: number): Window => ({
  kind: 'deleted',
  from: second(from),
  until: second(until),
});
const changed = (from: number, until: number, ...fields: string[]): Window => ({
  ...{ kind: 'changed', from: second(from), until: second(until), fields },
});

function follow(
  entries: readonly Buffer[],
  window: Window,
  metadata?: Document,
  shard?: ShardScope,
): ReplayResult {
  return replayOf([...entries, entry(99, { op: 'n', o: {} })], {
    shard,
    collections: [
      {
        collection: 'a',
        namespace: 'shop.a',
        uuid: UUID,
        ...(metadata && { metadata: JSON.stringify(metadata) }),
      },
    ],
    cut: { wall: window.until.epochMs },
    looksOn: true,
    windows: {
      at: { wall: window.from.epochMs },
      views: new Map([['a', { isAt: false, windows: [window] }]]),
    },
  });
}

/** What the window gives of a backup, in order; those that the backup lacks come last. */
function given(result: ReplayResult, base: readonly Document[]): string[] {
  const found: string[] = [];
  const windows = result.windows[0];
  const [view] = windows?.views ?? [];
  const take = (bytes: Buffer, start: number): void =>
    void found.push(showDocument(bytes, start, { relaxed: true }));
  for (const each of base) {
    const document = Buffer.from(serialize(each));
    const number = windows?.touched.find(findId(document) as RawValue) ?? -1;
    if (number >= 0) windows?.touched.meet(number);
    view?.roll(number, document, 0, take);
  }
  for (const number of windows?.touched.notInBackup() ?? []) view?.roll(number, undefined, 0, take);
  return found;
}

const insert = (n: number, o: Document) => entry(n, on('i', o));
const remove = (n: number, _id: unknown, more: Document = {}) => entry(n, on('d', { _id }, more));
const set = (n: number, _id: unknown, u: Document) =>
  entry(n, on('u', { $v: 2, diff: { u } }, { o2: { _id } }));
const replace = (n: number, o: Document) => entry(n, on('u', o, { o2: { _id: o['_id'] } }));
const command = (n: number, o: Document, more: Document = {}) =>
  entry(n, { op: 'c', ns: 'shop.$cmd', ui: uuid(UUID), o, ...more });
const session = { lsid: { id: uuid('11111111111111111111111111111111') }, txnNumber: Long.fromNumber(1) };

test('each as it was just before, from the first moment up to, not including, the last', () => {
  const entries = [
    set(1, 1, { v: 'day' }),
    remove(2, 8),
    insert(3, { _id: 5, v: 'made' }),
    remove(10, 1),
    remove(11, 5),
    remove(19, 2),
    remove(20, 3),
  ];
  const base = [{ _id: 1, v: 0 }, { _id: 2 }, { _id: 3 }, { _id: 4 }, { _id: 8 }];
  assert.equal(given(follow(entries, deleted(10, 20)), base), [
    '{"_id":1,"v":"day"}',
    '{"_id":2}',
    '{"_id":5,"v":"made"}',
  ]);
});

test('of two deletions the last counts; what comes later does not change it, but is told', () => {
  const result = follow(
    [remove(10, 1), insert(11, { _id: 1, v: 2 }), remove(12, 1), insert(30, { _id: 1, v: 3 })],
    deleted(10, 20),
  );
  assert.equal(given(result, [{ _id: 1, v: 1 }]), ['{"_id":1,"v":2}']);
  const past = result.windows[0]?.views[0]?.pastOf(findId(Buffer.from(serialize({ _id: 1 }))) as RawValue);
  assert.equal(past, {
    ...{ changes: 2, isInserted: false },
    later: { end: 'insertedAgain', changes: 2, first: WALL + 12_000, last: WALL + 30_000 },
  });
});

test('clocks differ a little: an entry counts by its own wall, also behind the end', () => {
  const early = entry(21, on('d', { _id: 1 }, { wall: new Date(WALL + 19_500) }));
  const late = entry(12, on('d', { _id: 2 }, { wall: new Date(WALL + 9_500) }));
  assert.equal(
    given(follow([late, insert(20, { _id: 9 }), early], deleted(10, 20)), [{ _id: 1 }, { _id: 2 }]),
    ['{"_id":1}'],
  );
});

const TTL = { indexes: [{ key: { at: 1 }, name: 'at_1', expireAfterSeconds: { $numberInt: '5' } }] };
const at = (n: number): Date => new Date(WALL + n * 1000);

test('what a TTL index may have deleted is left out and counted; a session, or a time to come, is somebody', () => {
  const result = follow(
    [remove(10, 1), remove(11, 2, session), remove(12, 3), remove(13, 4)],
    deleted(10, 20),
    TTL,
  );
  const base = [{ _id: 1, at: at(4) }, { _id: 2, at: at(4) }, { _id: 3, at: at(9) }, { _id: 4 }];
  assert.equal(
    given(result, base).map((each) => JSON.parse(each)._id),
    [2, 3, 4],
  );
  assert.is(result.windows[0]?.views[0]?.leftOut.expired, 1);
});

test('where the last deletion is expiry, one by somebody before it counts', () => {
  const entries = [remove(10, 1, session), insert(11, { _id: 1, at: at(1) }), remove(12, 1)];
  const [found] = given(follow(entries, deleted(10, 20), TTL), [{ _id: 1, v: 'first', at: at(1) }]);
  assert.match(found ?? '', /"v":"first"/);
});

test('TTL indexes come, change and go with the oplog', () => {
  const made = { v: 2, key: { at: 1 }, name: 'x', expireAfterSeconds: 1 };
  const count = (metadata: Document, ...commands: Document[]): number =>
    given(follow([...commands.map((o, i) => command(1 + i, o)), remove(10, 1)], deleted(10, 20), metadata), [
      { _id: 1, list: [{ at: at(30) }, { at: at(3) }], at: [at(30), at(3)] },
    ]).length;
  const isExpired = (metadata: Document, ...commands: Document[]): boolean =>
    count(metadata, ...commands) === 0;
  assert.not.ok(isExpired({}));
  assert.ok(isExpired(TTL));
  assert.ok(isExpired({}, { createIndexes: 'a', ...made }));
  assert.ok(isExpired({}, { commitIndexBuild: 'a', indexes: [made] }));
  assert.not.ok(isExpired(TTL, { dropIndexes: 'a', index: 'at_1' }));
  assert.not.ok(
    isExpired(TTL, { collMod: 'a', index: { name: 'at_1', expireAfterSeconds: Long.fromNumber(60) } }),
  );
  const plain = { indexes: [{ key: { 'list.at': 1 }, name: 'p' }] };
  assert.not.ok(isExpired(plain));
  assert.ok(isExpired(plain, { collMod: 'a', index: { name: 'p', expireAfterSeconds: 5 } }));
  const partial = (state: string) => ({
    indexes: [{ ...TTL.indexes[0], partialFilterExpression: { _id: state } }],
  });
  assert.not.ok(isExpired(partial('other')));
});

test('what a transaction makes and then changes or deletes was never there in another state', () => {
  const transaction = (n: number, ...operations: Document[]) =>
    entry(n, { op: 'c', ns: 'admin.$cmd', o: { applyOps: operations }, ...session });
  const update = on('u', { $v: 2, diff: { u: { v: 2 } } }, { o2: { _id: 5 } });
  const insert5 = on('i', { _id: 5, v: 1 });
  const remove5 = on('d', { _id: 5 });
  const gone = [transaction(10, insert5, update, remove5)];
  assert.equal(given(follow(gone, deleted(10, 20)), []), []);
  assert.equal(given(follow(gone, changed(10, 20)), []), []);
  const made = [transaction(10, insert5, update), set(11, 5, { v: 3 }), remove(12, 5)];
  assert.equal(given(follow(made, changed(10, 20)), []), ['{"_id":5,"v":2}']);
  assert.equal(given(follow(made, deleted(10, 20)), []), ['{"_id":5,"v":3}']);
  // One that was there before is lost, whatever took its place for a moment.
  const replaced = [transaction(10, remove5, insert5, remove5)];
  assert.equal(given(follow(replaced, deleted(10, 20)), [{ _id: 5, v: 0 }]), ['{"_id":5,"v":0}']);
});

test('what is made anew under the name has none of the TTL indexes that were there before', () => {
  const again = (n: number, op: string, o: Document) =>
    entry(n, { op, ns: op === 'c' ? 'shop.$cmd' : 'shop.a', ui: uuid(OTHER_UUID), o });
  const entries = (...made: Buffer[]) => [
    command(10, { drop: 'a' }, { o2: { numRecords: 0 } }),
    ...made,
    again(13, 'i', { _id: 1, at: at(1) }),
    again(14, 'd', { _id: 1 }),
  ];
  const result = follow(entries(again(11, 'c', { create: 'a' })), deleted(10, 20), TTL);
  assert.is(given(result, []).length, 1);
  assert.is(result.windows[0]?.views[0]?.leftOut.expired, 0);
  const made = { v: 2, key: { at: 1 }, name: 'x', expireAfterSeconds: 1 };
  const indexed = again(12, 'c', { createIndexes: 'a', ...made });
  assert.is(given(follow(entries(again(11, 'c', { create: 'a' }), indexed), deleted(10, 20)), []).length, 0);
});

test('a clustered collection expires by its _id: as it was made, and as it was told since', () => {
  const clustered = { clusteredIndex: { v: 2, key: { _id: 1 }, name: '_id_' } };
  const made = (seconds: number) => ({ indexes: [], options: { ...clustered, expireAfterSeconds: seconds } });
  const isExpired = (metadata: Document, ...commands: Document[]): boolean =>
    given(
      follow([...commands.map((o, i) => command(1 + i, o)), remove(10, at(1))], deleted(10, 20), metadata),
      [{ _id: at(1) }],
    ).length === 0;
  const told = (expireAfterSeconds: unknown): Document => ({ collMod: 'a', expireAfterSeconds });
  assert.ok(isExpired(made(5)));
  assert.not.ok(isExpired(made(60)));
  assert.ok(isExpired(made(60), told(Long.fromNumber(5))));
  assert.not.ok(isExpired(made(5), told('off')));
  assert.ok(isExpired(made(5), { dropIndexes: 'a', index: '*' }));
  assert.ok(isExpired({}, { create: 'a', ...clustered, expireAfterSeconds: Long.fromNumber(5) }));
});

test('a drop deletes what there was; what is made anew under the name is followed as well', () => {
  const drop = (n: number, numRecords: number, ui = UUID) =>
    command(n, { drop: 'a' }, { ui: uuid(ui), o2: { numRecords } });
  const again = (n: number, op: string, o: Document) =>
    entry(n, { op, ns: 'shop.a', ui: uuid(OTHER_UUID), o });
  const entries = [
    set(1, 2, { v: 'day' }),
    remove(2, 4),
    remove(11, 3),
    insert(12, { _id: 7 }),
    drop(13, 3),
    command(14, { create: 'a' }, { ui: uuid(OTHER_UUID) }),
    again(15, 'i', { _id: 1, v: 'anew' }),
    again(16, 'i', { _id: 2, v: 'anew' }),
    again(17, 'd', { _id: 2 }),
  ];
  const base = [{ _id: 1, v: 0 }, { _id: 2, v: 0 }, { _id: 3 }, { _id: 4 }];
  const result = follow(entries, deleted(10, 20));
  assert.equal(given(result, base), ['{"_id":1,"v":0}', '{"_id":2,"v":"anew"}', '{"_id":3}', '{"_id":7}']);
  assert.match(result.notes.join(), /shop\.a was dropped at /);
  // Dropped twice: what was made in between counts as of the second time, the rest as of the first.
  const twice = follow([...entries.slice(0, 8), drop(18, 2, OTHER_UUID)], deleted(10, 20));
  assert.equal(given(twice, base), [
    '{"_id":1,"v":"anew"}',
    '{"_id":2,"v":"anew"}',
    '{"_id":3}',
    '{"_id":7}',
  ]);
});

test('a collection that another takes the place of is gone; before the window, and made capped, it is refused', () => {
  const over = (n: number, from: string) =>
    command(n, { renameCollection: from, to: 'shop.a', dropTarget: uuid(UUID) }, { ui: uuid(OTHER_UUID) });
  const result = follow([over(11, 'shop.tmp.agg_out.x')], deleted(10, 20));
  assert.equal(given(result, [{ _id: 1 }]), ['{"_id":1}']);
  assert.match(result.notes.join(), /took its name is not followed/);
  for (const [entries, message] of [
    [[command(5, { drop: 'a' })], /shop\.a was dropped/],
    [[over(11, 'shop.tmpAbCdE.convertToCapped')], /was replaced by/],
    // As 8.2 names it.
    [[over(11, 'shop.tmpAbCdE.convertToCapped.a')], /was replaced by/],
  ] as const)
    assert.throws(
      () => follow(entries, deleted(10, 20)),
      (fault: unknown) =>
        fault instanceof OplogFault &&
        message.test(fault.message) &&
        /made under its name since .* without a backup/.test(fault.hint ?? ''),
    );
  // Another one that is replaced later has nothing to do with the name that is free now.
  const other = { renameCollection: 'shop.x', to: 'shop.y', dropTarget: uuid('e'.repeat(32)) };
  const others = command(12, other, { ui: uuid('d'.repeat(32)) });
  assert.equal(given(follow([over(11, 'shop.x'), others], deleted(10, 20)), [{ _id: 1 }]), ['{"_id":1}']);
  // Behind the window it is nothing but news.
  assert.equal(
    given(follow([remove(11, 1), command(30, { drop: 'a' })], deleted(10, 20)), [{ _id: 1 }, { _id: 2 }]),
    ['{"_id":1}'],
  );
});

test('a transaction counts by the entry that commits it', () => {
  const first = { prevOpTime: { ts: new Timestamp({ t: 0, i: 0 }), t: Long.fromNumber(-1) } };
  const part = { applyOps: [on('d', { _id: 1 })], prepare: true };
  const prepared = entry(5, { op: 'c', ns: 'admin.$cmd', o: part, ...session, ...first });
  const prevOpTime = { ts: new Timestamp({ t: WALL / 1000 + 5, i: 1 }), t: Long.fromNumber(1) };
  const commit = (n: number) =>
    entry(n, {
      ...{ op: 'c', ns: 'admin.$cmd', ...session, prevOpTime },
      o: { commitTransaction: 1, commitTimestamp: new Timestamp({ t: WALL / 1000 + n, i: 1 }) },
    });
  assert.equal(given(follow([prepared, commit(11)], deleted(10, 20)), [{ _id: 1 }]), ['{"_id":1}']);
  assert.equal(given(follow([prepared, commit(8)], deleted(10, 20)), [{ _id: 1 }]), []);
});

test('changed: as it was before the first change of a field, of what is above it or below it', () => {
  const base = [{ _id: 1, a: { b: 1, c: 1 }, list: [{ x: 1 }, { x: 2 }], other: 1 }];
  const was = (window: Window, ...entries: Buffer[]): string | undefined =>
    given(follow(entries, window), base)[0];
  const diff = (n: number, d: Document) => entry(n, on('u', { $v: 2, diff: d }, { o2: { _id: 1 } }));
  const whole = showDocument(Buffer.from(serialize(base[0] as Document)), 0, { relaxed: true });
  assert.is(was(changed(10, 20), set(11, 1, { other: 2 })), whole);
  assert.is(was(changed(10, 20), set(9, 1, { other: 2 }), set(20, 1, { other: 3 })), undefined);
  assert.match(
    was(changed(10, 20, 'a.b'), set(11, 1, { other: 5 }), diff(12, { sa: { u: { b: 2 } } })) ?? '',
    /"b":1.*"other":5/,
  );
  for (const [field, d] of [
    ['a', { sa: { u: { b: 2 } } }],
    ['a.b', { u: { a: 5 } }],
    ['a.b', { d: { a: false } }],
    ['new', { i: { new: 1 } }],
    ['list', { slist: { a: true, s1: { u: { x: 3 } } } }],
    ['list.x', { slist: { a: true, s1: { u: { x: 3 } } } }],
    ['list.1.x', { slist: { a: true, s1: { u: { x: 3 } } } }],
    ['list.1', { slist: { a: true, u1: 3 } }],
    ['list.0', { slist: { a: true, l: 1 } }],
  ] as const)
    assert.is(was(changed(10, 20, field), diff(11, d)), whole, field);
  for (const [field, d] of [
    ['a.c', { sa: { u: { b: 2 } } }],
    ['ab', { u: { a: 5 } }],
    ['list.0.x', { slist: { a: true, s1: { u: { x: 3 } } } }],
    ['list.y', { slist: { a: true, s1: { u: { x: 3 } } } }],
    ['x', { slist: { a: true, s1: { u: { x: 3 } } } }],
  ] as const)
    assert.is(was(changed(10, 20, field), diff(11, d)), undefined, field);
  const old = (o: Document) => entry(11, on('u', { $v: 1, ...o }, { o2: { _id: 1 } }));
  assert.is(was(changed(10, 20, 'list.x'), old({ $set: { 'list.1.x': 4 } })), whole);
  assert.is(was(changed(10, 20, 'a.b'), old({ $unset: { a: true } })), whole);
  assert.is(was(changed(10, 20, 'a.c'), old({ $set: { 'a.b': 4 } })), undefined);
});

test('changed: a replacement counts where it makes a difference to a field', () => {
  const base = [{ _id: 1, a: { b: 1 }, other: 1 }];
  const was = (window: Window, ...entries: Buffer[]): string | undefined =>
    given(follow(entries, window), base)[0];
  const same = replace(11, { _id: 1, a: { b: 1 }, other: 2 });
  assert.is(was(changed(10, 20, 'a.b'), same), undefined);
  assert.match(was(changed(10, 20, 'a.b'), same, set(12, 1, { a: 3 })) ?? '', /"other":2/);
  assert.match(was(changed(10, 20, 'a.b.c'), replace(11, { _id: 1, a: 5 })) ?? '', /"other":1/);
  assert.match(was(changed(10, 20, 'a'), replace(11, { _id: 1 })) ?? '', /"b":1/);
  assert.match(was(changed(10, 20), same, remove(12, 1)) ?? '', /"other":1/);
});

/** What two shards give of a window, each of its own base. */
function ofShards(
  window: Window,
  ...shards: readonly (readonly [entries: readonly Buffer[], base: readonly Document[]])[]
): string[][] {
  const log = new RecordLog('/nowhere/');
  const across = [[new AcrossShards(window.kind, log)]];
  const writes = [new ShardWrites(log)];
  const followed = shards.map(([entries], number) =>
    follow(entries, window, undefined, { number, writes, across }),
  );
  return shards.map(([, base], i) => given(followed[i] as ReplayResult, base));
}

/** A transaction of several shards: its operations on one of them, committed everywhere at the second `at`. */
function across(n: number, at: number, ...applyOps: Document[]): Buffer[] {
  const first = { prevOpTime: { ts: new Timestamp({ t: 0, i: 0 }), t: Long.fromNumber(-1) } };
  const prevOpTime = { ts: new Timestamp({ t: WALL / 1000 + n, i: 1 }), t: Long.fromNumber(1) };
  const commitTimestamp = new Timestamp({ t: WALL / 1000 + at, i: 1 });
  return [
    entry(n, { op: 'c', ns: 'admin.$cmd', o: { applyOps, prepare: true }, ...session, ...first }),
    entry(n + 1, {
      op: 'c',
      ns: 'admin.$cmd',
      ...session,
      prevOpTime,
      o: { commitTransaction: 1, commitTimestamp },
    }),
  ];
}

test('shards: migrations delete nothing; a document that was moved here is as it was before its own deletion', () => {
  const migrate = { fromMigrate: true };
  const a = [
    entry(5, on('i', { _id: 1, v: 'moved' }, migrate)),
    set(6, 1, { v: 'here' }),
    remove(12, 1),
    entry(13, on('d', { _id: 2 }, migrate)),
  ];
  const b = [entry(14, on('d', { _id: 1 }, migrate)), remove(15, 3)];
  assert.equal(
    ofShards(deleted(10, 20), [a, [{ _id: 2 }]], [b, [{ _id: 1, v: 'left behind' }, { _id: 3 }]]),
    [['{"_id":1,"v":"here"}'], ['{"_id":3}']],
  );
  const updates = [entry(11, on('i', { _id: 1, v: 1 }, migrate)), set(12, 1, { v: 2 })];
  const copied = entry(13, on('u', { _id: 9, v: 3 }, { o2: { _id: 9 }, ...migrate }));
  assert.equal(ofShards(changed(10, 20), [[...updates, copied], [{ _id: 9 }]], [[], [{ _id: 1, v: 1 }]]), [
    ['{"_id":1,"v":1}'],
    [],
  ]);
});

test('shards: of deletions on two the last counts, of changes the first', () => {
  const base = [{ _id: 1, v: 'a' }];
  const a = [remove(11, 1)];
  const b = [insert(12, { _id: 1, v: 'b' }), remove(13, 1)];
  for (const [first, second] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const shards = [
      [a, base],
      [b, []],
    ] as const;
    const found = ofShards(deleted(10, 20), shards[first], shards[second]);
    assert.equal(found.flat(), ['{"_id":1,"v":"b"}']);
  }
  const earlier = [set(11, 1, { v: 2 })];
  const later = [entry(12, on('i', { _id: 1, v: 2 }, { fromMigrate: true })), set(13, 1, { v: 3 })];
  assert.equal(ofShards(changed(10, 20), [later, []], [earlier, [{ _id: 1, v: 1 }]]), [
    [],
    ['{"_id":1,"v":1}'],
  ]);
});

test('shards: a new shard key moves a document, which is no deletion, and a change where a field is another', () => {
  const base = [{ _id: 1, k: 1, v: 1 }];
  const away = across(11, 11, on('d', { _id: 1, k: 1 }));
  const here = (v: number): Buffer[] => across(14, 11, on('i', { _id: 1, k: 9, v }));
  assert.equal(ofShards(deleted(10, 20), [away, base], [here(1), []]), [[], []]);
  // What was deleted before it came back and moved is still what was lost.
  const lost = [remove(9, 1), insert(10, { _id: 1, k: 1, v: 5 }), ...away];
  assert.equal(ofShards(deleted(8, 20), [lost, base], [here(5), []]), [['{"_id":1,"k":1,"v":1}'], []]);
  // Deleted by a transaction of several shards, and not moved.
  assert.equal(ofShards(deleted(10, 20), [away, base], [[], []]), [['{"_id":1,"k":1,"v":1}'], []]);
  assert.equal(ofShards(changed(10, 20, 'v'), [away, base], [here(1), []]), [[], []]);
  assert.equal(ofShards(changed(10, 20, 'v'), [away, base], [here(2), []]), [['{"_id":1,"k":1,"v":1}'], []]);
  assert.equal(ofShards(changed(10, 20), [away, base], [here(1), []]), [['{"_id":1,"k":1,"v":1}'], []]);
  assert.equal(ofShards(changed(10, 20), [away, base], [[], []]), [[], []]);
});

test('shards: a drop in the window is refused, for copies lie on several shards', () => {
  assert.throws(
    () => ofShards(deleted(10, 20), [[command(12, { drop: 'a' })], [{ _id: 1 }]]),
    (fault: unknown) =>
      fault instanceof OplogFault &&
      /was dropped/.test(fault.message) &&
      /end of every window/.test(fault.hint ?? ''),
  );
});

test.run();
