/** `_id`s of a batch as bytes: type byte and value, one after another. 13 bytes for an ObjectId; no `_id` is decoded. */
import { valueEnd } from '../bson/elements.ts';
import type { RawValue } from '../bson/types.ts';

export function packIds(ids: readonly RawValue[]): Buffer {
  const size = ids.reduce((sum, id) => sum + 1 + id.end - id.start, 0);
  const packed = Buffer.allocUnsafe(size);
  let at = 0;
  for (const id of ids) {
    packed[at++] = id.type;
    at += id.bytes.copy(packed, at, id.start, id.end);
  }
  return packed;
}

/** Throws BsonFault when the bytes are not what `packIds` makes. */
export function unpackIds(packed: Buffer): RawValue[] {
  const ids: RawValue[] = [];
  let at = 0;
  while (at < packed.length) {
    const type = packed[at] as number;
    const start = at + 1;
    const end = valueEnd(packed, type, start, packed.length);
    ids.push({ bytes: packed, type, start, end });
    at = end;
  }
  return ids;
}
