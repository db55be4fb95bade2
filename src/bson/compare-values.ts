/**
 * Compares raw BSON values in MongoDB's sort order.
 *
 * MinKey < undefined < null < numbers < string, symbol < object < array < binary < ObjectId < bool < date < timestamp <
 * regular expression < DBPointer < code < code with scope < MaxKey. Numbers are compared by value across their four types.
 */

import { BsonFault, cstringEnd, documentEnd, ElementCursor } from './elements.ts';
import { compareNumbers, readNumber } from './numbers.ts';
import { BSON, type RawValue } from './types.ts';

/** Place in the order by type byte; equal place = values of the two types are compared. A missing value (0) stands with undefined. */
const PLACE = new Int8Array(256);
for (const [place, types] of [
  [-1, [BSON.MIN_KEY]],
  [0, [BSON.UNDEFINED]],
  [5, [BSON.NULL]],
  [10, [BSON.INT32, BSON.INT64, BSON.DOUBLE, BSON.DECIMAL128]],
  [15, [BSON.STRING, BSON.SYMBOL]],
  [20, [BSON.OBJECT]],
  [25, [BSON.ARRAY]],
  [30, [BSON.BINARY]],
  [35, [BSON.OBJECT_ID]],
  [40, [BSON.BOOL]],
  [45, [BSON.DATE]],
  [47, [BSON.TIMESTAMP]],
  [50, [BSON.REGEX]],
  [55, [BSON.DB_POINTER]],
  [60, [BSON.CODE]],
  [65, [BSON.CODE_WITH_SCOPE]],
  [127, [BSON.MAX_KEY]],
] as const) {
  for (const type of types) PLACE[type] = place;
}

const OBJECT_ID_BYTES = 12;

/** Types that compare with each other share a place. */
export function typePlace(type: number): number {
  return PLACE[type] as number;
}

/**
 * stored: as a query compares what documents hold. computed: as expressions compare their values, for which the elements of an
 * array have no names, and of a DBPointer's namespace only the length counts.
 */
type ComparisonRules = 'stored' | 'computed';

/** Negative, zero or positive, like a sort callback. */
export function compareValues(a: RawValue, b: RawValue, rules: ComparisonRules = 'stored'): number {
  const byType = typePlace(a.type) - typePlace(b.type);
  if (byType !== 0) return byType;
  switch (a.type) {
    case BSON.INT32:
    case BSON.INT64:
    case BSON.DOUBLE:
    case BSON.DECIMAL128:
      return compareNumbers(readNumber(a), readNumber(b));
    case BSON.STRING:
    case BSON.SYMBOL:
    case BSON.CODE:
      return compareStrings(a, b);
    case BSON.OBJECT:
    case BSON.ARRAY:
      return compareDocuments(a, b, rules);
    case BSON.BINARY:
      return compareBinaries(a, b);
    case BSON.BOOL:
    case BSON.OBJECT_ID:
      return compareBytes(a, b);
    case BSON.DATE: {
      const high = a.bytes.readInt32LE(a.start + 4) - b.bytes.readInt32LE(b.start + 4);
      return high !== 0 ? high : a.bytes.readUInt32LE(a.start) - b.bytes.readUInt32LE(b.start);
    }
    case BSON.TIMESTAMP: {
      const seconds = a.bytes.readUInt32LE(a.start + 4) - b.bytes.readUInt32LE(b.start + 4);
      return seconds !== 0 ? seconds : a.bytes.readUInt32LE(a.start) - b.bytes.readUInt32LE(b.start);
    }
    case BSON.REGEX:
      return compareBytes(a, b);
    case BSON.DB_POINTER:
      return a.end - a.start - (b.end - b.start) || compareDbPointers(a, b, rules);
    case BSON.CODE_WITH_SCOPE:
      return compareCodeWithScope(a, b);
    default:
      return 0;
  }
}

/** True when both lie in the same bytes, value for value. Cheaper than comparing, but 1 and 1.0 differ. */
export function sameBytes(a: RawValue, b: RawValue): boolean {
  return a.type === b.type && a.end - a.start === b.end - b.start && compareBytes(a, b) === 0;
}

function compareBytes(a: RawValue, b: RawValue): number {
  return a.bytes.compare(b.bytes, b.start, b.end, a.start, a.end);
}

/** UTF-8 bytes without the length before and the NUL after; a string may hold NULs of its own. */
function compareStrings(a: RawValue, b: RawValue): number {
  return a.bytes.compare(b.bytes, b.start + 4, b.end - 1, a.start + 4, a.end - 1);
}

/** Length first, then subtype, then data: the server's order. */
function compareBinaries(a: RawValue, b: RawValue): number {
  const byLength = a.end - a.start - (b.end - b.start);
  if (byLength !== 0) return byLength;
  return a.bytes.compare(b.bytes, b.start + 4, b.end, a.start + 4, a.end);
}

/** Element by element: type, then key, then value; the shorter one is smaller when all else is equal. */
function compareDocuments(a: RawValue, b: RawValue, rules: ComparisonRules): number {
  const hasNames = rules === 'stored' || a.type !== BSON.ARRAY;
  const left = new ElementCursor().open(a.bytes, a.start, a.end);
  const right = new ElementCursor().open(b.bytes, b.start, b.end);
  for (;;) {
    const more = left.next();
    if (!right.next()) return more ? 1 : 0;
    if (!more) return -1;
    const byType = typePlace(left.type) - typePlace(right.type);
    if (byType !== 0) return byType;
    const byKey = hasNames ? compareKeys(left, right) : 0;
    if (byKey !== 0) return byKey;
    const byValue = compareValues(left, right, rules);
    if (byValue !== 0) return byValue;
  }
}

/** Of the same length. */
function compareDbPointers(a: RawValue, b: RawValue, rules: ComparisonRules): number {
  if (rules === 'stored') return compareBytes(a, b);
  return a.bytes.compare(b.bytes, b.end - OBJECT_ID_BYTES, b.end, a.end - OBJECT_ID_BYTES, a.end);
}

function compareKeys(a: ElementCursor, b: ElementCursor): number {
  return a.bytes.compare(b.bytes, b.keyStart, b.start - 1, a.keyStart, a.start - 1);
}

function compareCodeWithScope(a: RawValue, b: RawValue): number {
  const left = splitCodeWithScope(a);
  const right = splitCodeWithScope(b);
  return compareStrings(left.code, right.code) || compareDocuments(left.scope, right.scope, 'stored');
}

/** The code (as a string value) and the scope (as a document) of a code-with-scope value; throws BsonFault when they do not fill it. */
export function splitCodeWithScope(value: RawValue): { code: RawValue; scope: RawValue } {
  const { bytes, start, end } = value;
  const codeLength = bytes.readInt32LE(start + 4);
  const middle = start + 8 + codeLength;
  if (codeLength < 1 || middle > end) throw new BsonFault(`impossible code length ${codeLength}`, start + 4);
  if (documentEnd(bytes, middle, end) !== end)
    throw new BsonFault('code with scope has a wrong length', start);
  return {
    code: { bytes, type: BSON.CODE, start: start + 4, end: middle },
    scope: { bytes, type: BSON.OBJECT, start: middle, end },
  };
}

/** Pattern and options of a regular expression value, as text. */
export function splitRegex(value: RawValue): { pattern: string; options: string } {
  const { bytes, start, end } = value;
  const optionsStart = cstringEnd(bytes, start, end);
  return {
    pattern: bytes.toString('utf8', start, optionsStart - 1),
    options: bytes.toString('utf8', optionsStart, end - 1),
  };
}
