/** One batch in `restore_plan.journal`: what is about to be done, written before it is done. */

import { hash } from 'node:crypto';
import { Binary, deserialize } from 'bson';
import { DocumentBuilder } from '../bson/document-builder.ts';
import { Documents } from '../bson/documents.ts';
import { BsonFault, valueEnd } from '../bson/elements.ts';
import type { RawValue } from '../bson/types.ts';
import type { WriteIdentity } from '../target/target.ts';
import { damaged, JOURNAL, requireKnownFormat } from './layout.ts';

/** insert, replace and merge restore documents; remove and putBack take them out again. */
const JOURNAL_ACTIONS = ['insert', 'replace', 'merge', 'remove', 'putBack'] as const;
export type JournalAction = (typeof JOURNAL_ACTIONS)[number];

/**
 * intended: may or may not have happened, whole or in part · done: happened, except to the `skipped` · reverted: what was restored
 * was taken back.
 */
const ENTRY_STATES = ['intended', 'done', 'reverted'] as const;
export type EntryState = (typeof ENTRY_STATES)[number];

export interface MergedFields {
  /** Dotted paths. */
  readonly paths: readonly string[];
  /** 32 bytes each, in the order of `ids`. */
  readonly hashes: Buffer;
}

export interface JournalEntry {
  /** Numbers a selection's batches in this database, over all runs, from 1. */
  readonly batch: number;
  readonly action: JournalAction;
  /** Collection in the target. */
  readonly into: string;
  readonly state: EntryState;
  readonly fencing: number;
  readonly ids: readonly RawValue[];
  /** Positions in `ids` of documents to which nothing was done. */
  readonly skipped: readonly number[];
  /** Positions in `ids` of documents that are there, and of which nobody can tell any more whether this entry wrote them. */
  readonly doubtful: readonly number[];
  /** How many further documents of the journal hold the before-images, in the order of `ids`. */
  readonly imageParts: number;
  /** SHA-256 of each document as it was written, 32 bytes each in the order of `ids`; undefined in entries of format 1. */
  readonly hashes: Buffer | undefined;
  /** Of merge: the fields that were written, and each document's SHA-256 of them alone, as `MergeFields.image` puts them together. */
  readonly merged: MergedFields | undefined;
  /** Place of each document in the selection's collection, from 0; undefined in entries of format 1. */
  readonly ordinals: Uint32Array | undefined;
  /** Under which the writes of this entry were sent; a document's position in `ids` is its statement. */
  readonly identity: WriteIdentity | undefined;
  /** Of remove and putBack: the batch that is taken back. */
  readonly undoes: number | undefined;
  /** Of a reverted entry: documents that the revert left alone. */
  readonly left: LeftAlone | undefined;
  /** Of a reverted entry: fencing number of the revert; undefined in older entries that it took back whole. */
  readonly revertedUnder: number | undefined;
}

export interface LeftAlone {
  /** Positions in `ids`. */
  readonly positions: readonly number[];
  /** Fencing number of the revert. */
  readonly fencing: number;
}

/** An entry by which documents were restored, and that was not taken back since. */
export function isRestore({ action, state }: JournalEntry): boolean {
  return action !== 'remove' && action !== 'putBack' && state !== 'reverted';
}

export const NOT_WRITTEN = 0;
export const WRITTEN = 1;
export const MAYBE_WRITTEN = 2;

/**
 * What an entry says of each of its documents, by position: NOT_WRITTEN, WRITTEN or MAYBE_WRITTEN. Whoever asks the journal whose a
 * document is asks here. While nobody knows what came of an entry, it may have written all of them.
 */
export function writtenBy({ state, ids, skipped, doubtful }: JournalEntry): Uint8Array {
  const written = new Uint8Array(ids.length).fill(state === 'intended' ? MAYBE_WRITTEN : WRITTEN);
  for (const position of doubtful) written[position] = MAYBE_WRITTEN;
  for (const position of skipped) written[position] = NOT_WRITTEN;
  return written;
}

export const HASH_BYTES = 32;
const UUID_BYTES = 16;
/** Little-endian. */
const ORDINAL_BYTES = 4;

/** Key and batch number sort as text, so one range of the `_id` index is one run's journal, in order. */
export function entryId(journalKey: string, batch: number): string {
  return `${journalKey}${numberInId(batch)}`;
}

const numberInId = (batch: number): string => `:${String(batch).padStart(8, '0')}`;

/** Throws RestorePlanError TARGET for an entry that is newer than this version or damaged. */
export function readJournalEntry(raw: Buffer): JournalEntry {
  const document = deserialize(raw) as Record<string, unknown>;
  requireKnownFormat(JOURNAL, document);
  const number = (field: string): number => {
    const value = document[field];
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw damaged(JOURNAL, document, field);
    return value as number;
  };
  const oneOf = <T extends string>(field: string, allowed: readonly T[]): T => {
    const value = allowed.find((each) => each === document[field]);
    if (value === undefined) throw damaged(JOURNAL, document, field);
    return value;
  };
  const text = (field: string): string => {
    const value = document[field];
    if (typeof value !== 'string') throw damaged(JOURNAL, document, field);
    return value;
  };
  const positions = (field: string): number[] => {
    const value = document[field];
    if (!Array.isArray(value) || !value.every(Number.isSafeInteger)) throw damaged(JOURNAL, document, field);
    return value;
  };
  const bytes = (field: string, length: number): Buffer | undefined => {
    if (document[field] === undefined) return undefined;
    const value = readBinary(document, field);
    if (value.length !== length) throw damaged(JOURNAL, document, field);
    return value;
  };
  const texts = (field: string): string[] => {
    const value = document[field];
    const isList =
      Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'string');
    if (!isList) throw damaged(JOURNAL, document, field);
    return value;
  };
  const has = (field: string): boolean => document[field] !== undefined;
  const ids = readIds(document);
  const lsid = bytes('lsid', UUID_BYTES);
  const fieldHashes = bytes('fieldHashes', ids.length * HASH_BYTES);
  const isMerge = document['action'] === ('merge' satisfies JournalAction);
  // Without its action, a merge would be taken back as an insert: by removing what was there before.
  if (isMerge !== (fieldHashes !== undefined)) throw damaged(JOURNAL, document, 'fieldHashes');
  const batch = number('batch');
  // By the one it is found, by the other it is gone on from: where they differ, paging would never end.
  if (!String(document['_id']).endsWith(numberInId(batch))) throw damaged(JOURNAL, document, 'batch');
  return {
    batch,
    action: oneOf('action', JOURNAL_ACTIONS),
    into: text('into'),
    state: oneOf('state', ENTRY_STATES),
    fencing: number('fencing'),
    ids,
    skipped: positions('skipped'),
    doubtful: has('doubtful') ? positions('doubtful') : [],
    imageParts: number('imageParts'),
    hashes: bytes('hashes', ids.length * HASH_BYTES),
    merged: fieldHashes && { paths: texts('fields'), hashes: fieldHashes },
    ordinals: readOrdinals(bytes('ordinals', ids.length * ORDINAL_BYTES)),
    identity: lsid && { lsid, txnNumber: number('txnNumber'), user: text('user'), at: number('at') },
    undoes: has('undoes') ? number('undoes') : undefined,
    left: has('left') ? { positions: positions('left'), fencing: number('leftFencing') } : undefined,
    revertedUnder: has('leftFencing') ? number('leftFencing') : undefined,
  };
}

function readIds(document: Record<string, unknown>): RawValue[] {
  try {
    return unpackIds(readBinary(document, 'ids'));
  } catch (error) {
    if (error instanceof BsonFault) throw damaged(JOURNAL, document, 'ids');
    throw error;
  }
}

export function packOrdinals(ordinals: readonly number[]): Buffer {
  const packed = Buffer.allocUnsafe(ordinals.length * ORDINAL_BYTES);
  for (const [i, ordinal] of ordinals.entries()) packed.writeUInt32LE(ordinal, i * ORDINAL_BYTES);
  return packed;
}

export function readOrdinals(packed: Buffer | undefined): Uint32Array | undefined {
  return (
    packed &&
    Uint32Array.from({ length: packed.length / ORDINAL_BYTES }, (_, i) =>
      packed.readUInt32LE(i * ORDINAL_BYTES),
    )
  );
}

/** Bytes of a binary field. Throws RestorePlanError TARGET where it is something else. */
export function readBinary(document: Readonly<Record<string, unknown>>, field: string): Buffer {
  const value = document[field];
  if (!(value instanceof Binary)) throw damaged(JOURNAL, document, field);
  const bytes = value.value();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * The SHA-256 of a run's documents at `positions`, `HASH_BYTES` each: by these a revert knows years later, without the backup, whether
 * a document is still the one that was written. 1.3 µs for 1 KB: one call for each, and its answer as text, which costs half of what a
 * Buffer does.
 */
export function hashesOf(documents: Documents, positions: readonly number[]): Buffer {
  const hashes = Buffer.allocUnsafe(positions.length * HASH_BYTES);
  for (let i = 0; i < positions.length; i++) {
    const digest = hash('sha256', documents.document(positions[i] as number), 'hex');
    hashes.write(digest, i * HASH_BYTES, 'hex');
  }
  return hashes;
}

/** Whether the document is, byte for byte, the one that was written at this position of the entry. */
export function isAsWritten(hashes: Buffer, position: number, document: Buffer): boolean {
  const at = position * HASH_BYTES;
  return hash('sha256', document, 'hex') === hashes.toString('hex', at, at + HASH_BYTES);
}

/** Documents of a run whose `_id`s are meant. */
export interface IdsOf {
  readonly run: Documents;
  readonly positions: readonly number[];
}

/** `_id`s of a batch as bytes: type byte and value, one after another. 13 bytes for an ObjectId; no `_id` is decoded. */
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
function unpackIds(packed: Buffer): RawValue[] {
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
export function asDocuments(ids: readonly RawValue[]): Documents {
  const builder = new DocumentBuilder();
  const offsets = ids.map((id) => {
    const start = builder.beginDocument();
    builder.element(id.type, '_id');
    builder.value(id);
    builder.endDocument(start);
    return start;
  });
  return new Documents(builder.finish(), offsets);
}
