/** Which shard key entries name and leave, and which shard they let a document be of. Entries by hand: `$v: 1`, keys of other forms, an order that takes chance. */
import { type Document, serialize } from 'bson';
import * as assert from 'uvu/assert';
import { findId } from '../../src/bson/documents.ts';
import type { RawValue } from '../../src/bson/types.ts';
import { OplogEntry } from '../../src/oplog/entry.ts';
import { RecordLog } from '../../src/oplog/record-log.ts';
import { DocumentKeys } from '../../src/oplog/shards/document-keys.ts';
import { ShardWrites } from '../../src/oplog/shards/shard-writes.ts';
import { test } from '../harness.ts';
import { entry, on, SECONDS } from './by-hand.ts';

const bytes = (document: Document): Buffer => Buffer.from(serialize(document));
const read = (fields: Document): OplogEntry => new OplogEntry().read(entry(1, fields), 0);
const update = (key: Document, o: Document): OplogEntry => read(on('u', o, { o2: key }));
const diff = (sections: Document): Document => ({ $v: 2, diff: sections });

/** A collection of which the keys were seen: `named` by the entry is one of `before`, `after` it is one of `then`. */
function follows(keys: DocumentKeys, operation: OplogEntry, before: Document, then: Document): void {
  const named = keys.named(operation);
  const after = keys.after(operation, named);
  assert.ok([...keys.of(bytes(before), 0)].includes(named), `named ${JSON.stringify(before)}`);
  assert.is(after, [...keys.of(bytes(then), 0)][0], `left with ${JSON.stringify(then)}`);
  if (JSON.stringify(before) !== JSON.stringify(then)) assert.is.not(after, named);
}

/** What entries do to the shard key `a.k, h` of a document that has `before`. */
const NESTED: readonly (readonly [name: string, o: Document, then: Document])[] = [
  ['another field', diff({ u: { n: 2 } }), { a: { k: 1 }, h: 5 }],
  ['a field beside it', diff({ sa: { i: { z: 1 } } }), { a: { k: 1 }, h: 5 }],
  ['the inner field', diff({ sa: { u: { k: 9 } } }), { a: { k: 9 }, h: 5 }],
  ['the object around it', diff({ u: { a: { z: 0, k: 9 } } }), { a: { k: 9 }, h: 5 }],
  ['both', diff({ u: { h: 6 }, sa: { u: { k: 9 } } }), { a: { k: 9 }, h: 6 }],
  ['one is gone', diff({ d: { h: false } }), { a: { k: 1 } }],
  ['the object is gone', diff({ d: { a: false } }), { h: 5 }],
  ['an object as value', diff({ sa: { u: { k: { x: 1 } } } }), { a: { k: { x: 1 } }, h: 5 }],
  ['whole', { _id: 7, a: { k: 9 }, h: 5, n: 1 }, { a: { k: 9 }, h: 5 }],
  ['$v: 1, the inner field', { $v: 1, $set: { 'a.k': 9, n: 1 } }, { a: { k: 9 }, h: 5 }],
  ['$v: 1, the object around it', { $v: 1, $set: { a: { k: 9 } } }, { a: { k: 9 }, h: 5 }],
  ['$v: 1, one is gone', { $v: 1, $unset: { h: true } }, { a: { k: 1 } }],
];

test('the key of a document, and the one that an update leaves', () => {
  for (const [name, o, then] of NESTED) {
    const keys = new DocumentKeys();
    keys.named(read(on('d', { 'a.k': 0, h: 0, _id: 1 })));
    const before = { _id: 7, a: { k: 1 }, h: 5 };
    const operation = update({ 'a.k': 1, h: 5, _id: 7 }, o);
    try {
      follows(keys, operation, before, { _id: 7, ...then });
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`);
    }
  }
});

test('within a value that is an object', () => {
  const keys = new DocumentKeys();
  const before = { _id: 7, k: { x: 1, y: 2 } };
  follows(keys, update({ k: before.k, _id: 7 }, diff({ sk: { u: { y: 3 } } })), before, {
    _id: 7,
    k: { x: 1, y: 3 },
  });
  follows(keys, update({ k: before.k, _id: 7 }, { $v: 1, $set: { 'k.y': 4 } }), before, {
    _id: 7,
    k: { x: 1, y: 4 },
  });
});

test('a field of the _id is part of the key', () => {
  const keys = new DocumentKeys();
  const id = { x: 1, y: 2 };
  const document = { _id: id, h: 1 };
  follows(keys, update({ '_id.x': 1, h: 1, _id: id }, diff({ u: { h: 2 } })), document, { _id: id, h: 2 });
});

test('numbers of several types are one key, fields that are missing are none, null is a value', () => {
  const keys = new DocumentKeys();
  const one = keys.named(read(on('d', { k: 1, _id: 7 })));
  assert.is(one, keys.named(update({ k: 1.0, _id: 7 }, diff({ u: { n: 1 } }))));
  assert.is.not(one, keys.named(read(on('d', { k: '1', _id: 7 }))));
  const none = keys.named(read(on('d', { _id: 7 })));
  assert.is.not(none, keys.named(read(on('d', { k: null, _id: 7 }))));
  follows(keys, update({ _id: 7 }, diff({ i: { k: 1 } })), { _id: 7 }, { _id: 7, k: 1 });
});

test('a document is found by all keys that it was named by: before it was sharded, and before the key got more fields', () => {
  const keys = new DocumentKeys();
  const document = { _id: 7, k: 1, h: 5 };
  const names = [{ _id: 7 }, { k: 1, _id: 7 }, { k: 1, h: 5, _id: 7 }].map((key) =>
    keys.named(update(key, diff({ u: { n: 1 } }))),
  );
  assert.equal([...new Set(keys.of(bytes(document), 0))], names.reverse());
  assert.is(new Set(names).size, 3);
  // An insert by an older server names none.
  assert.is(keys.named(read(on('i', document))), names[0]);
});

test('a copy of which no entry says that it counts is left out only where another shard was brought the document since, and has it', () => {
  const writes = new ShardWrites(new RecordLog('/nowhere/moves'));
  const document = bytes({ _id: 7, k: 1 });
  const id = findId(document) as RawValue;
  const move = (number: number, ordinal: number, op: 'i' | 'd'): void =>
    writes.moved(number, id, { seconds: SECONDS, ordinal }, read(on(op, { _id: 7, k: 1 })));
  const isOrphan = (): boolean => writes.isOrphan(1, document, 0);
  move(1, 1, 'i');
  writes.written(0, id, { seconds: SECONDS, ordinal: 2 }, update({ k: 1, _id: 7 }, diff({ u: { n: 1 } })));
  assert.is(isOrphan(), true, 'the first shard has it as it was written');
  move(0, 3, 'd');
  assert.is(isOrphan(), false);
  move(2, 4, 'i');
  assert.is(isOrphan(), true);
  // That migration was given up.
  move(2, 5, 'd');
  assert.is(isOrphan(), false);
});

test.run();
