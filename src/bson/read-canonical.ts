/** The way back from canonical bytes (canonical-bytes.ts) to a value: to one of those that they stand for. */
import { DECIMAL, DOUBLE, INTEGER } from './canonical-bytes.ts';
import { typePlace } from './compare-values.ts';
import { type Decimal, encodeDecimal128, parseDecimal } from './decimal128.ts';
import { BSON } from './types.ts';

/** Type byte and bytes of a BSON value, without a key. */
export interface BareValue {
  readonly type: number;
  readonly bytes: Buffer;
}

/** Types whose canonical bytes are the value's own, after the place of the type. */
const PLAIN_TYPES = new Map(
  [BSON.STRING, BSON.BINARY, BSON.BOOL, BSON.DATE, BSON.TIMESTAMP, BSON.MIN_KEY, BSON.MAX_KEY].map(
    (type) => [typePlace(type) + 1, type] as const,
  ),
);
const NUMBERS = typePlace(BSON.INT32) + 1;

/**
 * Undefined for documents, arrays, code and the like, and for regular expressions, which in a query mean something else
 * than themselves.
 */
export function readCanonical(key: Buffer): BareValue | undefined {
  if (key[0] === NUMBERS) return readNumber(key);
  const type = PLAIN_TYPES.get(key[0] as number);
  return type === undefined ? undefined : { type, bytes: key.subarray(1) };
}

function readNumber(key: Buffer): BareValue {
  switch (key[1]) {
    case INTEGER:
      return { type: BSON.INT64, bytes: key.subarray(2) };
    case DOUBLE:
      return { type: BSON.DOUBLE, bytes: key.subarray(2) };
    case DECIMAL:
      return {
        type: BSON.DECIMAL128,
        bytes: encodeDecimal128(parseDecimal(key.toString('latin1', 2)) as Decimal),
      };
    default:
      throw new RangeError(`no kind of number has the canonical byte ${key[1]}`);
  }
}
