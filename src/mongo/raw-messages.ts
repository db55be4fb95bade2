/** Raw values into commands, and what our commands need out of raw replies. Bytes and offsets; documents are never decoded. */
import { BSONValue, deserialize } from 'bson';
import { elements, keyOf } from '../bson/elements.ts';
import { BSON, type RawValue } from '../bson/types.ts';

/** The top level of a reply; nested documents are raw bytes. */
export type Reply = Readonly<Record<string, unknown>>;

export interface CursorReply {
  /** The reply's batch: whole documents that start at `offsets` of `bytes`. */
  readonly bytes: Buffer;
  readonly offsets: readonly number[];
  /** 0n when this batch was the last. */
  readonly id: bigint;
}

/** The batch of a `find`, `aggregate`, `listCollections`, `listIndexes` or `getMore` reply. */
export function readBatch(reply: Reply): CursorReply {
  const bytes = asBuffer(reply['cursor']);
  let offsets: number[] = [];
  let id = 0n;
  for (const element of elements(bytes)) {
    const key = keyOf(element);
    if (key === 'firstBatch' || key === 'nextBatch') offsets = documentOffsets(element);
    if (key === 'id') id = bytes.readBigInt64LE(element.start);
  }
  return { bytes, offsets, id };
}

/** The same as single documents, views of the reply. */
export function readCursor(reply: Reply): { readonly documents: Buffer[]; readonly id: bigint } {
  const { bytes, offsets, id } = readBatch(reply);
  return { documents: offsets.map((start) => bytes.subarray(start, start + bytes.readInt32LE(start))), id };
}

/**
 * Where the documents of a raw array start. Hot: runs over every document that is read back, so it steps from length to
 * length and looks at nothing but the array keys between them.
 */
function documentOffsets(array: RawValue): number[] {
  const { bytes } = array;
  const last = array.end - 1;
  const offsets: number[] = [];
  let at = array.start + 4;
  while (at < last) {
    at++;
    while (bytes[at] !== 0) at++;
    offsets.push(at + 1);
    at += 1 + bytes.readInt32LE(at + 1);
  }
  return offsets;
}

/** What a cursor of the driver's keeps of a reply. */
interface Buffered {
  readonly batch?: { readonly bson?: unknown; readonly offset?: unknown };
  readonly length?: number;
  readonly batchSize?: number;
  readonly clear?: () => void;
}

/**
 * The documents that a cursor has fetched, all of them, where they lie in the reply: the driver would take each apart, field by field, only to see
 * where it ends. The cursor has none afterwards. Undefined where it is built otherwise than in the driver that is packed in, or some were
 * taken before: then the driver's own way is open.
 */
export function takeFetched(
  cursor: object,
): { readonly bytes: Buffer; readonly offsets: readonly number[] } | undefined {
  const { documents } = cursor as { readonly documents?: Buffered | null };
  const { batch, clear, length } = documents ?? {};
  if (!(batch?.bson instanceof Uint8Array) || typeof batch.offset !== 'number' || clear === undefined)
    return undefined;
  const bytes = asBuffer(batch.bson);
  const start = batch.offset;
  const end = start + bytes.readInt32LE(start);
  const offsets = documentOffsets({ type: BSON.ARRAY, bytes, start, end });
  if (offsets.length !== length) return undefined;
  documents?.clear?.();
  return { bytes, offsets };
}

export interface WriteFault {
  /** Position of the document in the command. */
  readonly index: number;
  readonly code: number;
  /** Fields of the violated unique index, for a duplicate key. */
  readonly keyPattern: readonly string[] | undefined;
}

/** The per-document errors of a write reply; the driver's own error objects lose some of them. */
export function readWriteFaults(reply: Reply): WriteFault[] {
  const faults = reply['writeErrors'];
  if (!Array.isArray(faults)) return [];
  return faults.map((raw) => {
    const fault = deserialize(asBuffer(raw), { raw: true });
    const pattern = fault['keyPattern'];
    return {
      index: fault['index'] as number,
      code: fault['code'] as number,
      keyPattern: pattern === undefined ? undefined : [...elements(asBuffer(pattern))].map(keyOf),
    };
  });
}

/** js-bson hands out views of any byte type; ours are Buffers over the same memory. */
export function asBuffer(value: unknown): Buffer {
  if (!(value instanceof Uint8Array)) throw new TypeError('the server sent a reply of an unknown shape');
  return Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

// A raw BSON value as an argument anywhere inside a command, written byte for byte: an `_id` of any type, a whole query,
// a pipeline stage. js-bson can only serialise JavaScript values, and there is none for a DBPointer, for `undefined`, for
// integer-like keys in their order or for a key that occurs twice.

/**
 * Poses as an ObjectId, the one type that js-bson lets write itself into the output: js-bson writes the element's type
 * byte, key and NUL, then calls `serializeInto` and goes on after as many bytes as it returns. We put our own type byte
 * in the place of the ObjectId's. `test/target/raw-bytes.test.ts` holds this against a real server.
 */
class RawArgument extends BSONValue {
  readonly #type: number;
  readonly #bytes: Uint8Array;

  constructor(type: number, bytes: Uint8Array) {
    super();
    this.#type = type;
    this.#bytes = bytes;
  }

  get _bsontype(): 'ObjectId' {
    return 'ObjectId';
  }

  serializeInto(output: Uint8Array, at: number): number {
    // Back over the NUL and the key; our command keys are plain words and array indexes, never a byte 0x07.
    let typeAt = at - 2;
    while (output[typeAt] !== BSON.OBJECT_ID) typeAt--;
    output[typeAt] = this.#type;
    output.set(this.#bytes, at);
    return this.#bytes.length;
  }

  override inspect(): string {
    return `RawArgument(${this.#bytes.length} bytes)`;
  }
}

/** One raw value of any type. */
export function rawValue(value: RawValue): object {
  return new RawArgument(value.type, value.bytes.subarray(value.start, value.end));
}

/** A raw document: a query, a pipeline stage, collection options. */
export function rawDocument(bytes: Buffer): object {
  return new RawArgument(BSON.OBJECT, bytes);
}
