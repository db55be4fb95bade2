/** Arbitrary BSON values for properties: every type, with the numbers, texts and keys that go wrong first. */
import * as fc from 'fast-check';
import { JsonDouble, type JsonValue, RepeatedKeys } from '../../src/bson/extended-json.ts';

const wrap = (key: string, value: JsonValue): JsonValue => new Map([[key, value]]);
const object = (...entries: [string, JsonValue][]): JsonValue => new Map(entries);

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.constantFrom('', '\u202e\u001b[2J', 'a\0b', '😀'),
);
const cstring = text.map((value) => value.replaceAll('\0', ''));
const hex = (bytes: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((value) => Buffer.from(value).toString('hex'));

const decimal = fc.oneof(
  fc
    .tuple(fc.boolean(), fc.bigInt({ min: 0n, max: 10n ** 34n - 1n }), fc.integer({ min: -6176, max: 6111 }))
    .map(([negative, digits, exponent]) => `${negative ? '-' : ''}${digits}E${exponent}`),
  fc.constantFrom('NaN', 'Infinity', '-Infinity', '-0', '0E-6176', '1.000', '0.1'),
);

const scalar: fc.Arbitrary<JsonValue> = fc.oneof(
  text,
  fc.integer(),
  fc.double().map((value) => new JsonDouble(value)),
  fc.constantFrom(new JsonDouble(-0), new JsonDouble(1), true, false, null),
  int64.map((value) => wrap('$numberLong', String(value))),
  decimal.map((value) => wrap('$numberDecimal', value)),
  int64.map((value) => wrap('$date', wrap('$numberLong', String(value)))),
  hex(12).map((value) => wrap('$oid', value)),
  fc
    .tuple(fc.uint8Array({ maxLength: 6 }), fc.integer({ min: 0, max: 255 }))
    .map(([data, subType]) =>
      wrap(
        '$binary',
        object(
          ['base64', Buffer.from(data).toString('base64')],
          ['subType', subType.toString(16).padStart(2, '0')],
        ),
      ),
    ),
  fc
    .tuple(fc.nat(0xffffffff), fc.nat(0xffffffff))
    .map(([t, i]) => wrap('$timestamp', object(['t', t], ['i', i]))),
  fc
    .tuple(cstring, fc.constantFrom('', 'i', 'imsx'))
    .map(([pattern, options]) =>
      wrap('$regularExpression', object(['pattern', pattern], ['options', options])),
    ),
  text.map((value) => wrap('$symbol', value)),
  text.map((value) => wrap('$code', value)),
  fc
    .tuple(text, hex(12))
    .map(([ref, id]) => wrap('$dbPointer', object(['$ref', ref], ['$id', wrap('$oid', id)]))),
  fc.constantFrom(wrap('$undefined', true), wrap('$minKey', 1), wrap('$maxKey', 1)),
);

/** Keys that look like integers in any order, repeated keys, `__proto__`; none that starts with `$`, which JSON could not tell from a type. */
const key = fc.oneof(
  fc.constantFrom('a', 'b', '10', '9', '0', '', '__proto__', 'constructor', 'a.b'),
  cstring.filter((value) => !value.startsWith('$')),
);

const { document, value } = fc.letrec<{ value: JsonValue; document: RepeatedKeys }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    scalar,
    fc.array(tie('value'), { maxLength: 4 }),
    tie('document'),
    fc.tuple(text, tie('document')).map(([code, scope]) => object(['$code', code], ['$scope', scope])),
  ),
  document: fc
    .array(fc.tuple(key, tie('value')), { maxLength: 5 })
    .map((entries) => new RepeatedKeys(entries)),
}));

export const anyDocument: fc.Arbitrary<RepeatedKeys> = document;
export const anyValue: fc.Arbitrary<JsonValue> = value;
