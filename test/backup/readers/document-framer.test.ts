import { serialize } from 'bson';
import * as fc from 'fast-check';
import * as assert from 'uvu/assert';
import { DocumentFramer } from '../../../src/backup/readers/member.ts';
import { BsonFault } from '../../../src/bson/elements.ts';
import { test } from '../../harness.ts';

const documents = fc
  .array(fc.integer({ min: 0, max: 200 }), { maxLength: 20 })
  .map((sizes) => sizes.map((size, _id) => Buffer.from(serialize({ _id, pad: 'x'.repeat(size) }))));
const cuts = fc.array(fc.integer({ min: 1, max: 150 }), { minLength: 1, maxLength: 30 });

/** Hands the bytes over in pieces of these lengths, each in a buffer that is overwritten afterwards; returns copies of the documents. */
function push(
  framer: DocumentFramer,
  bytes: Buffer,
  lengths: readonly number[],
  seen: Buffer[] = [],
): Buffer[] {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const chunk = Buffer.from(bytes.subarray(at, at + (lengths[i % lengths.length] as number)));
    for (const { bytes: lent, starts, count } of framer.push(chunk)) {
      assert.ok(count > 0);
      for (let d = 0; d < count; d++) seen.push(Buffer.from(lent.subarray(starts[d], starts[d + 1])));
    }
    at += chunk.length;
    chunk.fill(0xee);
  }
  return seen;
}

test('every document is given whole, once and in order, for one member after the other', () => {
  fc.assert(
    fc.property(documents, documents, cuts, (first, second, lengths) => {
      const framer = new DocumentFramer();
      for (const made of [first, second]) {
        assert.equal(push(framer, Buffer.concat(made), lengths), made);
        assert.is(framer.documents, made.length);
        framer.end();
      }
    }),
    { seed: 5, numRuns: 300 },
  );
});

test('many small documents come some thousands at a time', () => {
  const made = Array.from({ length: 10_000 }, (_, _id) => Buffer.from(serialize({ _id })));
  const counts = [...new DocumentFramer().push(Buffer.concat(made))].map(({ count }) => count);
  assert.equal(counts, [4096, 4096, 1808]);
});

test('a fault is placed by its byte in the member, wherever the cuts are', () => {
  fc.assert(
    fc.property(documents, cuts, (made, lengths) => {
      const framer = new DocumentFramer();
      const good = Buffer.concat(made);
      const bad = Buffer.from([11, 0, 0, 0, 0x10, 0x61, 0, 1, 0, 0, 7]);
      const seen: Buffer[] = [];
      const error = caught(() => push(framer, Buffer.concat([good, bad]), lengths, seen));
      assert.equal(seen, made);
      assert.is(error.offset, good.length + bad.length - 1);
      assert.is(framer.documents, made.length + 1);
    }),
    { seed: 6, numRuns: 100 },
  );
});

test('a member that ends inside a document is refused', () => {
  const whole = Buffer.from(serialize({ _id: 1 }));
  for (let length = 1; length < whole.length; length++) {
    const framer = new DocumentFramer();
    push(framer, whole, [whole.length]);
    push(framer, whole.subarray(0, length), [length]);
    const error = caught(() => framer.end());
    assert.is(error.offset, whole.length);
    assert.is(framer.documents, 2);
  }
});

function caught(act: () => void): BsonFault {
  try {
    act();
  } catch (error) {
    assert.instance(error, BsonFault);
    return error as BsonFault;
  }
  return assert.unreachable('should have been refused') as never;
}

test.run();
