/** `_id`s of a batch as bytes: type byte and value, one after another. 13 bytes for an ObjectId; no `_id` is decoded. */
import { documentOf } from '../bson/document-builder.ts';
import { type DocumentRun, runOf } from '../bson/document-run.ts';
import { valueEnd } from '../bson/elements.ts';
import type { RawValue } from '../bson/types.ts';

/** Documents of a run whose `_id`s are meant. */
export interface IdsOf {
  readonly run: DocumentRun;
  readonly positions: readonly number[];
}

export function packIds({ run, positions }: IdsOf): Buffer {
  let size = 0;
  for (const position of positions) size += 1 + run.idEnd(position) - run.idStart(position);
  const packed = Buffer.allocUnsafe(size);
  let at = 0;
  for (const position of positions) {
    packed[at++] = run.idType(position);
    at += run.bytes.copy(packed, at, run.idStart(position), run.idEnd(position));
  }
  return packed;
}

/** The same of single values. */
export function packValues(ids: readonly RawValue[]): Buffer {
  return Buffer.concat(
    ids.flatMap(({ type, bytes, start, end }) => [Buffer.of(type), bytes.subarray(start, end)]),
  );
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

/** A document `{_id: …}` for each, for a reader that is asked for documents by their ids. */
export function asDocuments(ids: readonly RawValue[]): DocumentRun {
  return runOf(ids.map(({ type, bytes, start, end }) => documentOf('_id', type, bytes.subarray(start, end))));
}
