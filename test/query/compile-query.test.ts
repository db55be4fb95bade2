import * as assert from 'uvu/assert';
import { parseExtendedJson } from '../../src/bson/extended-json.ts';
import { writeExtendedJson } from '../../src/bson/write-extended-json.ts';
import { compileQuery } from '../../src/query/compile-query.ts';
import { parseQuery } from '../../src/query/parse-query.ts';
import { test } from '../harness.ts';

/** [query, documents that match, documents that do not]; Extended JSON. Meanings checked against MongoDB 8.2. */
const CASES: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['{}', ['{}', '{"a":1}'], []],
  [
    '{"a":1}',
    ['{"a":1}', '{"a":1.0}', '{"a":[0,1]}', '{"b":2,"a":{"$numberLong":"1"}}'],
    ['{}', '{"a":"1"}', '{"a":[[1]]}'],
  ],
  ['{"a":null}', ['{}', '{"a":null}', '{"a":[null]}'], ['{"a":0}', '{"a":[]}', '{"a":false}']],
  [
    '{"a.b":null}',
    ['{}', '{"a":1}', '{"a":{"c":1}}', '{"a":[{"c":1}]}'],
    ['{"a":[1]}', '{"a":{"b":0}}', '{"a":[]}'],
  ],
  ['{"a.b":1}', ['{"a":{"b":1}}', '{"a":[{"b":2},{"b":[1]}]}'], ['{"a":1}', '{"a":[[{"b":1}]]}']],
  ['{"a.0":1}', ['{"a":[1,2]}', '{"a":{"0":1}}', '{"a":[{"0":1}]}'], ['{"a":[2,1]}', '{"a":[[1]]}']],
  ['{"a.0.b":1}', ['{"a":[{"b":1}]}', '{"a":[[{"b":1}]]}'], ['{"a":[0,{"b":1}]}']],
  ['{"a":{"$gt":1,"$lt":3}}', ['{"a":2}', '{"a":[0,4]}'], ['{"a":1}', '{"a":"2"}', '{"a":[5]}']],
  ['{"a":{"$gte":null}}', ['{}', '{"a":null}'], ['{"a":1}']],
  ['{"a":{"$ne":1}}', ['{}', '{"a":2}'], ['{"a":1}', '{"a":[1,2]}']],
  ['{"a":{"$in":[1,"x",null]}}', ['{"a":1.0}', '{"a":"x"}', '{}', '{"a":["x"]}'], ['{"a":2}', '{"a":[]}']],
  ['{"a":{"$nin":[1]}}', ['{}', '{"a":2}'], ['{"a":[1]}']],
  ['{"a":{"$exists":true}}', ['{"a":null}'], ['{}']],
  ['{"a":{"$type":"number"}}', ['{"a":1}', '{"a":[1.5]}'], ['{"a":"1"}', '{}']],
  ['{"$or":[{"a":1},{"b":2}]}', ['{"b":2}', '{"a":1,"b":3}'], ['{"a":2}']],
  ['{"$nor":[{"a":1},{"b":2}]}', ['{"a":2}'], ['{"b":2}']],
  ['{"a":{"$not":{"$gt":1}}}', ['{}', '{"a":1}', '{"a":"x"}'], ['{"a":2}']],
  [
    '{"a":{"x":1,"y":2}}',
    ['{"a":{"x":1,"y":2}}', '{"a":{"x":1.0,"y":2}}'],
    ['{"a":{"y":2,"x":1}}', '{"a":{"x":1}}'],
  ],
  ['{"b":1,"a":2,"c":3}', ['{"c":3,"b":1,"z":0,"a":2}'], ['{"b":1,"a":2}', '{"c":3,"b":1,"a":[3]}']],
];

const document = (text: string): Buffer => writeExtendedJson(parseExtendedJson(text));

for (const [query, matching, others] of CASES) {
  test(`${query} selects what the server would`, () => {
    const matches = compileQuery(parseQuery(parseExtendedJson(query)));
    for (const text of matching) assert.ok(matches(document(text), 0), `should match ${text}`);
    for (const text of others) assert.not(matches(document(text), 0), `should not match ${text}`);
  });
}

test.run();
