/**
 * The constructors of mongosh that stand for BSON values, as Extended JSON.
 *
 * Those that would give another value at every reading (`ObjectId()`, `new Date()`) have no entry for it: a plan must mean
 * the same tomorrow.
 */
import { JsonDouble, type JsonValue } from '../bson/extended-json.ts';
import { parseIsoDate } from '../bson/extended-json-types.ts';

interface ShellConstructor {
  readonly expected: string;
  /** Undefined = wrong arguments. The Extended JSON writer checks what is inside the wrapper. */
  readonly read: (values: readonly JsonValue[]) => JsonValue | undefined;
}

const objectId: ShellConstructor = {
  expected: 'ObjectId("24 hexadecimal digits")',
  read: ([hex, ...more]) => (isText(hex) && more.length === 0 ? wrap('$oid', hex) : undefined),
};

const date: ShellConstructor = {
  expected: 'ISODate("2016-09-13T13:00:00Z"), with Z or an offset when there is a time',
  read: ([value, ...more]) => {
    if (more.length > 0) return undefined;
    if (typeof value === 'number') return wrap('$date', wrap('$numberLong', String(value)));
    const parsed = isText(value) ? parseIsoDate(value) : undefined;
    return parsed?.zoned ? wrap('$date', wrap('$numberLong', String(parsed.epochMs))) : undefined;
  },
};

const long = integer('$numberLong', 'NumberLong("digits")');
const int = integer('$numberInt', 'NumberInt(digits)');

const decimal: ShellConstructor = {
  expected: 'NumberDecimal("digits")',
  read: ([value, ...more]) =>
    isText(value) && more.length === 0 ? wrap('$numberDecimal', value) : undefined,
};

const regularExpression: ShellConstructor = {
  expected: 'RegExp("pattern", "options") with the options i, m, s or x',
  read: ([pattern, options = '', ...more]) => {
    if (!isText(pattern) || !isText(options) || more.length > 0 || !/^[imsx]*$/.test(options))
      return undefined;
    return wrap(
      '$regularExpression',
      new Map([
        ['pattern', pattern],
        ['options', options],
      ]),
    );
  },
};

const minKey: ShellConstructor = { expected: 'MinKey()', read: (values) => constant('$minKey', values) };
const maxKey: ShellConstructor = { expected: 'MaxKey()', read: (values) => constant('$maxKey', values) };

const uuid: ShellConstructor = {
  expected: 'UUID("73ffd264-44b3-4c69-90e8-e7d1dfc035d4")',
  read: ([text, ...more]) => (isText(text) && more.length === 0 ? wrap('$uuid', dashed(text)) : undefined),
};

/** The order of a UUID's bytes in subtype 3, as the drivers of the time wrote them: https://github.com/mongodb/specifications, BSON UUID. */
const asWritten = legacyUuid('LUUID', (bytes) => bytes);
/** Two halves, each backwards. */
const ofJava = legacyUuid('JUUID', (bytes) =>
  Buffer.concat([backwards(bytes, 0, 8), backwards(bytes, 8, 16)]),
);
/** The first three groups backwards. */
const ofCSharp = legacyUuid('CSUUID', (bytes) =>
  Buffer.concat([backwards(bytes, 0, 4), backwards(bytes, 4, 6), backwards(bytes, 6, 8), bytes.subarray(8)]),
);

export const SHELL_CONSTRUCTORS: Readonly<Record<string, ShellConstructor>> = {
  ObjectId: objectId,
  ObjectID: objectId,
  'ObjectId.createFromHexString': objectId,
  'ObjectID.createFromHexString': objectId,
  'ObjectId.from_string': objectId,
  ISODate: date,
  Date: date,
  NumberLong: long,
  Long: long,
  Int64: long,
  'NumberLong.fromString': long,
  'Long.fromString': long,
  'Long.fromNumber': long,
  'Long.fromInt': long,
  'Long.fromBigInt': long,
  'Int32.fromString': int,
  'Decimal128.fromString': decimal,
  'Decimal128.from_string': decimal,
  NumberInt: int,
  Int32: int,
  NumberDecimal: decimal,
  Decimal128: decimal,
  Double: {
    expected: 'Double(number)',
    read: ([value, ...more]) => {
      if (more.length > 0) return undefined;
      if (typeof value === 'number') return new JsonDouble(value);
      return value instanceof JsonDouble ? value : undefined;
    },
  },
  UUID: uuid,
  'UUID.createFromHexString': uuid,
  LUUID: asWritten,
  PYUUID: asWritten,
  LegacyPythonUUID: asWritten,
  JUUID: ofJava,
  LegacyJavaUUID: ofJava,
  CSUUID: ofCSharp,
  NUUID: ofCSharp,
  LegacyCSharpUUID: ofCSharp,
  'Binary.createFromBase64': binaryOf('base64', 'Binary.createFromBase64("base64", subtype)'),
  'Binary.createFromHexString': binaryOf('hex', 'Binary.createFromHexString("hexadecimal digits", subtype)'),
  Binary: {
    expected: 'Binary.createFromBase64("base64", subtype)',
    read: ([data, subType = 0, ...more]) => {
      const inner = data instanceof Map ? data.get('$binary') : undefined;
      if (!(inner instanceof Map) || more.length > 0) return undefined;
      return binaryValue(String(inner.get('base64')), subType);
    },
  },
  'Buffer.from': {
    expected: 'Buffer.from("…", "hex") or Buffer.from("…", "base64")',
    read: ([data, encoding, ...more]) => {
      if (!isText(data) || more.length > 0 || (encoding !== 'hex' && encoding !== 'base64')) return undefined;
      const base64 = base64Of(data, encoding);
      return base64 === undefined ? undefined : binaryValue(base64, 0);
    },
  },
  BinData: binary('base64', 'BinData(subtype, "base64")'),
  HexData: binary('hex', 'HexData(subtype, "hexadecimal digits")'),
  Timestamp: {
    expected: 'Timestamp(seconds, increment) or Timestamp({ t: seconds, i: increment })',
    read: ([first, second, ...more]) => {
      if (more.length > 0) return undefined;
      if (first instanceof Map && second === undefined) return wrap('$timestamp', first);
      if (typeof first !== 'number' || typeof second !== 'number') return undefined;
      return wrap(
        '$timestamp',
        new Map([
          ['t', first],
          ['i', second],
        ]),
      );
    },
  },
  MinKey: minKey,
  MaxKey: maxKey,
  RegExp: regularExpression,
  BSONRegExp: regularExpression,
  DBRef: {
    expected: 'DBRef("collection", id) or DBRef("collection", id, "database")',
    read: ([collection, id, database, ...more]) => {
      if (!isText(collection) || id === undefined || more.length > 0) return undefined;
      const reference = new Map<string, JsonValue>([
        ['$ref', collection],
        ['$id', id],
      ]);
      if (database === undefined) return reference;
      return isText(database) ? reference.set('$db', database) : undefined;
    },
  },
};

function integer(key: string, expected: string): ShellConstructor {
  return {
    expected,
    read: ([value, ...more]) => {
      const isInteger = typeof value === 'number' || typeof value === 'bigint' || isText(value);
      return isInteger && more.length === 0 ? wrap(key, String(value)) : undefined;
    },
  };
}

function binary(encoding: 'base64' | 'hex', expected: string): ShellConstructor {
  return {
    expected,
    read: ([subType, data, ...more]) => {
      if (!isText(data) || more.length > 0) return undefined;
      const base64 = base64Of(data, encoding);
      return base64 === undefined ? undefined : binaryValue(base64, subType);
    },
  };
}

/** The same with the arguments the other way round; the subtype is 0 where there is none. */
function binaryOf(encoding: 'base64' | 'hex', expected: string): ShellConstructor {
  const { read } = binary(encoding, expected);
  return {
    expected,
    read: ([data, subType = 0, ...more]) => (data !== undefined ? read([subType, data, ...more]) : undefined),
  };
}

/** Undefined for what are no hexadecimal digits; base64 is checked by the writer. */
function base64Of(data: string, encoding: 'base64' | 'hex'): string | undefined {
  if (encoding === 'base64') return data;
  return /^(?:[0-9a-f]{2})*$/i.test(data) ? Buffer.from(data, 'hex').toString('base64') : undefined;
}

function binaryValue(base64: string, subType: JsonValue | undefined): JsonValue | undefined {
  if (typeof subType !== 'number' || subType < 0 || subType > 255) return undefined;
  return wrap(
    '$binary',
    new Map([
      ['base64', base64],
      ['subType', subType.toString(16).padStart(2, '0')],
    ]),
  );
}

/** A UUID in subtype 3, its bytes in the order that `ordered` brings them to. */
function legacyUuid(name: string, ordered: (bytes: Buffer) => Buffer): ShellConstructor {
  return {
    expected: `${name}("73ffd264-44b3-4c69-90e8-e7d1dfc035d4")`,
    read: ([text, ...more]) => {
      const hex = isText(text) && more.length === 0 ? text.replace(/[{}-]/g, '') : '';
      if (!/^[0-9a-f]{32}$/i.test(hex)) return undefined;
      return binaryValue(ordered(Buffer.from(hex, 'hex')).toString('base64'), 3);
    },
  };
}

function backwards(bytes: Buffer, start: number, end: number): Buffer {
  return Buffer.from(bytes.subarray(start, end)).reverse();
}

/** mongosh takes a UUID with or without dashes. */
function dashed(uuid: string): string {
  return uuid.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function constant(key: string, values: readonly JsonValue[]): JsonValue | undefined {
  return values.length === 0 ? wrap(key, 1) : undefined;
}

function wrap(key: string, value: JsonValue): Map<string, JsonValue> {
  return new Map([[key, value]]);
}

function isText(value: JsonValue | undefined): value is string {
  return typeof value === 'string';
}
