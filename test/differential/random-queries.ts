/** Seeded queries over all operators, to a depth of four; most operands are values that the documents hold. */
import { JsonDouble, type JsonValue } from '../../src/bson/extended-json.ts';
import type { Random } from '../lab/random.ts';
import { randomOptions, randomPattern } from './random-patterns.ts';
import { randomDocumentSchema } from './random-schemas.ts';
import {
  FIELDS,
  NUMBERS,
  randomArray,
  randomObject,
  randomScalar,
  randomValue,
  regex,
  wrap,
} from './random-values.ts';

export interface QuerySource {
  readonly random: Random;
  /** Values to ask for. */
  readonly values: readonly JsonValue[];
}

type Entry = [string, JsonValue];

export function randomQuery(source: QuerySource, depth = 4): JsonValue {
  const { random } = source;
  const count = random.chance(0.7) ? 1 : random.integer(0, 3);
  return new Map(Array.from({ length: count }, () => randomClause(source, depth)));
}

function randomClause(source: QuerySource, depth: number): Entry {
  const { random } = source;
  if (depth > 1 && random.chance(0.25)) {
    const clauses = Array.from({ length: random.integer(1, 3) }, () => randomQuery(source, depth - 1));
    return [random.pick(['$and', '$or', '$nor']), clauses];
  }
  if (random.chance(0.02)) return ['$comment', 'why'];
  if (random.chance(0.1)) return ['$jsonSchema', randomDocumentSchema(source)];
  return [randomPath(random), randomCondition(source, depth)];
}

export function randomPath(random: Random): string {
  const parts = Array.from({ length: random.pick([1, 1, 1, 2, 2, 3]) }, () => random.pick(FIELDS));
  return parts.join('.').replace(/\.$/, '.a');
}

function randomCondition(source: QuerySource, depth: number): JsonValue {
  const { random } = source;
  if (random.chance(0.2)) return plain(source);
  const count = random.chance(0.75) ? 1 : 2;
  return new Map(Array.from({ length: count }, () => randomOperators(source, depth)).flat());
}

/** A value for `{field: value}`; objects with `$` would be operators there. */
function plain(source: QuerySource): JsonValue {
  return source.random.chance(0.05) ? randomRegex(source.random) : operand(source);
}

function operand({ random, values }: QuerySource): JsonValue {
  if (values.length > 0 && random.chance(0.7)) return random.pick(values);
  return randomValue(random, 2);
}

function randomRegex(random: Random): JsonValue {
  return regex(randomPattern(random), randomOptions(random));
}

function list(source: QuerySource, item: () => JsonValue): JsonValue[] {
  return Array.from({ length: source.random.integer(0, 4) }, item);
}

const TYPES: readonly JsonValue[] = [
  'double',
  'string',
  'object',
  'array',
  'binData',
  'undefined',
  'objectId',
  'bool',
  'date',
  'null',
  'regex',
  'dbPointer',
  'javascript',
  'symbol',
  'javascriptWithScope',
  'int',
  'timestamp',
  'long',
  'decimal',
  'minKey',
  'maxKey',
  'number',
  1,
  2,
  3,
  4,
  10,
  16,
  18,
  -1,
  127,
  255,
  new JsonDouble(2),
];

function randomOperators(source: QuerySource, depth: number): Entry[] {
  const { random } = source;
  const nested = depth > 1;
  switch (random.integer(0, 15)) {
    case 0:
    case 1:
    case 2:
      return [[random.pick(['$eq', '$ne', '$gt', '$gte', '$lt', '$lte']), operand(source)]];
    case 3:
      return [[random.pick(['$gt', '$gte', '$lt', '$lte']), random.pick(NUMBERS)]];
    case 4:
    case 5:
      return [[random.pick(['$in', '$nin']), list(source, () => plain(source))]];
    case 6:
      return [['$exists', random.pick<JsonValue>([true, false, 1, 0, null, 'x'])]];
    case 7:
      return [['$type', random.chance(0.7) ? random.pick(TYPES) : list(source, () => random.pick(TYPES))]];
    case 8:
      return [['$mod', [random.pick(NUMBERS), random.pick(NUMBERS)]]];
    case 9: {
      const options = randomOptions(random);
      const entries: Entry[] = [['$regex', randomPattern(random)]];
      return options === '' ? entries : [...entries, ['$options', options]];
    }
    case 10:
      return [
        [
          '$all',
          list(source, () =>
            nested && random.chance(0.2) ? randomElementMatch(source, depth) : plain(source),
          ),
        ],
      ];
    case 11:
      return nested ? [...(randomElementMatch(source, depth) as Map<string, JsonValue>)] : [['$size', 1]];
    case 12:
      return [['$size', random.pick<JsonValue>([0, 1, 2, 3, new JsonDouble(2)])]];
    case 13:
      return [
        [random.pick(['$bitsAllSet', '$bitsAllClear', '$bitsAnySet', '$bitsAnyClear']), randomMask(random)],
      ];
    case 14:
      return [['$not', random.chance(0.2) ? randomRegex(random) : randomNegated(source, depth)]];
    default:
      return [['$eq', random.chance(0.5) ? randomArray(random, 1) : randomObject(random, 1)]];
  }
}

function randomNegated(source: QuerySource, depth: number): JsonValue {
  return new Map(randomOperators(source, depth - 1));
}

function randomElementMatch(source: QuerySource, depth: number): JsonValue {
  const { random } = source;
  const inner = random.chance(0.5)
    ? randomQuery(source, depth - 1)
    : new Map(randomOperators(source, depth - 1));
  return wrap('$elemMatch', inner);
}

function randomMask(random: Random): JsonValue {
  if (random.chance(0.4))
    return Array.from({ length: random.integer(0, 3) }, () => random.pick([0, 1, 2, 7, 8, 63, 64, 100]));
  return random.chance(0.7) ? random.pick([0, 1, 2, 3, 7, 255, new JsonDouble(6)]) : randomScalar(random);
}
