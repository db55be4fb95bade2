/**
 * Numbers whose text does not say the value that YAML makes of it. In a query such a number would silently match
 * nothing, so it is refused, with what to write instead.
 */

/** Every integer up to here is exact in JSON, JavaScript and a double. */
const MAX_EXACT = BigInt(Number.MAX_SAFE_INTEGER);
/** Decimal digits beyond which a double does not keep what was written. */
const MAX_DIGITS = 17;

/** `value` and `source` as the YAML library gives them: integers as bigint, the rest as number. */
export function exactNumber(
  value: bigint | number,
  source: string,
): { readonly exact: true } | { readonly message: string; readonly expected: string } {
  const digits = source.replace(/^[-+]/, '');
  if (/^[\da-f]{24}$/i.test(source)) {
    return { message: `${source} is read as a number`, expected: 'quotes: it looks like an ObjectId' };
  }
  if (typeof value === 'bigint') {
    if (value > MAX_EXACT || value < -MAX_EXACT) {
      return {
        message: `the integer ${source} is too large to be exact`,
        expected: `quotes if it is text, or { $numberLong: "${source}" } in a query`,
      };
    }
    if (/^0\d/.test(digits)) {
      return {
        message: `${source} is read as the number ${value}`,
        expected: `quotes if it is text, or ${value} if it is a number`,
      };
    }
    return { exact: true };
  }
  if (/^\d/.test(digits) && !Number.isFinite(value)) {
    return {
      message: `${source} is read as a number that is too large`,
      expected: 'quotes if it is text',
    };
  }
  const significant = digits.replace(/e.*$/i, '').replace('.', '').replace(/^0+/, '');
  if (significant.length > MAX_DIGITS) {
    return {
      message: `the number ${source} has more digits than a double can hold`,
      expected: `quotes if it is text, or { $numberDecimal: "${source}" } in a query`,
    };
  }
  return { exact: true };
}
