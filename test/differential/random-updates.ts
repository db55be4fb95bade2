/** Seeded random updates: every update operator, pipelines and replacements, on documents of random-values.ts. */
import { JsonDouble, type JsonObject, type JsonValue } from '../../src/bson/extended-json.ts';
import type { Random } from '../lab/random.ts';
import {
  randomArray,
  randomObject,
  randomScalar,
  randomValue,
  withoutRepeats,
  wrap,
} from './random-values.ts';

/** Names that are updated; those of the documents, some that no document has, and names that a diff could be confused by. */
const NAMES = ['a', 'b', 'c', '0', '1', 's', 'u', 'i', 'd', 'l', 'sa', 'x', 'z', '10', '9'] as const;

type Path = string;

function path(random: Random): Path {
  const parts = [random.pick(NAMES) as string];
  while (random.chance(0.45) && parts.length < 4) parts.push(random.pick([...NAMES, '0', '1', '2', '5']));
  return parts.join('.');
}

const value = (random: Random): JsonValue => withoutRepeats(randomValue(random, 2));
const number = (random: Random): JsonValue =>
  random.pick<JsonValue>([
    1,
    -3,
    7,
    new JsonDouble(1.5),
    wrap('$numberLong', '5'),
    wrap('$numberDecimal', '1.10'),
  ]);

const object = (...entries: (readonly [string, JsonValue])[]): JsonValue => new Map(entries);
const fields = (random: Random, make: (random: Random) => JsonValue, most = 3): JsonValue =>
  new Map(Array.from({ length: random.integer(1, most) }, () => [path(random), make(random)] as const));

/** One operator with its fields. */
const OPERATORS: readonly ((random: Random) => readonly [string, JsonValue])[] = [
  (random) => ['$set', fields(random, value, 6)],
  (random) => ['$set', fields(random, value)],
  (random) => ['$set', fields(random, randomScalar)],
  (random) => ['$unset', fields(random, () => '', 4)],
  (random) => ['$inc', fields(random, number)],
  (random) => ['$mul', fields(random, number)],
  (random) => ['$min', fields(random, value)],
  (random) => ['$max', fields(random, value)],
  (random) => ['$rename', fields(random, path)],
  (random) => ['$currentDate', fields(random, () => random.chance(0.5) || wrap('$type', 'timestamp'))],
  (random) => ['$setOnInsert', fields(random, value)],
  (random) => ['$push', fields(random, value)],
  (random) => ['$push', fields(random, pushEach)],
  (random) => ['$addToSet', fields(random, (r) => (r.chance(0.5) ? value(r) : wrap('$each', list(r))))],
  (random) => ['$pop', fields(random, () => random.pick([1, -1]))],
  (random) => ['$pull', fields(random, value)],
  (random) => ['$pullAll', fields(random, list)],
  (random) => ['$bit', fields(random, () => wrap(random.pick(['and', 'or', 'xor']), random.integer(0, 255)))],
];

const list = (random: Random): JsonValue => randomArray(random, 1).map(withoutRepeats);

function pushEach(random: Random): JsonValue {
  return object(
    ['$each', list(random)],
    ...(random.chance(0.4) ? [['$position', random.integer(-2, 3)] as const] : []),
    ...(random.chance(0.4) ? [['$slice', random.integer(-4, 4)] as const] : []),
    ...(random.chance(0.3) ? [['$sort', random.pick([1, -1])] as const] : []),
  );
}

const STAGES: readonly ((random: Random) => JsonValue)[] = [
  (random) =>
    wrap(
      '$set',
      fields(random, (r) => (r.chance(0.5) ? wrap('$literal', value(r)) : `$${path(r)}`)),
    ),
  (random) => wrap('$unset', path(random)),
  (random) => wrap('$set', wrap(random.pick(NAMES), wrap('$literal', value(random)))),
  (random) =>
    wrap(
      '$set',
      wrap(
        random.pick(NAMES),
        wrap('$concatArrays', [wrap('$ifNull', ['$none', []]), wrap('$literal', list(random))]),
      ),
    ),
  (random) => wrap('$set', wrap(random.pick(NAMES), sliced(random.pick(NAMES), random.integer(1, 2)))),
  (random) =>
    wrap(
      '$replaceWith',
      wrap('$mergeObjects', ['$$ROOT', wrap('$literal', withoutRepeats(randomObject(random, 1)))]),
    ),
];

/** The array's beginning where it is one: an update that shortens an array. */
function sliced(name: string, length: number): JsonValue {
  return wrap('$cond', [wrap('$isArray', `$${name}`), wrap('$slice', [`$${name}`, length]), `$${name}`]);
}

/** An update of one document (or, with `multi`, of many), as an element of an `update` command. */
export function randomUpdate(random: Random, id: JsonValue): JsonObject {
  const kind = random.integer(0, 19);
  const statement = (u: JsonValue, ...more: (readonly [string, JsonValue])[]): JsonObject =>
    new Map<string, JsonValue>([['q', wrap('_id', id)], ['u', u], ...more]);
  if (kind < 2) return statement(withoutRepeats(randomObject(random, 3)));
  if (kind < 6)
    return statement(Array.from({ length: random.integer(1, 3) }, () => random.pick(STAGES)(random)));
  if (kind === 6) return arrayUpdate(random, statement);
  const u = new Map(Array.from({ length: random.integer(1, 2) }, () => random.pick(OPERATORS)(random)));
  return statement(u, ...(random.chance(0.1) ? [['upsert', true] as const] : []));
}

/** All elements of an array, or those that a filter names. */
function arrayUpdate(
  random: Random,
  statement: (u: JsonValue, ...more: (readonly [string, JsonValue])[]) => JsonObject,
): JsonObject {
  const name = path(random);
  if (random.chance(0.5)) return statement(wrap('$set', wrap(`${name}.$[]`, value(random))));
  return statement(wrap('$set', wrap(`${name}.$[e].${random.pick(NAMES)}`, value(random))), [
    'arrayFilters',
    [wrap('e.a', wrap('$exists', random.chance(0.3)))],
  ]);
}
