/** Raw queries and stages around raw values: nothing of a document is decoded to ask about it. */
import { buildDocument, type DocumentBuilder } from '../bson/document-builder.ts';
import { BSON, type RawValue } from '../bson/types.ts';

export function putValue(builder: DocumentBuilder, key: string, value: RawValue): void {
  builder.element(value.type, key);
  builder.raw(value.bytes.subarray(value.start, value.end));
}

export function putDocument(builder: DocumentBuilder, key: string, document: Buffer): void {
  builder.element(BSON.OBJECT, key);
  builder.raw(document);
}

/** `{key: document}`, for instance a pipeline stage. */
export function wrapped(key: string, document: Buffer): Buffer {
  return buildDocument((builder) => putDocument(builder, key, document));
}

/** `{_id: 1, …}` for the given top-level fields. */
export function projectionOf(fields: readonly string[]): Buffer {
  return buildDocument((builder) => {
    for (const field of new Set(['_id', ...fields])) {
      builder.element(BSON.INT32, field);
      builder.int32(1);
    }
  });
}

/** `{$and: [a, b]}`. */
export function both(a: Buffer, b: Buffer): Buffer {
  return listOf('$and', [a, b]);
}

/** `{operator: [documents…]}`. */
export function listOf(operator: string, documents: readonly Buffer[]): Buffer {
  return buildDocument((builder) => {
    builder.element(BSON.ARRAY, operator);
    builder.embed(() => {
      for (const [index, document] of documents.entries()) putDocument(builder, String(index), document);
    });
  });
}

/** One field and the value it must equal; undefined = it is missing or null. */
type FieldValue = readonly [path: string, value: RawValue | undefined];

/**
 * The documents that may hold these index keys: `{a: {$eq: value}, b: {$eq: value}, …}`. An absent value asks for null,
 * which missing fields match too. An index that is `sparse` can only be used when the fields must exist.
 */
export function equalQuery(fields: readonly FieldValue[], sparse: boolean): Buffer {
  const clauses = fields.map(([path, value]) => {
    // An empty array is stored as undefined, which no query may compare with.
    if (value?.type === BSON.UNDEFINED) return listOf('$or', [emptyArray(path), undefinedAt(path)]);
    return buildDocument((builder) => {
      builder.element(BSON.OBJECT, path);
      builder.embed(() => {
        if (value === undefined) builder.element(BSON.NULL, '$eq');
        else putValue(builder, '$eq', value);
        if (!sparse || value === undefined) return;
        builder.element(BSON.BOOL, '$exists');
        builder.byte(1);
      });
    });
  });
  return clauses.length === 1 ? (clauses[0] as Buffer) : listOf('$and', clauses);
}

/** An index key as a document: the index's fields in order, null for a missing one. */
export function keyDocument(paths: readonly string[], key: readonly (RawValue | undefined)[]): Buffer {
  return buildDocument((builder) => {
    for (const [field, path] of paths.entries()) {
      const value = key[field];
      if (value === undefined) builder.element(BSON.NULL, path);
      else putValue(builder, path, value);
    }
  });
}

function emptyArray(path: string): Buffer {
  return buildDocument((builder) => {
    builder.element(BSON.ARRAY, path);
    builder.embed(() => {});
  });
}

function undefinedAt(path: string): Buffer {
  return buildDocument((builder) => {
    builder.element(BSON.OBJECT, path);
    builder.embed(() => {
      builder.element(BSON.INT32, '$type');
      builder.int32(BSON.UNDEFINED);
    });
  });
}

/** `{path: {$in: [values…]}}`. A regular expression among the values would be run as one: ask with `equalQuery` instead. */
export function inQuery(path: string, values: readonly RawValue[]): Buffer {
  return buildDocument((builder) => {
    builder.element(BSON.OBJECT, path);
    builder.embed(() => {
      builder.element(BSON.ARRAY, '$in');
      builder.embed(() => {
        for (const [index, value] of values.entries()) putValue(builder, String(index), value);
      });
    });
  });
}
