/** A matcher may meet any bytes inside a frame: it answers or throws BsonFault, and never loops or reads beyond. */
import * as assert from 'uvu/assert';
import { BsonFault } from '../../src/bson/elements.ts';
import { writeExtendedJson } from '../../src/bson/write-extended-json.ts';
import { compileQuery, type Matcher } from '../../src/query/compile-query.ts';
import { QueryFault } from '../../src/query/query-fault.ts';
import { randomExpression } from '../differential/random-expressions.ts';
import { randomQuery } from '../differential/random-queries.ts';
import { randomDocument, valuesIn, wrap } from '../differential/random-values.ts';
import { queryBytes } from '../differential/two-answers.ts';
import { test } from '../harness.ts';
import { seededRandom } from '../lab/random.ts';

const random = seededRandom(20160913);
const trees = Array.from({ length: 150 }, (_, id) => randomDocument(random, id));
const values = trees.flatMap(valuesIn);

function matchers(): Matcher[] {
  return Array.from({ length: 400 }, (_, index) => {
    const query =
      index % 4 === 0 ? wrap('$expr', randomExpression({ random, values })) : randomQuery({ random, values });
    try {
      return [compileQuery(queryBytes(query))];
    } catch (fault) {
      assert.instance(fault, QueryFault);
      return [];
    }
  }).flat();
}

test('documents with flipped, zeroed and large bytes are matched or refused', () => {
  const outcomes = { answers: 0, faults: 0 };
  const queries = matchers();
  for (const tree of trees) {
    const whole = writeExtendedJson(tree);
    // Neighbours on both sides, as in a chunk: reading into them would go unnoticed in a buffer of its own.
    const chunk = Buffer.concat([Buffer.alloc(64, 0x41), whole, Buffer.alloc(64, 0x41)]);
    for (let damage = 0; damage < 300; damage++) {
      const bytes = Buffer.from(chunk);
      for (let times = random.integer(1, 3); times > 0; times--) {
        bytes[64 + random.integer(4, whole.length - 2)] = random.pick([
          0x00,
          0x7f,
          0xff,
          random.integer(0, 255),
        ]);
      }
      const matches = random.pick(queries);
      try {
        matches(bytes, 64);
        outcomes.answers++;
      } catch (fault) {
        if (!(fault instanceof QueryFault)) assert.instance(fault, BsonFault, String((fault as Error).stack));
        outcomes.faults++;
      }
    }
  }
  assert.ok(outcomes.answers > 10_000 && outcomes.faults > 1000, JSON.stringify(outcomes));
});

test.run();
