/**
 * Decimal128 in the BID encoding BSON uses (IEEE 754-2008): decode, encode, text.
 *
 * Everything is exact: coefficients are BigInts, nothing passes through a double.
 */

/** A finite value is ±coefficient × 10^exponent. */
export type Decimal =
  | {
      readonly kind: 'finite';
      readonly negative: boolean;
      readonly coefficient: bigint;
      readonly exponent: number;
    }
  | { readonly kind: 'infinity'; readonly negative: boolean }
  | { readonly kind: 'nan'; readonly negative: boolean };

const MAX_DIGITS = 34;
const MAX_COEFFICIENT = 10n ** 34n - 1n;
const EXPONENT_BIAS = 6176;
export const MIN_EXPONENT = -6176;
export const MAX_EXPONENT = 6111;

/** Decodes the 16 little-endian bytes at `start`. A coefficient that is not canonical (above 10^34 - 1) counts as zero, as IEEE 754 says. */
export function readDecimal128(bytes: Buffer, start: number): Decimal {
  const low = bytes.readBigUInt64LE(start);
  const high = bytes.readBigUInt64LE(start + 8);
  const negative = high >> 63n === 1n;
  const combination = Number((high >> 58n) & 0x1fn);
  if (combination === 0x1f) return { kind: 'nan', negative };
  if (combination === 0x1e) return { kind: 'infinity', negative };
  if (combination >> 3 === 3) {
    // The long-coefficient form always exceeds 34 digits, so only sign and exponent count.
    const exponent = Number((high >> 47n) & 0x3fffn) - EXPONENT_BIAS;
    return { kind: 'finite', negative, coefficient: 0n, exponent };
  }
  const exponent = Number((high >> 49n) & 0x3fffn) - EXPONENT_BIAS;
  const coefficient = ((high & 0x1ffffffffffffn) << 64n) | low;
  return {
    kind: 'finite',
    negative,
    coefficient: coefficient > MAX_COEFFICIENT ? 0n : coefficient,
    exponent,
  };
}

/** The 16 bytes of a decimal whose coefficient and exponent are in range. */
export function encodeDecimal128(decimal: Decimal): Buffer {
  let high = decimal.negative ? 1n << 63n : 0n;
  let low = 0n;
  if (decimal.kind === 'nan') high |= 0x1fn << 58n;
  else if (decimal.kind === 'infinity') high |= 0x1en << 58n;
  else {
    high |= BigInt(decimal.exponent + EXPONENT_BIAS) << 49n;
    high |= decimal.coefficient >> 64n;
    low = decimal.coefficient & 0xffffffffffffffffn;
  }
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(low, 0);
  bytes.writeBigUInt64LE(high, 8);
  return bytes;
}

const NUMBER = /^([+-]?)(?:(\d+)\.?(\d*)|\.(\d+))(?:e([+-]?\d+))?$/i;

/** Reads a decimal from text. Undefined when it is not a number or cannot be held exactly in 34 digits: nothing is rounded. */
export function parseDecimal(text: string): Decimal | undefined {
  if (/^[+-]?nan$/i.test(text)) return { kind: 'nan', negative: text.startsWith('-') };
  if (/^[+-]?inf(?:inity)?$/i.test(text)) return { kind: 'infinity', negative: text.startsWith('-') };
  const match = NUMBER.exec(text);
  if (match === null) return undefined;
  const [, sign, whole = '', fraction = match[4] ?? '', , power = '0'] = match;
  const negative = sign === '-';
  let digits = (whole + fraction).replace(/^0+/, '');
  let exponent = Number(power) - fraction.length;
  if (digits === '') {
    exponent = Math.min(MAX_EXPONENT, Math.max(MIN_EXPONENT, exponent));
    return { kind: 'finite', negative, coefficient: 0n, exponent };
  }
  while ((digits.length > MAX_DIGITS || exponent < MIN_EXPONENT) && digits.endsWith('0')) {
    digits = digits.slice(0, -1);
    exponent += 1;
  }
  while (exponent > MAX_EXPONENT && digits.length < MAX_DIGITS) {
    digits += '0';
    exponent -= 1;
  }
  if (digits.length > MAX_DIGITS || exponent < MIN_EXPONENT || exponent > MAX_EXPONENT) return undefined;
  return { kind: 'finite', negative, coefficient: BigInt(digits), exponent };
}

/** Text in the form of the Decimal128 specification; parsing it gives the same bytes for every canonical value. */
export function showDecimal(decimal: Decimal): string {
  if (decimal.kind === 'nan') return 'NaN';
  const sign = decimal.negative ? '-' : '';
  if (decimal.kind === 'infinity') return `${sign}Infinity`;
  const digits = decimal.coefficient.toString();
  const { exponent } = decimal;
  const adjusted = exponent + digits.length - 1;
  if (exponent > 0 || adjusted < -6) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : '';
    return `${sign}${digits[0]}${fraction}E${adjusted < 0 ? '' : '+'}${adjusted}`;
  }
  if (exponent === 0) return sign + digits;
  const point = digits.length + exponent;
  if (point > 0) return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
  return `${sign}0.${'0'.repeat(-point)}${digits}`;
}

/** The integer part (towards zero) and whether nothing was cut off. Undefined beyond 10^40, to keep the integer small. */
export function truncateDecimal(
  decimal: Extract<Decimal, { kind: 'finite' }>,
): { integer: bigint; exact: boolean } | undefined {
  const { coefficient, exponent } = decimal;
  const sign = decimal.negative ? -1n : 1n;
  if (coefficient === 0n) return { integer: 0n, exact: true };
  if (exponent >= 0) {
    return exponent > 40 ? undefined : { integer: sign * coefficient * 10n ** BigInt(exponent), exact: true };
  }
  const power = 10n ** BigInt(Math.min(-exponent, MAX_DIGITS + 1));
  return { integer: sign * (coefficient / power), exact: coefficient % power === 0n };
}
