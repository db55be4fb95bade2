/** Which operations are told as one run: those of one kind and origin without a pause between them. */
import type { Document } from 'bson';
import * as assert from 'uvu/assert';
import { OplogEntry } from '../../src/oplog/entry.ts';
import { History } from '../../src/oplog/history.ts';
import { type HistoryRun, MOST_RUNS } from '../../src/oplog/history-runs.ts';
import { copyOf } from '../../src/oplog/wanted.ts';
import { test } from '../harness.ts';
import { entry, OTHER_UUID, on, UUID, uuid, WALL } from './by-hand.ts';

const EVERYTHING = { since: 0, until: Number.POSITIVE_INFINITY };

/** Of every collection, at any time. */
const ofAll = (): History =>
  new History({ database: 'shop', collections: undefined, ...EVERYTHING, facts: () => undefined });

/** Counts of the runs that inserts at these seconds make. */
function runsAt(seconds: readonly number[]): (number | undefined)[] {
  const history = ofAll();
  const index = history.named('shop.a');
  for (const [_id, second] of seconds.entries()) {
    const operation = new OplogEntry().read(entry(second, on('i', { _id })), 0);
    history.operation(index, operation, operation);
  }
  return history.runs.map(({ count }) => count);
}

test('a pause of more than five seconds ends a run, however long what is without one goes on', () => {
  assert.equal(runsAt([0, 5, 10, 15, 20]), [5]);
  assert.equal(runsAt([0, 1, 7, 8, 28]), [2, 2, 1]);
});

test('no run reaches across a moment that breaks it, also where runs are joined', () => {
  const breaks = [WALL + 10_000];
  const history = new History({
    ...{ database: 'shop', collections: undefined, ...EVERYTHING, facts: () => undefined, breaks },
  });
  const index = history.named('shop.a');
  const take = (second: number): void => {
    const operation = new OplogEntry().read(entry(second, on('d', { _id: second })), 0);
    history.operation(index, operation, operation);
  };
  for (const second of [8, 9, 10, 11, 12]) take(second);
  assert.equal(
    history.runs.map(({ count }) => count),
    [2, 3],
  );
  for (let i = 0; i < MOST_RUNS + 1_000; i++) take(20 + i * 6);
  assert.is(history.runs[0]?.count, 2);
  assert.ok(history.runs.length <= MOST_RUNS);
});

test('where there are very many runs, a longer pause ends one, and none of what they count is lost', () => {
  const history = ofAll();
  const index = history.named('shop.a');
  const documents = MOST_RUNS + 1_000;
  let second = 0;
  const each = (op: 'd' | 'i'): void => {
    for (let _id = 0; _id < documents; _id++) {
      second += 6;
      const operation = new OplogEntry().read(entry(second, on(op, { _id })), 0);
      history.operation(index, operation, operation);
    }
  };
  each('d');
  second += 1_000_000;
  each('i');

  const { runs } = history;
  const sum = (of: (run: HistoryRun) => number): number => runs.reduce((total, run) => total + of(run), 0);
  const deletes = runs.filter(({ kind }) => kind === 'deletes');
  assert.ok(runs.length <= MOST_RUNS, `${runs.length} runs`);
  assert.is(
    sum(({ count }) => count ?? 0),
    2 * documents,
  );
  assert.is(
    sum(({ cameBack }) => cameBack),
    documents,
  );
  assert.ok(runs.every(({ ids, first, last }) => ids.length === 5 && first < last));
  assert.is(deletes.at(0)?.first, WALL + 6_000);
  assert.is(deletes.at(-1)?.last, WALL + documents * 6_000);
  assert.match(
    [...history.notes()].join('\n'),
    /very many deletes: those of a collection that are less than .* apart are told as one/,
  );
});

/** Of a collection with these TTL indexes: why the documents were deleted, in the order of the entries. */
function originsOf(metadata: Document, entries: readonly Buffer[]): string[] {
  const facts = () => ({ capped: false, metadata: JSON.stringify(metadata) });
  const history = new History({ database: 'shop', collections: undefined, ...EVERYTHING, facts });
  const index = history.named('shop.a');
  for (const each of entries) {
    const operation = new OplogEntry().read(each, 0);
    history.operation(index, operation, operation);
  }
  return history.runs.flatMap(({ kind, origin }) => (kind === 'deletes' ? [origin] : []));
}

test('expiry is told by what is known of the document when it is deleted', () => {
  const at = (second: number): Date => new Date(WALL + second * 1000);
  const ttl = (more: Document = {}, field = 'at') => ({
    ...{ key: { [field]: 1 }, name: field, expireAfterSeconds: 5 },
    ...more,
  });
  const made = (o: Document, ...then: Document[]): Buffer[] =>
    [on('i', { _id: 1, ...o }), ...then, on('d', { _id: 1 })].map((each, i) =>
      entry(i === 0 ? 0 : 9 + i, each),
    );
  const set = (u: Document): Document => on('u', { $v: 2, diff: { u } }, { o2: { _id: 1 } });
  const replace = (o: Document): Document => on('u', { _id: 1, ...o }, { o2: { _id: 1 } });
  const one = { indexes: [ttl()] };
  assert.equal(originsOf(one, made({ at: at(1) })), ['expired']);
  assert.equal(originsOf(one, made({ at: at(90) })), ['user']);
  assert.equal(originsOf(one, made({})), ['user'], 'without a date it never expires');
  assert.equal(originsOf(one, made({ at: [at(90), at(1)] })), ['expired'], 'the earliest date counts');
  assert.equal(originsOf(one, [entry(9, on('d', { _id: 1 }))]), ['maybeExpired']);
  assert.equal(originsOf(one, made({ at: at(1) }, set({ at: at(90) }))), ['maybeExpired']);
  assert.equal(originsOf(one, made({ at: at(90) }, set({ at: at(1) }))), ['maybeExpired']);
  assert.equal(originsOf(one, made({ at: at(1) }, set({ other: 1 }))), ['expired']);
  assert.equal(originsOf(one, made({ at: at(1) }, replace({ at: at(90) }))), ['user']);
  assert.equal(originsOf(one, made({ at: at(90) }, replace({ at: at(1) }))), ['expired']);
  const two = { indexes: [ttl({}, 'other'), ttl()] };
  assert.equal(originsOf(two, made({ at: at(1), other: at(90) })), ['expired'], 'any index counts');
  const partial = { indexes: [ttl({ partialFilterExpression: { state: 'done' } })] };
  assert.equal(originsOf(partial, made({ at: at(1), state: 'done' })), ['expired']);
  assert.equal(originsOf(partial, made({ at: at(1), state: 'open' })), ['user']);
  assert.equal(originsOf(partial, made({ at: at(1), state: 'open' }, set({ state: 'done' }))), [
    'maybeExpired',
  ]);
  const clustered = { indexes: [], options: { clusteredIndex: { key: { _id: 1 } }, expireAfterSeconds: 5 } };
  assert.equal(originsOf(clustered, [entry(9, on('d', { _id: at(1) }))]), ['expired']);
});

test("a collection that was made capped has lost nothing, and its copy is the server's own", () => {
  for (const copy of ['tmpAbCdE.convertToCapped', 'tmpAbCdE.convertToCapped.a']) {
    const history = ofAll();
    const insert = new OplogEntry().read(entry(0, { ...on('i', { _id: 1 }), ns: `shop.${copy}` }), 0);
    history.operation(history.named(`shop.${copy}`), insert, insert);
    const rename = { renameCollection: `shop.${copy}`, to: 'shop.a', dropTarget: uuid(UUID) };
    history.follow(
      new OplogEntry().read(entry(1, { op: 'c', ns: 'shop.$cmd', ui: uuid(OTHER_UUID), o: rename }), 0),
      'renameCollection',
    );
    assert.equal(
      history.runs.map(({ kind, origin, isLoss, detail }) => [kind, origin, isLoss, detail]),
      [
        ['inserts', 'internal', false, undefined],
        ['command', 'user', false, 'shop.a was made capped (convertToCapped)'],
      ],
    );
  }
});

test('fields that no path can name are told, and no entry of a plan names them', () => {
  const oddIn = (...diffs: Document[]): boolean[] => {
    const history = ofAll();
    const index = history.named('shop.a');
    for (const [i, diff] of diffs.entries()) {
      const update = on('u', { $v: 2, diff }, { o2: { _id: 1 } });
      const operation = new OplogEntry().read(entry(i * 10, update), 0);
      history.operation(index, operation, operation);
    }
    return history.runs.map(({ hasOddFields }) => hasOddFields);
  };
  assert.equal(oddIn({ u: { 'x.y': 1 } }, { i: { '': 1 } }, { d: { a: false } }), [true, true, false]);
  assert.equal(
    oddIn(
      { sa: { u: { 'x.y': 1 } } },
      { s: { i: { b: 1 } } },
      { sa: { sb: { a: true, u0: 1 } } },
      { 'sa.b': { i: { c: 1 } } },
    ),
    [true, true, false, true],
  );
});

test('a copy of the server is told by the command that makes it, whatever the collection is called', () => {
  assert.is(copyOf('db.tmpabcde.convertToCapped.old.renameCollection'), 'convertToCapped');
  assert.is(copyOf('db.tmpabcde.renameCollection'), 'renameCollection');
  assert.is(copyOf('db.tmp.agg_out.1'), '$out');
  assert.is(copyOf('db.tmpabcde.renameCollections'), undefined);
});

test.run();
