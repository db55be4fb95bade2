/**
 * One text per BSON value such that equal values, in MongoDB's sense, have equal texts: 1, 1.0, NumberLong(1) and decimal
 * 1.00 are one key, a string and a symbol of the same letters too.
 */
import { type ExactNumber, isNumber, readNumber } from './compare-numbers.ts';
import { splitCodeWithScope, typePlace } from './compare-values.ts';
import { elements } from './elements.ts';
import { BSON, type RawValue } from './types.ts';

export function canonicalKey(value: RawValue): string {
  const { bytes, type, start, end } = value;
  if (isNumber(type)) return `#${numberKey(readNumber(value))}`;
  const place = String.fromCharCode(typePlace(type) + 1);
  if (type === BSON.STRING || type === BSON.SYMBOL)
    return place + bytes.toString('latin1', start + 4, end - 1);
  if (type === BSON.CODE_WITH_SCOPE) {
    const { code, scope } = splitCodeWithScope(value);
    return place + bytes.toString('latin1', code.start, code.end) + canonicalKey(scope);
  }
  if (type !== BSON.OBJECT && type !== BSON.ARRAY) return place + bytes.toString('latin1', start, end);
  let key = place;
  for (const element of elements(bytes, start)) {
    const inner = canonicalKey(element);
    key += `${bytes.toString('latin1', element.keyStart, element.start)}${inner.length}:${inner}`;
  }
  return key;
}

function numberKey(number: ExactNumber): string {
  if (typeof number === 'number')
    return Number.isInteger(number) ? BigInt(number).toString() : number.toString();
  if (typeof number === 'bigint') return number.toString();
  if (number.kind === 'nan') return 'NaN';
  if (number.kind === 'infinity') return number.negative ? '-Infinity' : 'Infinity';
  return decimalKey(number);
}

/** A decimal that is a double or an integer has their key; any other has digits and power without trailing zeros. */
function decimalKey(decimal: Extract<ExactNumber, { kind: 'finite' }>): string {
  let { coefficient, exponent } = decimal;
  if (coefficient === 0n) return '0';
  while (coefficient % 10n === 0n) {
    coefficient /= 10n;
    exponent++;
  }
  const sign = decimal.negative ? '-' : '';
  if (exponent >= 0 && exponent < 400) return sign + (coefficient * 10n ** BigInt(exponent)).toString();
  const double = Number(`${coefficient}e${exponent}`);
  const scaled = exponent < 0 && exponent > -1100 && exactDouble(double, coefficient, exponent);
  return scaled ? sign + double.toString() : `${sign}${coefficient}e${exponent}`;
}

function exactDouble(double: number, coefficient: bigint, exponent: number): boolean {
  // coefficient × 10^exponent is a double exactly when 5^-exponent divides the coefficient and the rest is one.
  const fives = 5n ** BigInt(-exponent);
  if (coefficient % fives !== 0n) return false;
  return Number(coefficient / fives) / 2 ** -exponent === double && Number.isFinite(double);
}
