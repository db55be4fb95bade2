/**
 * Shows raw BSON as Extended JSON text, straight from the bytes: key order, repeated keys and types as they are.
 *
 * Canonical text parses back to the same bytes (parseExtendedJson, writeExtendedJson), except where BSON holds what JSON
 * cannot: bytes that are not UTF-8, the payload of a NaN, a Decimal128 that is not canonical, array keys other than 0, 1, 2 …,
 * options of a regular expression out of order, a wrong inner length in binary data of subtype 2.
 * Control, format and direction-changing characters are written as \u escapes, so the text is safe on a terminal.
 */
import { splitCodeWithScope, splitRegex } from './compare-values.ts';
import { elements, keyOf } from './elements.ts';
import { showIsoDate } from './extended-json-types.ts';
import { readDecimal128, showDecimal } from './numbers.ts';
import { BSON, type RawValue } from './types.ts';

interface ShownForm {
  /** Numbers and dates as people write them; types of numbers are then not kept. Default false: canonical. */
  readonly relaxed?: boolean;
}

/** The document at `start`, on one line. */
export function showDocument(bytes: Buffer, start = 0, options: ShownForm = {}): string {
  const parts = [...elements(bytes, start)].map(
    (element) => `${showText(keyOf(element))}:${showValue(element, options)}`,
  );
  return `{${parts.join(',')}}`;
}

export function showValue(value: RawValue, options: ShownForm = {}): string {
  const { bytes, start, end } = value;
  switch (value.type) {
    case BSON.DOUBLE:
      return showDouble(bytes.readDoubleLE(start), options);
    case BSON.STRING:
      return showText(bytes.toString('utf8', start + 4, end - 1));
    case BSON.OBJECT:
      return showDocument(bytes, start, options);
    case BSON.ARRAY:
      return `[${[...elements(bytes, start)].map((element) => showValue(element, options)).join(',')}]`;
    case BSON.BINARY:
      return showBinary(value);
    case BSON.UNDEFINED:
      return '{"$undefined":true}';
    case BSON.OBJECT_ID:
      return `{"$oid":"${bytes.toString('hex', start, end)}"}`;
    case BSON.BOOL:
      return bytes[start] === 0 ? 'false' : 'true';
    case BSON.DATE:
      return showDate(bytes.readBigInt64LE(start), options);
    case BSON.NULL:
      return 'null';
    case BSON.REGEX: {
      const { pattern, options: letters } = splitRegex(value);
      return `{"$regularExpression":{"pattern":${showText(pattern)},"options":${showText(letters)}}}`;
    }
    case BSON.DB_POINTER: {
      const namespace = showText(bytes.toString('utf8', start + 4, end - 13));
      return `{"$dbPointer":{"$ref":${namespace},"$id":{"$oid":"${bytes.toString('hex', end - 12, end)}"}}}`;
    }
    case BSON.CODE:
      return `{"$code":${showText(bytes.toString('utf8', start + 4, end - 1))}}`;
    case BSON.SYMBOL:
      return `{"$symbol":${showText(bytes.toString('utf8', start + 4, end - 1))}}`;
    case BSON.CODE_WITH_SCOPE: {
      const { code, scope } = splitCodeWithScope(value);
      const text = showText(bytes.toString('utf8', code.start + 4, code.end - 1));
      return `{"$code":${text},"$scope":${showDocument(bytes, scope.start, options)}}`;
    }
    case BSON.INT32: {
      const number = bytes.readInt32LE(start);
      return options.relaxed ? String(number) : `{"$numberInt":"${number}"}`;
    }
    case BSON.TIMESTAMP:
      return `{"$timestamp":{"t":${bytes.readUInt32LE(start + 4)},"i":${bytes.readUInt32LE(start)}}}`;
    case BSON.INT64: {
      const number = bytes.readBigInt64LE(start);
      return options.relaxed ? String(number) : `{"$numberLong":"${number}"}`;
    }
    case BSON.DECIMAL128:
      return `{"$numberDecimal":"${showDecimal(readDecimal128(bytes, start))}"}`;
    case BSON.MIN_KEY:
      return '{"$minKey":1}';
    case BSON.MAX_KEY:
      return '{"$maxKey":1}';
    default:
      return `{"$unknownType":${value.type}}`;
  }
}

/** Characters that change what a terminal or a reviewer sees without being seen: controls, formats, line separators, private use. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu;

/** A JSON string literal with every unseen character escaped. */
export function showText(text: string): string {
  return JSON.stringify(text).replace(UNSEEN, unicodeEscape);
}

function showDouble(number: number, options: ShownForm): string {
  const text = doubleText(number);
  return options.relaxed && Number.isFinite(number) ? text : `{"$numberDouble":"${text}"}`;
}

/** Always with a point or an exponent, so that it reads back as a double. */
function doubleText(number: number): string {
  if (Object.is(number, -0)) return '-0.0';
  const text = String(number);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

function showDate(epochMs: bigint, options: ShownForm): string {
  const iso = options.relaxed ? showIsoDate(Number(epochMs)) : undefined;
  return iso === undefined ? `{"$date":{"$numberLong":"${epochMs}"}}` : `{"$date":"${iso}"}`;
}

function showBinary({ bytes, start, end }: RawValue): string {
  const subType = bytes[start + 4] as number;
  // Subtype 2 (deprecated) repeats the length inside; Extended JSON leaves it out.
  const repeats = subType === 2 && end - start >= 9 && bytes.readInt32LE(start + 5) === end - start - 9;
  const dataStart = repeats ? start + 9 : start + 5;
  const base64 = bytes.toString('base64', dataStart, end);
  return `{"$binary":{"base64":"${base64}","subType":"${subType.toString(16).padStart(2, '0')}"}}`;
}

/** MongoDB's name of a type, as `$type` knows it. */
export function typeName(type: number): string {
  return TYPE_NAMES[type] ?? `unknown (0x${type.toString(16).padStart(2, '0')})`;
}

const TYPE_NAMES: Readonly<Record<number, string>> = {
  [BSON.DOUBLE]: 'double',
  [BSON.STRING]: 'string',
  [BSON.OBJECT]: 'object',
  [BSON.ARRAY]: 'array',
  [BSON.BINARY]: 'binData',
  [BSON.UNDEFINED]: 'undefined',
  [BSON.OBJECT_ID]: 'objectId',
  [BSON.BOOL]: 'bool',
  [BSON.DATE]: 'date',
  [BSON.NULL]: 'null',
  [BSON.REGEX]: 'regex',
  [BSON.DB_POINTER]: 'dbPointer',
  [BSON.CODE]: 'javascript',
  [BSON.SYMBOL]: 'symbol',
  [BSON.CODE_WITH_SCOPE]: 'javascriptWithScope',
  [BSON.INT32]: 'int',
  [BSON.TIMESTAMP]: 'timestamp',
  [BSON.INT64]: 'long',
  [BSON.DECIMAL128]: 'decimal',
  [BSON.MIN_KEY]: 'minKey',
  [BSON.MAX_KEY]: 'maxKey',
};
/** Every UTF-16 unit of a text as `\uXXXX`, the way JSON and JavaScript write it. */
export function unicodeEscape(characters: string): string {
  let escaped = '';
  for (let i = 0; i < characters.length; i++) {
    escaped += `\\u${characters.charCodeAt(i).toString(16).padStart(4, '0')}`;
  }
  return escaped;
}
