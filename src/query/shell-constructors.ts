/**
 * The constructors of mongosh that stand for BSON values, as Extended JSON.
 *
 * Those that would give another value at every reading (`ObjectId()`, `new Date()`) have no entry for it: a plan must mean
 * the same tomorrow.
 */
import { JsonDouble, type JsonValue } from '../bson/extended-json.ts';
import { parseIsoDate } from '../bson/iso-date.ts';

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

export const SHELL_CONSTRUCTORS: Readonly<Record<string, ShellConstructor>> = {
  ObjectId: objectId,
  ObjectID: objectId,
  ISODate: date,
  Date: date,
  NumberLong: long,
  Long: long,
  Int64: long,
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
  UUID: {
    expected: 'UUID("73ffd264-44b3-4c69-90e8-e7d1dfc035d4")',
    read: ([uuid, ...more]) => (isText(uuid) && more.length === 0 ? wrap('$uuid', dashed(uuid)) : undefined),
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
      if (typeof subType !== 'number' || subType < 0 || subType > 255 || !isText(data) || more.length > 0) {
        return undefined;
      }
      if (encoding === 'hex' && !/^(?:[0-9a-f]{2})*$/i.test(data)) return undefined;
      const base64 = encoding === 'hex' ? Buffer.from(data, 'hex').toString('base64') : data;
      const hexSubType = subType.toString(16).padStart(2, '0');
      return wrap(
        '$binary',
        new Map([
          ['base64', base64],
          ['subType', hexSubType],
        ]),
      );
    },
  };
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
