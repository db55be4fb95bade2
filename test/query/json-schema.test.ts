/** Keywords of a whole document that the differential test leaves out, and what is refused by name. */
import * as assert from 'uvu/assert';
import { parseExtendedJson } from '../../src/bson/extended-json.ts';
import { writeExtendedJson } from '../../src/bson/write-extended-json.ts';
import { compileQuery, type Matcher } from '../../src/query/compile-query.ts';
import { parseQuery } from '../../src/query/parse-query.ts';
import { QueryFault } from '../../src/query/query-fault.ts';
import { test } from '../harness.ts';

const document = (text: string): Buffer => writeExtendedJson(parseExtendedJson(text));
const schema = (text: string): Matcher =>
  compileQuery(parseQuery(parseExtendedJson(`{"$jsonSchema":${text}}`)));

const CASES: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['{"maxProperties":1}', ['{}', '{"a":1}'], ['{"a":1,"b":2}']],
  ['{"not":{"maxProperties":1}}', ['{"a":1,"b":2}'], ['{"a":1}']],
  ['{"minProperties":2}', ['{"a":1,"b":2}'], ['{"a":1}']],
  [
    '{"required":["a"],"properties":{"a":{"bsonType":"int","minimum":3}}}',
    ['{"a":3}'],
    ['{}', '{"a":3.0}', '{"a":2}'],
  ],
  ['{"properties":{"a":{"multipleOf":0.1}}}', ['{"a":0.3}', '{"a":"x"}'], ['{"a":0.35}']],
  ['{"enum":[{"a":1,"b":2}]}', ['{"b":2,"a":1.0}'], ['{"a":1}']],
  ['{"bsonType":"string"}', [], ['{}']],
];

for (const [text, matching, others] of CASES) {
  test(`$jsonSchema ${text}`, () => {
    const matches = schema(text);
    for (const each of matching) assert.ok(matches(document(each), 0), `should match ${each}`);
    for (const each of others) assert.not(matches(document(each), 0), `should not match ${each}`);
  });
}

const REFUSED: readonly (readonly [string, string, RegExp])[] = [
  ['{"$ref":"#/definitions/x"}', '$jsonSchema', /"\$ref" is not supported; supported are type, bsonType/],
  ['{"type":"integer"}', '$jsonSchema.type', /"integer" is not a type/],
  ['{"properties":{"a.b":{}}}', '$jsonSchema.properties', /no certain meaning/],
  ['{"properties":{"a":{"minimum":"1"}}}', '$jsonSchema.properties.a.minimum', /expects a number/],
  ['{"exclusiveMaximum":true}', '$jsonSchema.exclusiveMaximum', /needs "maximum"/],
  ['{"encrypt":{}}', '$jsonSchema', /"encrypt" is not supported/],
  [
    '{"patternProperties":{"\\\\x{100}":{}}}',
    '$jsonSchema.patternProperties.\\x{100}',
    /character number is too large/,
  ],
  ['{"allOf":[]}', '$jsonSchema.allOf', /not empty/],
];

for (const [text, path, message] of REFUSED) {
  test(`$jsonSchema refuses ${text}`, () => {
    try {
      schema(text);
      assert.unreachable('should have been refused');
    } catch (fault) {
      assert.instance(fault, QueryFault);
      assert.is((fault as QueryFault).path, path);
      assert.match((fault as QueryFault).message, message);
    }
  });
}

test.run();
