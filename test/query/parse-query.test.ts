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

/** As people paste it; the bytes of legacy UUIDs as mongosh 2 makes them. */
const PASTED: readonly (readonly [string, string])[] = [
  ...Object.entries({
    LUUID: 'ABEiM0RVZneImaq7zN3u/w==',
    PYUUID: 'ABEiM0RVZneImaq7zN3u/w==',
    LegacyPythonUUID: 'ABEiM0RVZneImaq7zN3u/w==',
    JUUID: 'd2ZVRDMiEQD/7t3Mu6qZiA==',
    LegacyJavaUUID: 'd2ZVRDMiEQD/7t3Mu6qZiA==',
    CSUUID: 'MyIRAFVEd2aImaq7zN3u/w==',
    NUUID: 'MyIRAFVEd2aImaq7zN3u/w==',
    LegacyCSharpUUID: 'MyIRAFVEd2aImaq7zN3u/w==',
  }).map(
    ([name, base64]) =>
      [
        `{ a: ${name}("00112233-4455-6677-8899-aabbccddeeff") }`,
        `{"a":{"$binary":{"base64":"${base64}","subType":"03"}}}`,
      ] as const,
  ),
  ...[
    '{ a: Binary.createFromBase64("AQI=", 3) }',
    '{ a: Binary.createFromHexString("0102", 3) }',
    '{ a: new Binary(Buffer.from("0102", "hex"), 3) }',
  ].map((text) => [text, '{"a":{"$binary":{"base64":"AQI=","subType":"03"}}}'] as const),
  ['{ a: Long.fromString("5") }', '{"a":{"$numberLong":"5"}}'],
  ...[
    '{ a: BSON::ObjectId("57d17993a09a6759d8000d9e") }',
    '{ "a" => BSON::ObjectId("57d17993a09a6759d8000d9e") }',
    "{ :a => BSON::ObjectId.from_string('57d17993a09a6759d8000d9e') }",
    '{ a: new mongoose.Types.ObjectId("57d17993a09a6759d8000d9e") }',
    '{ a: bson.objectid.ObjectId("57d17993a09a6759d8000d9e") }',
    '{ a: ObjectId(57d17993a09a6759d8000d9e) }',
    'db.x.find({ a: ObjectId("57d17993a09a6759d8000d9e") })',
    'db["x"].deleteMany({ a: ObjectId("57d17993a09a6759d8000d9e") });',
    'db.getCollection("x").find({ a: ObjectId("57d17993a09a6759d8000d9e") }).pretty()',
    'a: ObjectId("57d17993a09a6759d8000d9e")',
    '"a" => BSON::ObjectId("57d17993a09a6759d8000d9e")',
    '{ a: ObjectId("57d17993a09a6759d8000d9e") };',
  ].map((text) => [text, '{"a":{"$oid":"57d17993a09a6759d8000d9e"}}'] as const),
  ['{ a: ObjectId(571793090967598000000000) }', '{"a":{"$oid":"571793090967598000000000"}}'],
  ['{ a: ObjectId(5717930909675980000000e9) }', '{"a":{"$oid":"5717930909675980000000e9"}}'],
  ["{'a': None, 'b': True, 'c': False}", '{"a":null,"b":true,"c":false}'],
  ['{ "a" => nil, "b=>c" => "BSON::x" }', '{"a":null,"b=>c":"BSON::x"}'],
];

for (const [text, expected] of PASTED) {
  test(`pasted: ${text}`, () => assert.is(showDocument(parseQuery(text, 'x')), expected));
}

const FILTER = /^the filter alone: (.*)$/;
const NOT_A_FILTER: readonly (readonly [string, RegExp, RegExp])[] = [
  ['{ a: 1 }, { b: 1 }', /2 values stand here/, FILTER],
  ['db.x.find({ a: 1 }, { b: 1 })', /more than a filter/, FILTER],
  ['db.x.find({ a: 1 }).limit(5)', /limit\(…\) has no place/, FILTER],
  ['db.x.findOne({ a: 1 })', /findOne\(…\) is not what a plan does/, FILTER],
  ['db.x.updateMany({ a: 1 }, { $set: { b: 1 } })', /updateMany\(…\)/, FILTER],
  ['db.x.remove({ a: 1 }, true)', /more than a filter/, FILTER],
  ['db.x.aggregate([{ $match: { a: 1 } }, { $limit: 5 }])', /aggregate\(…\)/, FILTER],
  ['db.getSiblingDB("d").x.find({ a: 1 })', /this is a command/, FILTER],
  ['Artwork.find({ a: 1 })', /this is a command/, FILTER],
  ['db.x.find()', /has no filter/, /\{\} takes every document/],
  ['db.y.find({ a: 1 })', /asks y, and this entry restores x/, /a query of x/],
  ['{ a: “1” }', /curly quotes \(character 6\)/, /straight quotes/],
  ['{ "a" => /^x/ }', /of Ruby begins and ends at lines/, /\$options: "m"/],
  ['bson.M{"a": 1}', /this is Go/, /as mongosh takes it/],
  ['{ a: [ [Object], ... 3 more items ] }', /cut short/, /EJSON\.stringify/],
  ['{ a: 1 }{ b: 1 }', /not a query in shell syntax \(character 9\)/, /the filter alone/],
];

for (const [text, message, remedy] of NOT_A_FILTER) {
  test(`pasted, and refused with what to write: ${text}`, () => {
    try {
      parseQuery(text, 'x');
      assert.unreachable('should have been refused');
    } catch (fault) {
      if (!(fault instanceof QueryFault)) throw fault;
      assert.match(fault.message, message);
      assert.match(fault.expected ?? '', remedy);
      const filter = remedy === FILTER ? FILTER.exec(fault.expected ?? '')?.[1] : undefined;
      if (filter !== undefined) assert.is(showDocument(parseQuery(filter, 'x')), '{"a":{"$numberInt":"1"}}');
    }
  });
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
