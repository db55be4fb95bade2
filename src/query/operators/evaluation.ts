/** Evaluation: `$mod`, `$regex` with `$options`, `$jsonSchema`, `$expr`, and what has one answer for every document. */
import { elements, keyOf } from '../../bson/elements.ts';
import { exactInteger, isNumber, readNumber, truncatedInteger } from '../../bson/numbers.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import { compileExpr } from '../expression/compile-expression.ts';
import type { ValueTest } from '../field-path.ts';
import { compileSchema } from '../json-schema/compile-schema.ts';
import { QueryFault } from '../query-fault.ts';
import { readRegexOperators, regexTest } from '../regex/regex-test.ts';
import { comparesNoText, type DocumentOperator, type Operator } from './operator.ts';

const always = (result: boolean): DocumentOperator => ({
  isDocument: true,
  compile: (operand, { path }) => {
    if (exactInteger(operand) !== 1n) throw new QueryFault(`${keyOf(operand)} expects 1`, path);
    return () => result;
  },
  comparesText: comparesNoText,
});

export const EVALUATION: Readonly<Record<string, Operator>> = {
  $mod: {
    isDocument: false,
    compile: ({ combine, operand, path }) => combine.leaf(modTest(operand, path)),
    comparesText: comparesNoText,
  },
  $regex: {
    isDocument: false,
    compile: ({ combine, siblings, path }) =>
      combine.leaf(regexTest(readRegexOperators(siblings, path), path)),
    comparesText: comparesNoText,
  },
  $options: {
    isDocument: false,
    compile: ({ combine, siblings, path }) => {
      if (!siblings.some((sibling) => keyOf(sibling) === '$regex')) {
        throw new QueryFault('$options needs a $regex beside it', path);
      }
      return combine.all([]);
    },
    comparesText: comparesNoText,
  },
  $jsonSchema: {
    isDocument: true,
    compile: (operand, { scope, path }) => {
      const matches = compileSchema(operand, path);
      const document = scope.wholeDocument();
      return () => matches(document);
    },
    comparesText: comparesNoText,
  },
  $expr: {
    isDocument: true,
    compile: (operand, { scope, path, isNested }) => {
      if (isNested)
        throw new QueryFault('$expr stands for the whole document and cannot be inside $elemMatch', path);
      return compileExpr(operand, { scope, path });
    },
    // What its fields hold is not known.
    comparesText: () => true,
  },
  $comment: { isDocument: true, compile: () => () => true, comparesText: comparesNoText },
  $alwaysTrue: always(true),
  $alwaysFalse: always(false),
};

/** `$mod: [divisor, remainder]`, on the integer part of a number; the remainder has the sign of the number, as in C. */
function modTest(operand: RawValue, path: string): ValueTest {
  const parts = operand.type === BSON.ARRAY ? [...elements(operand.bytes, operand.start)] : [];
  const [divisor, remainder] = parts.map(truncatedInteger);
  if (parts.length !== 2 || divisor === undefined || remainder === undefined) {
    throw new QueryFault('$mod expects [divisor, remainder], two numbers within 64 bits', path);
  }
  if (divisor === 0n) throw new QueryFault('$mod: the divisor cannot be 0', path);
  const smallDivisor = Number(divisor);
  const smallRemainder = Number(remainder);
  const isSmall = Number.isSafeInteger(smallDivisor) && Number.isSafeInteger(smallRemainder);
  return (value) => {
    if (!isNumber(value.type)) return false;
    const number = readNumber(value);
    if (isSmall && typeof number === 'number' && Math.abs(number) <= Number.MAX_SAFE_INTEGER) {
      return Math.trunc(number) % smallDivisor === smallRemainder;
    }
    const integer = truncatedInteger(value);
    return integer !== undefined && integer % divisor === remainder;
  };
}
