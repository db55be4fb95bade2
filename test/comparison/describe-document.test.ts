import { Double, Int32, ObjectId, serialize } from 'bson';
import * as assert from 'uvu/assert';
import { documentValue } from '../../src/bson/diff-documents.ts';
import { parseExtendedJson } from '../../src/bson/extended-json.ts';
import type { RawValue } from '../../src/bson/types.ts';
import { writeExtendedJson } from '../../src/bson/write-extended-json.ts';
import { MaskedText } from '../../src/comparison/describe-document.ts';
import { test } from '../harness.ts';

const value = (document: object): RawValue => documentValue(Buffer.from(serialize(document)));
const fromText = (text: string): RawValue => documentValue(writeExtendedJson(parseExtendedJson(text)));

test('an object is the whole document in canonical Extended JSON', () => {
  const document = { _id: new ObjectId('57d17993a09a6759d8000d9e'), n: new Int32(1), d: new Double(1) };
  assert.equal(new MaskedText([], 1000).object(value(document)), {
    text: '{"_id":{"$oid":"57d17993a09a6759d8000d9e"},"n":{"$numberInt":"1"},"d":{"$numberDouble":"1.0"}}',
    exact: true,
    leftOut: 0,
  });
});

for (const [about, text, exact] of [
  ['a name that comes twice', '{"a":1,"a":2}', false],
  ['names like integers', '{"b":{"2":1,"1":2}}', false],
  ['a reference', '{"a":{"$ref":"artists","$id":7}}', true],
  ['elements of an array', '{"a":["x","y"]}', true],
] as const) {
  test(`${about}: a JSON parser ${exact ? 'keeps' : 'would not keep'} it`, () => {
    assert.is(new MaskedText([], 1000).object(fromText(text)).exact, exact);
  });
}

test('a field named like a type is no field to a JSON parser', () => {
  const document = value({ a: { $oid: 'not an ObjectId', x: 1 } });
  assert.is(new MaskedText([], 1000).object(document).exact, false);
});

test('what has no room is left out whole and counted; what is given is still an object', () => {
  const fields = Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`f${n}`, 'x'.repeat(10)]));
  const document = value({ _id: 1, long: 'y'.repeat(5000), list: [1, 'z'.repeat(5000), 3], ...fields });
  const { text, leftOut, exact } = new MaskedText([], 2000).object(document);
  const given = JSON.parse(text);
  assert.ok(text.length < 2100, String(text.length));
  assert.equal(given.list, [{ $numberInt: '1' }]);
  assert.not.ok('long' in given);
  const inObject = Object.keys(given).length;
  assert.is(leftOut, 1003 - inObject + 2);
  assert.is(exact, true);
});

test('a text that is cut says how many fields it lacks', () => {
  const fields = Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`f${n}`, n]));
  const text = new MaskedText([], 100).show(value(fields));
  assert.match(text, /^\{"f0":0,.{80,100}… and 98\d more fields$/);
  assert.is(new MaskedText([], 100).show(value({ a: 'x'.repeat(200) })).length, 101);
});

test('all values but the _id can be hidden, with those of the mask', () => {
  const document = value({ _id: { shop: 7 }, name: 'A', address: { city: 'B', lines: ['C', 1] }, none: [] });
  const { text } = new MaskedText(['address.city'], 1000, { hidesAll: true }).object(document);
  assert.equal(JSON.parse(text), {
    _id: { shop: { $numberInt: '7' } },
    ...{ name: '[masked]', address: { city: '[masked]', lines: ['[masked]', '[masked]'] }, none: [] },
  });
});

test.run();
