/**
 * What the server refuses of a document whatever the collection: no usable `_id`, nested too deep, too large.
 * Limits as measured on mongod 8.2.
 */
import { cstringEnd, valueEnd } from '../bson/elements.ts';
import { idRefusal } from '../bson/storable.ts';
import { findId } from '../bson/stored-form.ts';
import { BSON, type RawValue } from '../bson/types.ts';

const MAX_STORED_BYTES = 16 * 1024 * 1024;
/** Documents and arrays from the outermost one down: the server stores 180 below the first (measured; error 15 beyond). */
const MAX_DEPTH = 181;

/** Why no server would store a document of this many bytes; undefined where one does. */
export function lengthRefusal(length: number): string | undefined {
  return length > MAX_STORED_BYTES ? `it has ${length} bytes; the server stores at most 16 MiB` : undefined;
}

/** The `_id` of the document at `start`, or the reason why no server would store it. */
export function idOrRefusal(bytes: Buffer, start: number): RawValue | string {
  const id = findId(bytes, start) ?? { bytes, type: 0, start, end: start };
  return idRefusal(id) ?? id;
}

/** Undefined where the document can be stored. */
export function sizeRefusal({ bytes, start, end }: RawValue): string | undefined {
  const tooLong = lengthRefusal(end - start);
  if (tooLong !== undefined) return tooLong;
  // Each level costs at least 7 bytes (type, shortest key, frame): a short document cannot be too deep.
  if (end - start < MAX_DEPTH * 7) return undefined;
  return isDeeperThan(bytes, start, MAX_DEPTH) ? `it is nested deeper than ${MAX_DEPTH} levels` : undefined;
}

/** Walks embedded documents only; scalars are stepped over. Recursion is bounded by `levels`. */
function isDeeperThan(bytes: Buffer, start: number, levels: number): boolean {
  if (levels === 0) return true;
  const last = start + bytes.readInt32LE(start) - 1;
  let at = start + 4;
  while (at < last) {
    const type = bytes[at] as number;
    const valueStart = cstringEnd(bytes, at + 1, last);
    if (type === BSON.OBJECT || type === BSON.ARRAY) {
      if (isDeeperThan(bytes, valueStart, levels - 1)) return true;
    }
    at = valueEnd(bytes, type, valueStart, last);
  }
  return false;
}
