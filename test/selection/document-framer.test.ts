import { serialize } from 'bson';
import * as fc from 'fast-check';
import * as assert from 'uvu/assert';
import { BsonFault } from '../../src/bson/elements.ts';
import { DocumentFramer } from '../../src/selection/document-framer.ts';
import { test } from '../harness.ts';

const documents = fc
  .array(fc.integer({ min: 0, max: 200 }), { maxLength: 20 })
  .map((sizes) => sizes.map((size, _id) => Buffer.from(serialize({ _id, pad: 'x'.repeat(size) }))));
const cuts = fc.array(fc.integer({ min: 1, max: 150 }), { minLength: 1, maxLength: 30 });

/** Hands the bytes over in pieces of these lengths, each in a buffer that is overwritten afterwards. */
function push(framer: DocumentFramer, bytes: Buffer, lengths: readonly number[]): void {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const chunk = Buffer.from(bytes.subarray(at, at + (lengths[i % lengths.length] as number)));
    framer.push(chunk);
    at += chunk.length;
    chunk.fill(0xee);
  }
}

test('every document is seen whole, once and in order, and wanted neighbours come as one run', () => {
  fc.assert(
    fc.property(documents, cuts, fc.infiniteStream(fc.boolean()), (made, lengths, choice) => {
      const wanted = made.map(() => choice.next().value as boolean);
      const seen: Buffer[] = [];
      const taken: Buffer[] = [];
      const framer = new DocumentFramer({
        wants: (bytes, start, end) => {
          seen.push(Buffer.from(bytes.subarray(start, end)));
          return wanted[seen.length - 1] as boolean;
        },
        append: (bytes, start, end) => {
          assert.ok(end > start);
          taken.push(Buffer.from(bytes.subarray(start, end)));
        },
      });
      push(framer, Buffer.concat(made), lengths);
      framer.end();
      assert.equal(seen, made);
      assert.equal(Buffer.concat(taken), Buffer.concat(made.filter((_, i) => wanted[i])));
      assert.is(framer.documents, made.length);
    }),
    { seed: 5, numRuns: 300 },
  );
});

test('a fault is placed by its byte in the member, wherever the cuts are', () => {
  fc.assert(
    fc.property(documents, cuts, (made, lengths) => {
      const framer = new DocumentFramer({ wants: () => false, append: () => {} });
      const good = Buffer.concat(made);
      const bad = Buffer.from([11, 0, 0, 0, 0x10, 0x61, 0, 1, 0, 0, 7]);
      const error = caught(() => push(framer, Buffer.concat([good, bad]), lengths));
      assert.is(error.offset, good.length + bad.length - 1);
      assert.is(framer.documents, made.length + 1);
    }),
    { seed: 6, numRuns: 100 },
  );
});

test('a fault found by the consumer is placed in the member too', () => {
  const framer = new DocumentFramer({
    wants: (_, start) => {
      if (framer.documents === 3) throw new BsonFault('odd', start + 4);
      return true;
    },
    append: () => {},
  });
  const made = [1, 2, 3, 4].map((_id) => Buffer.from(serialize({ _id })));
  const error = caught(() => push(framer, Buffer.concat(made), [9]));
  assert.is(error.offset, 2 * (made[0]?.length ?? 0) + 4);
});

test('a member that ends inside a document is refused', () => {
  const whole = Buffer.from(serialize({ _id: 1 }));
  for (let length = 1; length < whole.length; length++) {
    const framer = new DocumentFramer({ wants: () => true, append: () => {} });
    framer.push(whole);
    framer.push(whole.subarray(0, length));
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
