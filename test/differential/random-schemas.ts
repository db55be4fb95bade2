/** Seeded JSON schemas in MongoDB's draft 4, now and then with a mistake. */
import { JsonDouble, type JsonValue } from '../../src/bson/extended-json.ts';
import { randomPattern } from './random-patterns.ts';
import type { QuerySource } from './random-queries.ts';
import { FIELDS, NUMBERS, randomValue } from './random-values.ts';

type Entry = [string, JsonValue];

const JSON_TYPES = ['array', 'boolean', 'null', 'number', 'object', 'string', 'integer'] as const;
const BSON_TYPES = [
  'array',
  'bool',
  'null',
  'number',
  'object',
  'string',
  'int',
  'double',
  'decimal',
  'long',
  'date',
];
/** Property names with a certain meaning. */
const NAMES = FIELDS.filter((name) => name !== '');

/** A schema of a whole document. */
export function randomDocumentSchema(source: QuerySource): JsonValue {
  return randomSchema(source, { depth: 3, isWhole: true });
}

interface Place {
  readonly depth: number;
  /** The schema is one of the whole document, not of a property. */
  readonly isWhole: boolean;
}

function randomSchema(source: QuerySource, place: Place): JsonValue {
  const { random } = source;
  const entries = Array.from({ length: random.integer(0, 3) }, () => randomKeywords(source, place)).flat();
  return new Map(entries);
}

function randomKeywords(source: QuerySource, { depth, isWhole }: Place): Entry[] {
  const { random, values } = source;
  const count = (): JsonValue => random.pick<JsonValue>([0, 1, 2, 3, new JsonDouble(2)]);
  const part = (): JsonValue => randomSchema(source, { depth: depth - 1, isWhole: false });
  const same = (): JsonValue => randomSchema(source, { depth: depth - 1, isWhole });
  const list = (schema: () => JsonValue): JsonValue[] => Array.from({ length: random.integer(1, 3) }, schema);
  const names = (): JsonValue[] => NAMES.filter(() => random.chance(0.4));
  const properties = (): JsonValue => new Map(names().map((name) => [name as string, part()]));
  const flat: (() => Entry[])[] = [
    () => [[random.pick(['minimum', 'maximum']), random.pick(NUMBERS)]],
    () => [
      ['minimum', random.pick(NUMBERS)],
      ['exclusiveMinimum', random.chance(0.5)],
    ],
    () => [
      ['exclusiveMaximum', random.chance(0.9)],
      ['maximum', random.pick(NUMBERS)],
    ],
    () => [['multipleOf', random.pick(NUMBERS)]],
    () => [[random.pick(['minLength', 'maxLength']), count()]],
    () => [['pattern', randomPattern(random, 1)]],
    () => [[random.pick(['minItems', 'maxItems']), count()]],
    // A negated maxProperties of a whole document makes mongod 8.2.0 abort.
    () => (isWhole ? [] : [[random.pick(['minProperties', 'maxProperties']), count()]]),
    () => [['uniqueItems', random.chance(0.9)]],
    () => [['required', names()]],
    () => [
      ['type', random.chance(0.7) ? random.pick(JSON_TYPES) : JSON_TYPES.filter(() => random.chance(0.3))],
    ],
    () => [
      [
        'bsonType',
        random.chance(0.6) ? random.pick(BSON_TYPES) : BSON_TYPES.filter(() => random.chance(0.3)),
      ],
    ],
    () => [
      [
        'enum',
        Array.from({ length: 4 }, () => (random.chance(0.8) ? random.pick(values) : randomValue(random, 2))),
      ],
    ],
    () => [['dependencies', new Map([[random.pick(NAMES), names()]])]],
    () => [['title', 'why']],
  ];
  const nested: (() => Entry[])[] = [
    () => [['properties', properties()]],
    () => [['properties', properties()]],
    () => [
      ['properties', properties()],
      ['additionalProperties', random.chance(0.5) ? random.chance(0.5) : part()],
    ],
    () => [['patternProperties', new Map([[random.pick(['^a', 'b|c', '[0-9]', '^']), part()]])]],
    () => [['items', part()]],
    () => [
      ['items', list(part)],
      ['additionalItems', random.chance(0.5) ? random.chance(0.5) : part()],
    ],
    () => [[random.pick(['allOf', 'anyOf', 'oneOf']), list(same)]],
    () => [['not', same()]],
    () => [['dependencies', new Map([[random.pick(NAMES), same()]])]],
  ];
  return random.pick(depth > 0 ? [...flat, ...nested, ...nested] : flat)();
}
