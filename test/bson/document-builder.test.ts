/** What it writes is what the driver's own serializer makes of the same document. */
import { Long, serialize } from 'bson';
import * as assert from 'uvu/assert';
import { DocumentBuilder } from '../../src/bson/document-builder.ts';
import { Documents } from '../../src/bson/documents.ts';
import { BSON } from '../../src/bson/types.ts';
import { test } from '../harness.ts';
import { seededRandom } from '../lab/random.ts';

test('keys of all letters, also where they outgrow the buffer', () => {
  const random = seededRandom(11);
  const letters = ['a', 'Z', '~', '\u007f', '\u0080', 'é', 'ß', '€', '\uffff', '😀'];
  for (let round = 0; round < 200; round++) {
    const keys = Array.from({ length: random.integer(1, 12) }, (_, i) => {
      const text = Array.from({ length: random.integer(0, 119) }, () => random.pick(letters));
      return `${i}.${random.chance(0.5) ? 'ascii only' : text.join('')}`;
    });
    const builder = new DocumentBuilder();
    builder.embed((document) => {
      for (const [i, key] of keys.entries()) {
        document.element(BSON.INT32, key);
        document.int32(i);
      }
    });
    assert.equal(
      builder.finish(),
      Buffer.from(serialize(Object.fromEntries(keys.map((key, i) => [key, i])))),
      keys.join(' '),
    );
  }
});

test('values from elsewhere, and several documents in one buffer', () => {
  const values = [1, Long.fromNumber(2 ** 40), 'text', { a: [1, 2] }, 'x'.repeat(3_000_000), true];
  const sources = values.map((_id) => Buffer.from(serialize({ _id, more: 1 })));
  const from = Documents.of(sources);
  const builder = new DocumentBuilder();
  const starts = values.map((_, i) => {
    const start = builder.beginDocument();
    builder.element(from.idType(i), '_id');
    builder.value(from.id(i));
    builder.endDocument(start);
    return start;
  });
  const built = new Documents(builder.finish(), starts);
  for (const [i, _id] of values.entries()) {
    assert.equal(built.document(i), Buffer.from(serialize({ _id })));
    for (let j = 0; j < values.length; j++) assert.is(built.hasIdOf(i, from, j), i === j, `${i} ${j}`);
  }
});

test('an `_id` is the same only where its type is, and where there is one', () => {
  const of = (document: object): Documents => Documents.of([Buffer.from(serialize(document))]);
  const same = (a: object, b: object): boolean => of(a).hasIdOf(0, of(b), 0);
  assert.ok(same({ _id: 1, a: 1 }, { b: 2, _id: 1 }));
  assert.not.ok(same({ _id: 1 }, { _id: Long.fromNumber(1) }));
  assert.not.ok(same({ _id: 'a' }, { _id: 'A' }));
  assert.not.ok(same({ _id: 'a' }, { _id: 'ab' }));
  assert.not.ok(same({ a: 1 }, { a: 1 }));
  assert.not.ok(same({ a: 1 }, { _id: 1 }));
});

test.run();
