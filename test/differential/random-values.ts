/**
 * Seeded documents made to be confused with one another: the same number in four types, null beside missing beside undefined,
 * arrays of what stands alone elsewhere, text that looks like numbers. Few field names and few values, so that queries hit.
 */
import { JsonDouble, type JsonObject, type JsonValue, RepeatedKeys } from '../../src/bson/extended-json.ts';
import type { Random } from '../lab/random.ts';

export const FIELDS = ['a', 'b', 'c', '0', '1', ''] as const;

export const wrap = (key: string, value: JsonValue): JsonValue => new Map([[key, value]]);
const object = (...entries: [string, JsonValue][]): JsonValue => new Map(entries);
const decimal = (text: string): JsonValue => wrap('$numberDecimal', text);
const long = (text: string): JsonValue => wrap('$numberLong', text);
const double = (text: string): JsonValue => wrap('$numberDouble', text);
const binary = (base64: string, subType: string): JsonValue =>
  wrap('$binary', object(['base64', base64], ['subType', subType]));
export const regex = (pattern: string, options: string): JsonValue =>
  wrap('$regularExpression', object(['pattern', pattern], ['options', options]));

export const NUMBERS: readonly JsonValue[] = [
  ...[0, 1, 2, 3, -1, 5, 7, 64, 255, 2147483647, -2147483648],
  ...[new JsonDouble(0), new JsonDouble(-0), new JsonDouble(1), new JsonDouble(1.5), new JsonDouble(0.1)],
  ...[new JsonDouble(-2.5), new JsonDouble(2 ** 53), new JsonDouble(2 ** 63), new JsonDouble(1e300)],
  ...['NaN', 'Infinity', '-Infinity', '5e-324'].map(double),
  ...[
    '0',
    '1',
    '2',
    '9007199254740992',
    '9007199254740993',
    '9223372036854775807',
    '-9223372036854775808',
  ].map(long),
  ...[
    '0',
    '-0',
    '1',
    '1.0',
    '1.50',
    '0.1',
    '0.1000000000000000055511151231257827021181583404541015625',
    '2E0',
  ].map((text) => decimal(text.length > 40 ? '0.1000000000000000055511151231257827' : text)),
  ...['9007199254740993', '9223372036854775808', '1E+300', '1E-6176', 'NaN', 'Infinity', '-Infinity'].map(
    decimal,
  ),
];

export const STRINGS: readonly JsonValue[] = [
  '',
  'a',
  'b',
  'ab',
  'A',
  'abc',
  '1',
  '0',
  'a\nb',
  'a\0b',
  'é',
  'É',
  '😀',
  'ſ',
  'K',
  'null',
  'foo bar',
  'x-1',
];

const OTHERS: readonly JsonValue[] = [
  ...[null, null, null, true, false, wrap('$undefined', true), wrap('$minKey', 1), wrap('$maxKey', 1)],
  ...['a', 'ab', ''].map((text) => wrap('$symbol', text)),
  ...['0', '1', '-1', '9007199254740993'].map((ms) => wrap('$date', long(ms))),
  ...[0, 1].flatMap((t) => [0, 1].map((i) => wrap('$timestamp', object(['t', t], ['i', i])))),
  ...['000000000000000000000000', '57d17993a09a6759d8000d9e', '57d17993a09a6759d8000d9f'].map((id) =>
    wrap('$oid', id),
  ),
  ...['', 'AQ==', '/w==', 'AQI='].flatMap((data) => [
    binary(data, '00'),
    binary(data, '02'),
    binary(data, '80'),
  ]),
  ...[regex('a', ''), regex('a', 'i'), regex('^ab', '')],
  ...['a', ''].map((code) => wrap('$code', code)),
  object(['$code', 'a'], ['$scope', object(['x', 1])]),
  object(['$code', 'a'], ['$scope', object(['x', new JsonDouble(1)])]),
  wrap('$dbPointer', object(['$ref', 'a'], ['$id', wrap('$oid', '57d17993a09a6759d8000d9e')])),
];

export function randomScalar(random: Random): JsonValue {
  const kind = random.integer(0, 9);
  if (kind < 5) return random.pick(NUMBERS);
  return kind < 7 ? random.pick(STRINGS) : random.pick(OTHERS);
}

/** A value nested at most `depth` levels deep. */
export function randomValue(random: Random, depth: number): JsonValue {
  if (depth > 0 && random.chance(0.4)) {
    return random.chance(0.5) ? randomArray(random, depth - 1) : randomObject(random, depth - 1);
  }
  return randomScalar(random);
}

export function randomArray(random: Random, depth: number): JsonValue[] {
  return Array.from({ length: random.integer(0, 3) }, () => randomValue(random, depth));
}

export function randomObject(random: Random, depth: number): JsonObject {
  const entries = Array.from(
    { length: random.integer(0, 3) },
    () => [random.pick(FIELDS), randomValue(random, depth)] as [string, JsonValue],
  );
  const map = new Map(entries);
  return map.size === entries.length ? map : new RepeatedKeys(entries);
}

/** A document; `_id` is its number, so that answers can be told apart. */
export function randomDocument(random: Random, id: number): JsonObject {
  const fields = [...randomObject(random, 3), ...randomObject(random, 2)];
  return new RepeatedKeys([['_id', id], ...fields.filter(([key]) => key !== '_id')]);
}

/** All values inside a document, arrays and objects among them: what queries should ask for. */
export function valuesIn(value: JsonValue): JsonValue[] {
  if (Array.isArray(value)) return [value, ...value.flatMap(valuesIn)];
  if (value instanceof Map || value instanceof RepeatedKeys) {
    const entries = [...value];
    if (entries.some(([key]) => key.startsWith('$'))) return [value];
    return [value, ...entries.flatMap(([, inner]) => valuesIn(inner))];
  }
  return [value];
}

/** The same with the first of repeated keys only: expressions do not look at documents that hold a key twice. */
export function withoutRepeats(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(withoutRepeats);
  if (!(value instanceof Map || value instanceof RepeatedKeys)) return value;
  const unique = new Map<string, JsonValue>();
  for (const [key, inner] of value) if (!unique.has(key)) unique.set(key, withoutRepeats(inner));
  return unique;
}
