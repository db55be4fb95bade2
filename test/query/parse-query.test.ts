import * as assert from 'uvu/assert';
import { showDocument } from '../../src/bson/show.ts';
import { parseQuery } from '../../src/query/parse-query.ts';
import { QueryFault } from '../../src/query/query-fault.ts';
import { test } from '../harness.ts';

const READ: readonly (readonly [string, string])[] = [
  ['{ a: ObjectId("57d17993a09a6759d8000d9e") }', '{"a":{"$oid":"57d17993a09a6759d8000d9e"}}'],
  [
    '{ b: 1, 2: 3, a: { $lt: -4 } }',
    '{"b":{"$numberInt":"1"},"2":{"$numberInt":"3"},"a":{"$lt":{"$numberInt":"-4"}}}',
  ],
  ['{ a: 1.0, b: 3000000000 }', '{"a":{"$numberDouble":"1.0"},"b":{"$numberLong":"3000000000"}}'],
  ['{ a: ISODate("2016-09-13T09:00:00-04:00") }', '{"a":{"$date":{"$numberLong":"1473771600000"}}}'],
  ['{ a: /^x/i }', '{"a":{"$regularExpression":{"pattern":"^x","options":"i"}}}'],
  ['{ a: { $regex: "x", $options: "i" } }', '{"a":{"$regex":"x","$options":"i"}}'],
  [
    '{ a: { $in: [NumberLong("9007199254740993"), MinKey(), undefined] } }',
    '{"a":{"$in":[{"$numberLong":"9007199254740993"},{"$minKey":1},{"$undefined":true}]}}',
  ],
  ['{ "__proto__": 1 } // why not', '{"__proto__":{"$numberInt":"1"}}'],
];

for (const [text, expected] of READ) {
  test(`shell syntax: ${text}`, () => assert.is(showDocument(parseQuery(text)), expected));
}

const REFUSED: readonly (readonly [string, string, RegExp])[] = [
  ['{ a: 1, a: 2 }', 'a', /comes twice/],
  ['{ a: 12345678901234567890 }', 'a', /lost digits/],
  ['{ a: 1e400 }', 'a', /too large/],
  ['{ a: new Date() }', 'a', /is written ISODate/],
  ['{ a: ObjectId() }', 'a', /24 hexadecimal digits/],
  ['{ a: ObjectId("57d1") }', 'a', /24 hexadecimal digits/],
  ['{ a: b }', 'a', /text needs quotes/],
  ['{ a: function () { return 1 } }', 'a', /nothing is run/],
  ['{ a: { $gt: 1 + 1 } }', 'a.$gt', /nothing is run/],
  ['{ a: ({}).__lookupGetter__("__proto__").constructor("return 1").call() }', 'a', /methods are not run/],
  ['{}) + ({}', '', /nothing is run/],
  ['', '', /not a query/],
  ['[1]', '', /expected an object/],
];

for (const [text, path, message] of REFUSED) {
  test(`shell syntax refuses ${text}`, () => {
    try {
      parseQuery(text);
      assert.unreachable('should have been refused');
    } catch (fault) {
      assert.instance(fault, QueryFault);
      assert.is((fault as QueryFault).path, path);
      assert.match((fault as QueryFault).message, message);
    }
  });
}

test.run();
