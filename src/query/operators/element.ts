/** Elements: `$exists` and `$type`, which goes by name, by number, or several of them; "number" stands for all four numeric types. */
import { elements } from '../../bson/elements.ts';
import { exactInteger } from '../../bson/numbers.ts';
import { typeName } from '../../bson/show.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import type { ValueTest } from '../field-path.ts';
import { QueryFault } from '../query-fault.ts';
import { comparesNoText, type FieldOperator, isTrue } from './operator.ts';

export const ELEMENT: Readonly<Record<string, FieldOperator>> = {
  $exists: {
    isDocument: false,
    compile: ({ combine, operand }) => {
      const exists = combine.leaf((value) => !value.isMissing());
      return isTrue(operand) ? exists : combine.not(exists);
    },
    comparesText: comparesNoText,
  },
  $type: {
    isDocument: false,
    compile: ({ combine, operand, path }) => combine.leaf(typeTest(operand, path)),
    comparesText: comparesNoText,
  },
};

const NUMERIC = [BSON.DOUBLE, BSON.INT32, BSON.INT64, BSON.DECIMAL128];

const BY_NAME = new Map<string, readonly number[]>([
  ...Object.values(BSON).map((type) => [typeName(type), [type]] as const),
  ['number', NUMERIC],
]);

function typeTest(operand: RawValue, path: string): ValueTest {
  const wanted = new Uint8Array(256);
  for (const type of operandTypes(operand, path)) wanted[type] = 1;
  return (value) => wanted[value.type] === 1;
}

/** Type bytes that the operand of `$type` (or `bsonType`) names. */
function operandTypes(operand: RawValue, path: string): number[] {
  if (operand.type !== BSON.ARRAY) return [...typesNamed(operand, path)];
  const types = [...elements(operand.bytes, operand.start)].flatMap((item) => typesNamed(item, path));
  if (types.length === 0) throw new QueryFault('$type needs at least one type', path);
  return types;
}

/** Type bytes that a name stands for. */
export function typesOfName(name: string): readonly number[] | undefined {
  return BY_NAME.get(name);
}

function typesNamed(operand: RawValue, path: string): readonly number[] {
  if (operand.type === BSON.STRING) {
    const name = operand.bytes.toString('utf8', operand.start + 4, operand.end - 1);
    const types = BY_NAME.get(name);
    if (types === undefined) throw new QueryFault(`$type: "${name}" is not a BSON type`, path);
    return types;
  }
  const number = exactInteger(operand);
  if (number === -1n) return [BSON.MIN_KEY];
  const type = Object.values(BSON).find((known) => BigInt(known) === number);
  // The byte 255 is written -1 in a query.
  if (type === undefined || type === BSON.MIN_KEY) {
    throw new QueryFault('$type expects the name or the number of a BSON type', path);
  }
  return [type];
}
