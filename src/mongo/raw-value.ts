/**
 * A raw BSON value as an argument anywhere inside a command, written byte for byte: an `_id` of any type, a whole query,
 * a pipeline stage. js-bson can only serialise JavaScript values, and there is none for a DBPointer, for `undefined`, for
 * integer-like keys in their order or for a key that occurs twice.
 */
import { BSONValue } from 'bson';
import { BSON, type RawValue } from '../bson/types.ts';

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
