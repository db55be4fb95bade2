/** Seeded expressions of the aggregation language; operands are mostly of the type that their operator wants. */
import { JsonDouble, type JsonValue } from '../../src/bson/extended-json.ts';
import type { Random } from '../lab/random.ts';
import type { QuerySource } from './random-queries.ts';
import { FIELDS, NUMBERS, randomScalar, STRINGS, wrap } from './random-values.ts';

const NAMES = FIELDS.filter((name) => name !== '');

export function randomExpression(source: QuerySource, depth = 3): JsonValue {
  const { random } = source;
  const next = (): JsonValue => randomExpression(source, depth - 1);
  const operand = (): JsonValue => (random.chance(0.4) ? next() : anything(source));
  if (depth <= 0) return anything(source);
  switch (random.integer(0, 9)) {
    case 0:
    case 1:
      return wrap(random.pick(['$eq', '$ne', '$gt', '$gte', '$lt', '$lte', '$cmp']), [operand(), operand()]);
    case 2:
      return wrap(random.pick(['$and', '$or']), [operand(), operand()]);
    case 3:
      return wrap('$not', [operand()]);
    case 4:
      return wrap('$cond', [operand(), operand(), operand()]);
    case 5:
      return wrap('$ifNull', [operand(), operand()]);
    case 6:
    case 7:
      return number(source, depth);
    case 8:
      return fromDate(source, depth);
    default:
      return other(source, depth);
  }
}

function field(random: Random): JsonValue {
  const parts = Array.from({ length: random.pick([1, 1, 2]) }, () => random.pick(NAMES));
  return `$${parts.join('.')}`;
}

function anything({ random, values }: QuerySource): JsonValue {
  if (random.chance(0.5)) return field(random);
  if (random.chance(0.3) && values.length > 0) return wrap('$literal', random.pick(values));
  if (random.chance(0.1)) return random.pick(['$$ROOT', '$$REMOVE', '$$CURRENT.a']);
  return wrap('$literal', randomScalar(random));
}

const PLAIN_NUMBERS: readonly JsonValue[] = [
  1,
  2,
  7,
  -3,
  1000,
  new JsonDouble(0.5),
  new JsonDouble(-1.75),
  new JsonDouble(2.5),
];

/** A number; now and then whatever a field holds. */
function number(source: QuerySource, depth: number): JsonValue {
  const { random } = source;
  if (depth <= 0 || random.chance(0.3)) {
    const constant = random.pick(random.chance(0.6) ? PLAIN_NUMBERS : NUMBERS);
    if (random.chance(0.3)) return constant;
    const name = field(random);
    return random.chance(0.03) ? name : wrap('$cond', [wrap('$isNumber', name), name, constant]);
  }
  const next = (): JsonValue => number(source, depth - 1);
  const operator = random.pick([
    '$add',
    '$add',
    '$subtract',
    '$multiply',
    '$divide',
    '$mod',
    '$abs',
    '$ceil',
    '$floor',
    '$trunc',
    '$round',
  ]);
  switch (operator) {
    case '$add':
    case '$multiply':
      return wrap(operator, Array.from({ length: random.integer(1, 3) }, next));
    case '$subtract':
      return wrap(operator, [next(), next()]);
    case '$divide':
    case '$mod':
      return wrap(operator, [next(), random.chance(0.9) ? random.pick(PLAIN_NUMBERS) : next()]);
    default:
      return wrap(operator, next());
  }
}

const INSTANTS = [
  '0',
  '1473771600000',
  '951782400000',
  '-1',
  '-62135596800000',
  '1709164800123',
  '253402300799999',
  '86399999',
];
const UNITS = ['year', 'quarter', 'month', 'week', 'day', 'hour', 'minute', 'second', 'millisecond'] as const;
const PARTS = [
  '$year',
  '$month',
  '$dayOfMonth',
  '$hour',
  '$minute',
  '$second',
  '$millisecond',
  '$dayOfWeek',
  '$dayOfYear',
  '$week',
  '$isoWeek',
  '$isoWeekYear',
  '$isoDayOfWeek',
] as const;
const ZONES = ['UTC', '+02:00', '-0530', '+14', 'GMT', 'Europe/Berlin'] as const;

function date(source: QuerySource, depth: number): JsonValue {
  const { random } = source;
  const constant = wrap('$date', wrap('$numberLong', instant(random)));
  if (depth <= 0 || random.chance(0.4)) {
    const name = field(random);
    if (random.chance(0.03)) return name;
    const isDate = wrap('$in', [wrap('$type', name), ['date', 'timestamp', 'objectId', 'null', 'missing']]);
    return random.chance(0.4) ? constant : wrap('$cond', [isDate, name, constant]);
  }
  if (random.chance(0.3)) return wrap('$add', [date(source, 0), number(source, 0)]);
  return wrap(
    random.pick(['$dateAdd', '$dateSubtract']),
    new Map<string, JsonValue>([
      ['startDate', date(source, depth - 1)],
      ['unit', random.pick(UNITS)],
      ['amount', random.pick<JsonValue>([1, -1, 13, 400, new JsonDouble(2), null])],
    ]),
  );
}

/** At the ends of JavaScript's dates, and of BSON's. */
const FAR_INSTANTS = ['8640000000000000', '-8639999999999999', '9223372036854775807', '-9223372036854775808'];

function instant(random: Random): string {
  if (random.chance(0.02)) return random.pick(FAR_INSTANTS);
  return random.chance(0.5) ? random.pick(INSTANTS) : String(Math.floor((random.fraction() - 0.4) * 4e12));
}

function fromDate(source: QuerySource, depth: number): JsonValue {
  const { random } = source;
  const operand = date(source, depth - 1);
  if (random.chance(0.1)) return wrap('$subtract', [operand, date(source, depth - 1)]);
  if (random.chance(0.2)) {
    return wrap(
      '$dateDiff',
      new Map<string, JsonValue>([
        ['startDate', operand],
        ['endDate', date(source, depth - 1)],
        ['unit', random.pick(UNITS)],
        ...(random.chance(0.3)
          ? [['startOfWeek', random.pick(['monday', 'Sun', 'FRI', 'x'])] as [string, JsonValue]]
          : []),
      ]),
    );
  }
  if (random.chance(0.2)) {
    const named: [string, JsonValue][] = [
      ['date', operand],
      ['timezone', random.pick(ZONES)],
    ];
    return wrap(random.pick(PARTS), new Map(named));
  }
  return wrap(random.pick(PARTS), operand);
}

function other(source: QuerySource, depth: number): JsonValue {
  const { random } = source;
  const name = field(random);
  const list = wrap('$cond', [wrap('$isArray', name), name, [1, 'a', null]]);
  const text = wrap('$cond', [wrap('$eq', [wrap('$type', name), 'string']), name, random.pick(STRINGS)]);
  const choices: (() => JsonValue)[] = [
    () => wrap('$type', name),
    () => wrap('$isArray', name),
    () => wrap('$isNumber', [name]),
    () => wrap('$size', random.chance(0.05) ? name : list),
    () => wrap('$in', [anything(source), random.chance(0.05) ? name : list]),
    () => wrap('$arrayElemAt', [list, random.pick<JsonValue>([0, 1, -1, 5, -7, null, new JsonDouble(1)])]),
    () => wrap(random.pick(['$first', '$last']), list),
    () => wrap('$concat', [text, random.pick<JsonValue>(['x', null, ''])]),
    () => wrap(random.pick(['$strLenBytes', '$strLenCP', '$toLower', '$toUpper']), text),
    () => [anything(source), anything(source)],
    () =>
      new Map([
        ['x', anything(source)],
        ['y', anything(source)],
      ]),
    () =>
      wrap(
        '$switch',
        new Map<string, JsonValue>([
          [
            'branches',
            [
              new Map([
                ['case', randomExpression(source, depth - 1)],
                ['then', anything(source)],
              ]),
            ],
          ],
          ...(random.chance(0.9) ? [['default', anything(source)] as [string, JsonValue]] : []),
        ]),
      ),
  ];
  return random.pick(choices)();
}
