/** Documents that a decode-and-encode path would damage: every BSON type, and every hazard that is known of such a path. */
import { DocumentBuilder, documentOf } from '../../src/bson/document-builder.ts';
import { BSON } from '../../src/bson/types.ts';

/** A raw document, element by element: `build((b) => { b.element(BSON.INT32, 'a'); b.int32(1); })`. */
export function build(fields: (builder: DocumentBuilder) => void): Buffer {
  const builder = new DocumentBuilder();
  const start = builder.beginDocument();
  fields(builder);
  builder.endDocument(start);
  return builder.finish();
}

const text = (value: string): Buffer => build((b) => b.string(value)).subarray(4, -1);
const int32 = (value: number): Buffer => build((b) => b.int32(value)).subarray(4, -1);
const int64 = (value: bigint): Buffer => build((b) => b.int64(value)).subarray(4, -1);
const double = (value: number): Buffer => build((b) => b.double(value)).subarray(4, -1);
const objectId = Buffer.from('57d17993a09a6759d8000d9e', 'hex');

/** One value of every type, and lookalikes of the number 1. */
export const VALUES: readonly (readonly [name: string, type: number, bytes: Buffer])[] = [
  ['double one', BSON.DOUBLE, double(1)],
  ['double fraction', BSON.DOUBLE, double(1.5)],
  ['double minus zero', BSON.DOUBLE, double(-0)],
  ['double nan with payload', BSON.DOUBLE, Buffer.from('010000000000f87f', 'hex')],
  ['string', BSON.STRING, text('naïve 🖼️')],
  ['string that is not UTF-8', BSON.STRING, Buffer.from('03000000c32800', 'hex')],
  ['object', BSON.OBJECT, documentOf('a', BSON.INT32, int32(1))],
  ['array', BSON.ARRAY, documentOf('0', BSON.INT32, int32(1))],
  ['binary', BSON.BINARY, Buffer.from('0300000000010203', 'hex')],
  ['binary old subtype', BSON.BINARY, Buffer.from('070000000203000000010203', 'hex')],
  ['uuid', BSON.BINARY, Buffer.concat([Buffer.from('1000000004', 'hex'), Buffer.alloc(16, 7)])],
  ['undefined', BSON.UNDEFINED, Buffer.alloc(0)],
  ['object id', BSON.OBJECT_ID, objectId],
  ['bool', BSON.BOOL, Buffer.from([1])],
  ['date', BSON.DATE, int64(1473771600000n)],
  ['date beyond JavaScript', BSON.DATE, int64(9_223_372_036_854_775_000n)],
  ['null', BSON.NULL, Buffer.alloc(0)],
  ['regex', BSON.REGEX, Buffer.from('^a\0i\0')],
  ['db pointer', BSON.DB_POINTER, Buffer.concat([text('gravity.artworks'), objectId])],
  ['code', BSON.CODE, text('function () { return 1; }')],
  ['symbol', BSON.SYMBOL, text('symbol')],
  [
    'code with scope',
    BSON.CODE_WITH_SCOPE,
    Buffer.from('160000000200000078000c0000001061000100000000', 'hex'),
  ],
  ['int32 one', BSON.INT32, int32(1)],
  ['timestamp', BSON.TIMESTAMP, int64(0x57d1799300000001n)],
  ['timestamp zero', BSON.TIMESTAMP, int64(0n)],
  ['int64 one', BSON.INT64, int64(1n)],
  ['decimal one', BSON.DECIMAL128, Buffer.from('01000000000000000000000000004030', 'hex')],
  ['decimal one point zero', BSON.DECIMAL128, Buffer.from('0a000000000000000000000000003e30', 'hex')],
  ['min key', BSON.MIN_KEY, Buffer.alloc(0)],
  ['max key', BSON.MAX_KEY, Buffer.alloc(0)],
];

/** `{_id: <number>, value: <one of VALUES>}` for each, then the hazards of shape. */
export function everyTypeDocuments(): Buffer[] {
  let id = 0;
  const document = (fields: (builder: DocumentBuilder) => void): Buffer =>
    build((b) => {
      b.element(BSON.INT32, '_id');
      b.int32(++id);
      fields(b);
    });
  const put = (b: DocumentBuilder, key: string, value: number): void => {
    b.element(BSON.INT32, key);
    b.int32(value);
  };
  return [
    ...VALUES.map(([, type, bytes]) =>
      document((b) => {
        b.element(type, 'value');
        b.raw(bytes);
      }),
    ),
    document((b) =>
      VALUES.forEach(([name, type, bytes]) => {
        b.element(type, name);
        b.raw(bytes);
      }),
    ),
    document((b) =>
      ['b', '10', '2', 'a', '1'].forEach((key, i) => {
        put(b, key, i);
      }),
    ),
    document((b) =>
      ['twice', 'once', 'twice'].forEach((key, i) => {
        put(b, key, i);
      }),
    ),
    document((b) =>
      ['__proto__', 'constructor', '', 'a.b', '$set', '$id'].forEach((key, i) => {
        put(b, key, i);
      }),
    ),
    document((b) => {
      b.element(BSON.OBJECT, 'reference');
      b.raw(
        build((inner) =>
          ['extra', '$id', '$ref'].forEach((key, i) => {
            put(inner, key, i);
          }),
        ),
      );
    }),
    document((b) => {
      b.element(BSON.OBJECT, 'deep');
      b.raw(nested(180));
    }),
    document((b) => {
      b.element(BSON.BINARY, 'filler');
      b.raw(filler(LARGEST_FILLER));
    }),
  ];
}

/** Bytes of binary data that make `{_id: <int32>, filler: <binary>}` exactly 16 MiB long. */
const LARGEST_FILLER = 16 * 1024 * 1024 - 4 - (1 + 4 + 4) - (1 + 7 + 5) - 1;

function filler(length: number): Buffer {
  const bytes = Buffer.alloc(5 + length, 0x61);
  bytes.writeInt32LE(length, 0);
  bytes[4] = 0;
  return bytes;
}

/** Documents inside each other, `levels` of them counting this one. */
export function nested(levels: number): Buffer {
  let inner = build(() => undefined);
  for (let level = 1; level < levels; level++) {
    const held = inner;
    inner = build((b) => {
      b.element(BSON.OBJECT, 'd');
      b.raw(held);
    });
  }
  return inner;
}

/** One document per type that a server takes as `_id`, in no order. */
export function everyIdDocuments(): Buffer[] {
  return VALUES.filter(([name, type]) => !NO_IDS.includes(type) && !NUMBER_ONE.includes(name)).map(
    ([, type, bytes]) =>
      build((b) => {
        b.element(type, '_id');
        b.raw(bytes);
        b.element(BSON.INT32, 'n');
        b.int32(1);
      }),
  );
}

const NO_IDS: readonly number[] = [BSON.ARRAY, BSON.REGEX, BSON.UNDEFINED];
/** Equal as `_id`s to int32 1, which stays. */
const NUMBER_ONE: readonly string[] = ['double one', 'int64 one', 'decimal one', 'decimal one point zero'];
