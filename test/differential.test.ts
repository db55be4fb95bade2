/**
 * The engine against a real mongod: same documents, same queries, same answers.
 *
 * `npm run differential -- --seed 7 --pairs 1000000` asks more.
 */
import * as assert from 'uvu/assert';
import { parseExtendedJson } from '../src/bson/extended-json.ts';
import { KeySet } from '../src/bson/key-set.ts';
import { BSON } from '../src/bson/types.ts';
import { writeExtendedJson } from '../src/bson/write-extended-json.ts';
import { comparesText } from '../src/query/compile-query.ts';
import { KeyPath } from '../src/selection/routes.ts';
import { runCampaign } from './differential/campaign.ts';
import { runExpressionCampaign } from './differential/expression-campaign.ts';
import { command, RawConnection } from './differential/raw-connection.ts';
import { REGRESSIONS } from './differential/regressions.ts';
import { askEngine, askServer, queryBytes, storeDocuments } from './differential/two-answers.ts';
import { test } from './harness.ts';
import { type Standalone, startStandalone } from './lab/mongod.ts';

let server: Standalone;
let connection: RawConnection;
test.before(async () => {
  server = await startStandalone();
  connection = await RawConnection.open(server.port);
});
test.after(async () => {
  connection.close();
  await server.stop();
});

/** What the engine may refuse although the server answers; all of it is refused by name before a document is read. */
const MAY_REFUSE = [
  /^regular expression: \{,2\} means a repetition to some versions/,
  /^regular expression: a repetition must follow a character or a group/,
  /^regular expression: a group that starts with "\(\?>" is not supported/,
  /^regular expression: \\N\{…\} is not supported/,
  /^regular expression: what lookbehind matches must have a fixed length/,
  // The server does not look at some keywords of a whole document, for which they can mean nothing.
  /^"multipleOf" expects a positive number/,
  /^\$bits\w+: write positions where binary data has the highest bit/,
];

/** `npm run differential` asks more of them. */
const PAIRS_PER_SEED = 1_500;

for (const seed of [1, 2, 3, 4]) {
  test(`${PAIRS_PER_SEED} random queries, seed ${seed}: engine and server give the same documents`, async () => {
    const result = await runCampaign(connection, { seed, pairs: PAIRS_PER_SEED });
    assert.is(result.mismatches.length, 0, `\n${result.mismatches.join('\n\n')}`);
    for (const words of result.unsupported.keys()) {
      assert.ok(
        MAY_REFUSE.some((pattern) => pattern.test(words)),
        `refused although the server answers: ${words}`,
      );
    }
    assert.ok(result.agreed > 0.75 * PAIRS_PER_SEED, `only ${result.agreed} pairs were answered by both`);
    assert.ok(
      result.selecting > 0.2 * PAIRS_PER_SEED,
      `only ${result.selecting} answers tell documents apart`,
    );
  });
}

/** What only documents show; the server's query would go on where it does not look at them. */
const MAY_REFUSE_VALUES = [
  / a timezone is written as an offset such as "\+02:00" here$/,
  / of a date before 1970 with milliseconds is not supported$/,
  / of a date and a decimal is not supported$/,
  / a document holds a date beyond the year 275000$/,
  /^\$\w+ needs (numbers|a date) and a document holds \w+$/,
  / leaves the range of dates$/,
  /: "startOfWeek" is no day of the week$/,
];

for (const seed of [1, 2]) {
  test(`1500 random expressions, seed ${seed}: engine and server give the same values`, async () => {
    const result = await runExpressionCampaign(connection, { seed, count: 1500 });
    assert.is(result.mismatches.length, 0, `\n${result.mismatches.join('\n\n')}`);
    for (const words of result.unsupported.keys()) {
      assert.ok(
        MAY_REFUSE_VALUES.some((pattern) => pattern.test(words)),
        `refused although the server answers: ${words}`,
      );
    }
    assert.ok(result.agreed > 1250, `only ${result.agreed} expressions have values`);
  });
}

test('queries that compare no text have the same answer under a collation', async () => {
  const collation = command({ locale: 'en', strength: 1 });
  const letter = await storeDocuments(connection, [command({ _id: 0, a: 'a' })], collation);
  const capital = command({ a: 'A' });
  assert.ok(comparesText(capital));
  assert.equal(await askServer(connection, letter, capital), { ids: [0] }, 'the collation is at work');
  const result = await runCampaign(connection, {
    seed: 6,
    pairs: 1500,
    collation,
    only: (query) => !comparesText(query),
  });
  assert.is(result.mismatches.length, 0, `\n${result.mismatches.join('\n\n')}`);
  assert.ok(result.selecting > 150, `only ${result.selecting} answers tell documents apart`);
});

test('a position is the name that an element has in its array, for a query and for a key', async () => {
  const array = command({ '1': 7 });
  const misnumbered = { bytes: array, type: BSON.ARRAY, start: 0, end: array.length };
  const collection = await storeDocuments(connection, [command({ _id: 0, a: misnumbered })]);
  for (const [path, ids] of [
    ['a.0', []],
    ['a.1', [0]],
    ['a', [0]],
  ] as const) {
    const filter = queryBytes(new Map([[path, new Map([['$in', [7]]])]]));
    assert.equal(await askServer(connection, collection, filter), { ids }, path);
    assert.equal(askEngine(collection, filter), { ids }, path);
    const keys = new KeySet();
    keys.add({ bytes: Buffer.from([7, 0, 0, 0]), type: BSON.INT32, start: 0, end: 4 });
    const document = collection.documents[0] as Buffer;
    const refers = new KeyPath(path, 'foreign').some(document, 0, (value) => keys.has(value));
    assert.is(refers, ids.length > 0, path);
  }
});

test('the names of elements count where a query compares arrays, and not where an expression does', async () => {
  const array = command({ '1': 7 });
  const misnumbered = { bytes: array, type: BSON.ARRAY, start: 0, end: array.length };
  const collection = await storeDocuments(connection, [command({ _id: 0, a: misnumbered })]);
  for (const [query, ids] of [
    ['{"a":[7]}', []],
    ['{"$expr":{"$eq":["$a",[7]]}}', [0]],
    ['{"$expr":{"$in":["$a",[1,[7]]]}}', [0]],
  ] as const) {
    const filter = queryBytes(parseExtendedJson(query));
    assert.equal(await askServer(connection, collection, filter), { ids }, query);
    assert.equal(askEngine(collection, filter), { ids }, query);
  }
});

for (const { about, document, query, selected } of REGRESSIONS) {
  test(`regression: ${about}`, async () => {
    const collection = await storeDocuments(connection, [writeExtendedJson(parseExtendedJson(document))]);
    const filter = queryBytes(parseExtendedJson(query));
    const ids = selected ? [0] : [];
    assert.equal(await askServer(connection, collection, filter), { ids }, 'the server');
    assert.equal(askEngine(collection, filter), { ids }, 'the engine');
  });
}

test.run();
