import { serialize } from 'bson';
import * as fc from 'fast-check';
import * as assert from 'uvu/assert';
import type { WholeDocuments } from '../../src/backup/backup.ts';
import { BsonFault } from '../../src/bson/elements.ts';
import { RestorePlanError } from '../../src/errors.ts';
import { DocumentWalk, TimeLimit } from '../../src/selection/document-walk.ts';
import { test } from '../harness.ts';

const MEMBER = { collection: 'things', path: 'dump/things.bson', id: 0 };

const made = fc
  .array(fc.integer({ min: 0, max: 200 }), { minLength: 1, maxLength: 2000 })
  .map((sizes) => sizes.map((size, _id) => Buffer.from(serialize({ _id, pad: 'x'.repeat(size) }))));

/** Pieces of so many documents each, with other bytes around them, as in a chunk that is cut anywhere. */
function* pieces(documents: readonly Buffer[], sizes: readonly number[]): Generator<WholeDocuments> {
  for (let at = 0, i = 0; at < documents.length; i++) {
    const taken = documents.slice(at, at + (sizes[i % sizes.length] as number));
    const around = Buffer.alloc(i % 7, 0xdd);
    const bytes = Buffer.concat([around, ...taken, around]);
    const starts = new Int32Array(taken.length + 1).fill(around.length);
    for (const [d, { length }] of taken.entries()) starts[d + 1] = (starts[d] as number) + length;
    yield { bytes, starts, count: taken.length };
    bytes.fill(0xee);
    at += taken.length;
  }
}

const sizes = fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 10 });

test('every document is shown once and in order, and wanted neighbours come as one run, watched or not', () => {
  fc.assert(
    fc.property(
      made,
      sizes,
      fc.infiniteStream(fc.boolean()),
      fc.boolean(),
      (documents, sizes, choice, watched) => {
        const wanted = documents.map(() => choice.next().value as boolean);
        const seen: Buffer[] = [];
        const taken: Buffer[] = [];
        const walk = new DocumentWalk(
          MEMBER,
          {
            lookAhead: (_, starts, count) => assert.is(starts.length, count),
            wants: (bytes, start, end) => {
              seen.push(Buffer.from(bytes.subarray(start, end)));
              return wanted[seen.length - 1] as boolean;
            },
            append: (bytes, start, end) => {
              assert.ok(end > start);
              taken.push(Buffer.from(bytes.subarray(start, end)));
            },
          },
          watched ? new TimeLimit() : undefined,
        );
        for (const piece of pieces(documents, sizes)) walk.take(piece);
        walk.end();
        assert.equal(seen, documents);
        assert.equal(Buffer.concat(taken), Buffer.concat(documents.filter((_, i) => wanted[i])));
        assert.is(walk.documents, documents.length);
      },
    ),
    { seed: 5, numRuns: 100 },
  );
});

test('a fault found by the consumer is placed in the member, watched or not', () => {
  for (const limit of [undefined, new TimeLimit()]) {
    const documents = [1, 2, 3, 4].map((_id) => Buffer.from(serialize({ _id })));
    const walk: DocumentWalk = new DocumentWalk(
      MEMBER,
      {
        lookAhead: () => {},
        wants: (_, start) => {
          if (walk.documents === 3) throw new BsonFault('odd', start + 4);
          return true;
        },
        append: () => {},
      },
      limit,
    );
    const error = caught(() => {
      for (const piece of pieces(documents, [2])) walk.take(piece);
      walk.end();
    });
    assert.is(error.facts['offset'], 2 * (documents[0]?.length ?? 0) + 4);
    assert.is(error.facts['document'], 3);
  }
});

function caught(act: () => void): RestorePlanError {
  try {
    act();
  } catch (error) {
    assert.instance(error, RestorePlanError);
    return error as RestorePlanError;
  }
  return assert.unreachable('should have been refused') as never;
}

test.run();
