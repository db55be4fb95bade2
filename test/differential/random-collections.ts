/** Random collections as backups of MongoDB 2.6 to 8 describe them, and random documents that their rules may be about. */
import {
  Binary,
  BSONRegExp,
  BSONSymbol,
  Decimal128,
  type Document,
  Double,
  Int32,
  Long,
  ObjectId,
  Timestamp,
} from 'bson';
import type { Random } from '../lab/random.ts';

export interface RandomCollection {
  readonly options: Document;
  /** Without the one on `_id`. */
  readonly indexes: readonly Document[];
}

const PATHS = ['a', 'b', 'c', 'a.b', 'a.c', 'a.0', 'b.c', 'at', 'loc', 'ref'] as const;
const FILTERS: readonly Document[] = [
  { b: { $gte: 1 } },
  { a: { $exists: true } },
  { a: { $type: 'string' } },
  { 'a.b': 'x' },
  { $and: [{ a: { $gt: 0 } }, { c: { $lt: 5 } }] },
];
const COLLATIONS: readonly Document[] = [
  { locale: 'en', strength: 2 },
  { locale: 'de', strength: 1 },
  { locale: 'simple' },
  { locale: 'fr', numericOrdering: true },
];
const VALIDATORS: readonly Document[] = [
  { a: { $exists: true } },
  { $jsonSchema: { required: ['b'], properties: { b: { bsonType: ['int', 'string', 'array'] } } } },
  { $or: [{ a: { $type: 'int' } }, { c: { $type: 'string' } }] },
  { $expr: { $ne: ['$a', '$b'] } },
  { b: { $not: { $regex: '^X' } } },
];

export function randomCollection(random: Random): RandomCollection {
  const collation = random.chance(0.2) ? random.pick(COLLATIONS) : undefined;
  const isCollated = collation !== undefined && collation['locale'] !== 'simple';
  const count = random.integer(0, 4);
  const indexes = Array.from({ length: count }, (_, i) => randomIndex(random, `i${i}`, isCollated));
  return { options: { ...randomOptions(random), ...(collation && { collation }) }, indexes };
}

function randomOptions(random: Random): Document {
  const options: Document = {};
  if (random.chance(0.3)) {
    options['validator'] = random.chance(0.05) ? { a: { $foo: 1 } } : random.pick(VALIDATORS);
    if (random.chance(0.3)) options['validationLevel'] = random.pick(['strict', 'moderate', 'off']);
    if (random.chance(0.3)) options['validationAction'] = random.pick(['error', 'warn']);
  }
  if (random.chance(0.1)) {
    options['clusteredIndex'] = { v: 2, key: { _id: 1 }, name: '_id_', unique: true };
    if (random.chance(0.5)) options['expireAfterSeconds'] = new Long(random.pick([3_600, 86_400]));
  }
  // What old servers listed beside them.
  const legacy: readonly Document[] = [
    { create: 'old', flags: 1, autoIndexId: true },
    { capped: false, size: 4096 },
    { usePowerOf2Sizes: true },
    { storageEngine: { mmapv1: {} } },
    { storageEngine: { wiredTiger: {} } },
    { recordPreImages: true },
    { temp: true },
    { indexOptionDefaults: { storageEngine: { mmapv1: {} } } },
  ];
  return random.chance(0.3) ? { ...options, ...random.pick(legacy) } : options;
}

function randomIndex(random: Random, name: string, isInCollated: boolean): Document {
  const key = randomKey(random);
  const kinds = Object.values(key);
  const isText = kinds.includes('text');
  const isPlain = kinds.every((kind) => typeof kind !== 'string') && !Object.keys(key).includes('$**');
  const index: Document = { v: random.chance(0.1) ? random.pick([0, 1]) : 2, key, name };
  if (isText) {
    const weights = Object.fromEntries(
      Object.entries(key).flatMap(([path, kind]) => (kind === 'text' ? [[path, 1]] : [])),
    );
    const others = Object.entries(key).filter(([, kind]) => kind !== 'text');
    index['key'] = { ...Object.fromEntries(others), _fts: 'text', _ftsx: 1 };
    Object.assign(index, {
      weights,
      default_language: 'english',
      language_override: 'language',
      textIndexVersion: 3,
    });
  }
  if (random.chance(isPlain ? 0.3 : 0.05))
    index['unique'] = random.chance(0.1) ? random.pick([1, null, 'yes']) : true;
  if (random.chance(0.15)) index['sparse'] = random.chance(0.2) ? 1 : true;
  if (random.chance(0.2)) index['partialFilterExpression'] = random.pick(FILTERS);
  if (random.chance(Object.keys(key).length === 1 && Object.keys(key)[0] === 'at' ? 0.6 : 0.05)) {
    index['expireAfterSeconds'] = random.pick([0, 3_600, new Double(60), -1, '3600', 3e9, Number.NaN]);
  }
  if (isPlain && random.chance(isInCollated ? 0.5 : 0.15)) index['collation'] = random.pick(COLLATIONS);
  if (kinds.includes('geoHaystack')) index['bucketSize'] = 1;
  if (kinds.includes('2d') && random.chance(0.3)) Object.assign(index, { min: -10, max: 10, bits: 20 });
  const odd: readonly Document[] = [
    { name: '' },
    { ns: 'old.x', background: true },
    { dropDups: true },
    { keepInBackground: 1 },
    { storageEngine: { mmapv1: {} } },
    { hidden: true },
  ];
  return random.chance(0.15) ? { ...index, ...random.pick(odd) } : index;
}

function randomKey(random: Random): Document {
  const path = (): string => random.pick(PATHS);
  const order = (): unknown =>
    random.chance(0.06)
      ? random.pick([0, '', true, null, new Double(0), Number.NaN, 'foo'])
      : random.pick([1, -1, new Double(1)]);
  const single: readonly (() => Document)[] = [
    () => ({ [path()]: order() }),
    () => ({ at: 1 }),
    () => ({ [path()]: order(), [path()]: order() }),
    () => ({ [path()]: order(), [path()]: order(), [path()]: order() }),
    () => ({ [path()]: 'hashed' }),
    () => ({ [path()]: 1, [path()]: 'hashed' }),
    () => ({ loc: '2dsphere' }),
    () => ({ [path()]: 1, loc: '2dsphere' }),
    () => ({ loc: '2d' }),
    () => ({ loc: '2d', [path()]: 1 }),
    () => ({ t: 'text' }),
    () => ({ [path()]: 1, t: 'text' }),
    () => ({ '$**': 1 }),
    () => ({ 'a.$**': 1 }),
    () => ({ b: 1, 'a.$**': 1 }),
    () => ({ loc: 'geoHaystack', a: 1 }),
  ];
  return random.pick(single)();
}

/** Values that one kind of index or rule or other has something against. */
export function randomDocument(random: Random, _id: unknown): Document {
  const document: Document = { _id };
  const fields: readonly (readonly [string, () => unknown])[] = [
    ['a', () => randomValue(random, 2)],
    ['b', () => randomValue(random, 2)],
    ['c', () => randomValue(random, 1)],
    ['at', () => randomDate(random)],
    ['loc', () => randomPlace(random)],
    ['t', () => random.pick(['some words', 7, ['more', 'words'], { language: 'klingon', t: 'x' }])],
    ['language', () => random.pick(['english', 'german', 'klingon', 7, 'none'])],
    ['ref', () => random.integer(0, 9)],
  ];
  const usual = new Set(['a', 'b', 'c']);
  for (const [field, make] of fields)
    if (random.chance(usual.has(field) ? 0.8 : 0.3)) document[field] = make();
  return document;
}

export function randomId(random: Random, number: number): unknown {
  const odd: readonly unknown[] = [
    new BSONSymbol(`s${number}`),
    { $a: number },
    { $ref: 'x', $id: number },
    { a: number },
    new Date(Date.now() - 10 * 86_400_000 + number),
    new Date(Date.now() + 10 * 86_400_000 + number),
    `text ${number}`,
    new ObjectId(),
  ];
  return random.chance(0.15) ? random.pick(odd) : number;
}

function randomValue(random: Random, depth: number): unknown {
  const scalars: readonly unknown[] = [
    new Int32(random.integer(0, 5)),
    new Double(random.integer(0, 5)),
    random.pick(['x', 'X', 'y', 'x2', 'x10']),
    Decimal128.fromString(String(random.integer(0, 5))),
    null,
    true,
    new Binary(Buffer.from('x')),
    new BSONRegExp('x'),
    new BSONSymbol('x'),
    new Timestamp({ t: 1, i: random.integer(0, 3) }),
  ];
  if (depth === 0 || random.chance(0.55)) return random.pick(scalars);
  const inner = (): unknown => randomValue(random, depth - 1);
  if (random.chance(0.5)) return Array.from({ length: random.integer(0, 3) }, inner);
  return Object.fromEntries(['b', 'c', '0'].filter(() => random.chance(0.5)).map((key) => [key, inner()]));
}

function randomDate(random: Random): unknown {
  const far = (days: number): Date => new Date(Date.now() + days * 86_400_000);
  return random.pick([far(-1), far(-400), far(30), [far(30), far(-30)], 'yesterday', null]);
}

function randomPlace(random: Random): unknown {
  return random.pick<unknown>([
    { type: 'Point', coordinates: [13.4, 52.5] },
    { type: 'Point', coordinates: [500, 52.5] },
    {
      type: 'Polygon',
      coordinates: [
        [
          [0, 0],
          [1, 1],
          [1, 0],
          [0, 0],
        ],
      ],
    },
    { type: 'Blob', coordinates: [1, 2] },
    { lng: 1, lat: 2 },
    [1, 2],
    [1],
    [100, 200],
    [
      [1, 2],
      [3, 4],
    ],
    ['1', '2'],
    'Berlin',
    7,
    null,
    [],
    {},
  ]);
}
