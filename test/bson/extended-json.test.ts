import * as assert from 'uvu/assert';
import { ExtendedJsonFault, parseExtendedJson } from '../../src/bson/extended-json.ts';
import { showDocument } from '../../src/bson/show.ts';
import { writeExtendedJson } from '../../src/bson/write-extended-json.ts';
import { test } from '../harness.ts';

/** [Extended JSON as written, canonical form]. */
const READ: readonly (readonly [string, string])[] = [
  ['{"2":1,"1":2}', '{"2":{"$numberInt":"1"},"1":{"$numberInt":"2"}}'],
  ['{"a":1,"a":2}', '{"a":{"$numberInt":"1"},"a":{"$numberInt":"2"}}'],
  [
    '{"a":1.0,"b":-0.0,"c":1e3}',
    '{"a":{"$numberDouble":"1.0"},"b":{"$numberDouble":"-0.0"},"c":{"$numberDouble":"1000.0"}}',
  ],
  ['{"a":9007199254740993}', '{"a":{"$numberLong":"9007199254740993"}}'],
  ['{"a":{"$date":"2016-09-13T13:00:00.5Z"}}', '{"a":{"$date":{"$numberLong":"1473771600500"}}}'],
  ['{"a":{"$date":1473771600000}}', '{"a":{"$date":{"$numberLong":"1473771600000"}}}'],
  ['{"a":{"$binary":"AQI=","$type":"02"}}', '{"a":{"$binary":{"base64":"AQI=","subType":"02"}}}'],
  [
    '{"a":{"$uuid":"73ffd264-44b3-4c69-90e8-e7d1dfc035d4"}}',
    '{"a":{"$binary":{"base64":"c//SZESzTGmQ6OfR38A11A==","subType":"04"}}}',
  ],
  ['{"a":{"$regex":"x","$options":"mi"}}', '{"a":{"$regularExpression":{"pattern":"x","options":"im"}}}'],
  [
    '{"a":{"$code":"f()","$scope":{"x":{"$numberLong":"1"}}}}',
    '{"a":{"$code":"f()","$scope":{"x":{"$numberLong":"1"}}}}',
  ],
  ['{"a":{"$ref":"c","$id":1}}', '{"a":{"$ref":"c","$id":{"$numberInt":"1"}}}'],
  ['{"a":{"$numberDecimal":"1.00"}}', '{"a":{"$numberDecimal":"1.00"}}'],
  ['{"a":"\\u202e\\u001b[2J"}', '{"a":"\\u202e\\u001b[2J"}'],
];

for (const [text, canonical] of READ) {
  test(`reads ${text}`, () => assert.is(showDocument(writeExtendedJson(parseExtendedJson(text))), canonical));
}

const REFUSED: readonly (readonly [string, string])[] = [
  ['{"a":{"$oid":"xyz"}}', 'a'],
  ['{"a":{"b":[{"$oid":"57d17993a09a6759d8000d9e","c":1}]}}', 'a.b.0'],
  ['{"a":{"$date":"2016-09-13T13:00:00"}}', 'a'],
  ['{"a":{"$date":"2016-02-30T13:00:00Z"}}', 'a'],
  ['{"a":{"$numberInt":"2147483648"}}', 'a'],
  ['{"a":{"$numberLong":"9223372036854775808"}}', 'a'],
  ['{"a":{"$numberDecimal":"12345678901234567890123456789012345"}}', 'a'],
  ['{"a":"\\ud800"}', 'a'],
  ['{"a":{"$regularExpression":{"pattern":"x","options":"\\ud800"}}}', 'a'],
  ['{"a":{"$timestamp":{"t":null,"i":1}}}', 'a'],
  ['{"a":{"$timestamp":{"t":1,"i":[]}}}', 'a'],
  ['{"a":{"$numberDouble":"1e400"}}', 'a'],
  ['{"a":1e400}', ''],
  ['{"a\\u0000b":1}', 'a\0b'],
  ['{"a":1,}', ''],
  [`{"a":1${'0'.repeat(400)}}`, ''],
  ['{"a":01}', ''],
  ['{"a":"x', ''],
  ['{"a":1} x', ''],
];

for (const [text, path] of REFUSED) {
  test(`refuses ${text}`, () => {
    try {
      writeExtendedJson(parseExtendedJson(text));
      assert.unreachable('should have been refused');
    } catch (fault) {
      assert.instance(fault, ExtendedJsonFault);
      assert.is((fault as ExtendedJsonFault).path, path);
    }
  });
}

test.run();
