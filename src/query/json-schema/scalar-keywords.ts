/** Keywords about numbers and strings. */
import { isNumber, readNumber } from '../../bson/numbers.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import { isMultipleOf, toDecimal } from '../decimal-arithmetic.ts';
import type { ValueTest } from '../field-path.ts';
import { type Comparison, comparisonTest } from '../operators/comparison.ts';
import { QueryFault } from '../query-fault.ts';
import { regexTest } from '../regex/regex-test.ts';
import { countOf, ifType, type Keyword, type KeywordUse, textOf } from './keyword.ts';

export const SCALAR_KEYWORDS: Readonly<Record<string, Keyword>> = {
  maximum: (use) => limit(use, { keyword: 'exclusiveMaximum', inclusive: '$lte', exclusive: '$lt' }),
  minimum: (use) => limit(use, { keyword: 'exclusiveMinimum', inclusive: '$gte', exclusive: '$gt' }),
  exclusiveMaximum: (use) => requireBeside(use, 'maximum'),
  exclusiveMinimum: (use) => requireBeside(use, 'minimum'),
  multipleOf,
  maxLength: (use) => {
    const count = countOf(use);
    return ifType(BSON.STRING, (value) => characters(value) <= count);
  },
  minLength: (use) => {
    const count = countOf(use);
    return ifType(BSON.STRING, (value) => characters(value) >= count);
  },
  pattern: ({ operand, path }) => {
    if (operand.type !== BSON.STRING) throw new QueryFault('"pattern" expects text', path);
    return ifType(BSON.STRING, regexTest({ pattern: textOf(operand), options: '' }, path));
  },
};

interface Exclusion {
  readonly keyword: string;
  readonly inclusive: Comparison;
  readonly exclusive: Comparison;
}

/** Draft 4: `exclusiveMaximum` is a switch beside `maximum`. */
function limit({ keyword, operand, path, siblings }: KeywordUse, exclusion: Exclusion): ValueTest {
  if (!isNumber(operand.type)) throw new QueryFault(`"${keyword}" expects a number`, path);
  const excluded = siblings.get(exclusion.keyword);
  const isExclusive = excluded?.type === BSON.BOOL && excluded.bytes[excluded.start] === 1;
  return ifNumber(comparisonTest(isExclusive ? exclusion.exclusive : exclusion.inclusive, operand));
}

function requireBeside({ keyword, operand, path, siblings }: KeywordUse, other: string): undefined {
  if (operand.type !== BSON.BOOL) throw new QueryFault(`"${keyword}" expects true or false`, path);
  if (!siblings.has(other)) throw new QueryFault(`"${keyword}" needs "${other}" beside it`, path);
}

function multipleOf({ operand, path }: KeywordUse): ValueTest {
  const divisor = isNumber(operand.type) ? toDecimal(readNumber(operand)) : undefined;
  if (divisor?.kind !== 'finite' || divisor.negative || divisor.coefficient === 0n) {
    throw new QueryFault('"multipleOf" expects a positive number', path);
  }
  return ifNumber((value) => {
    const number = toDecimal(readNumber(value));
    return number.kind === 'finite' && isMultipleOf(number, divisor);
  });
}

function ifNumber(test: ValueTest): ValueTest {
  return (value) => !isNumber(value.type) || test(value);
}

/** Characters of a string as the server counts them: bytes that do not continue a UTF-8 sequence. */
function characters({ bytes, start, end }: RawValue): number {
  let count = 0;
  for (let at = start + 4; at < end - 1; at++) if (((bytes[at] as number) & 0xc0) !== 0x80) count++;
  return count;
}
