/** One batch in `restore_plan.journal`: what is about to be done, written before it is done. */
import { type Binary, deserialize } from 'bson';
import { BsonFault } from '../bson/elements.ts';
import type { RawValue } from '../bson/types.ts';
import { JOURNAL } from './layout.ts';
import { damaged, requireKnownFormat } from './ledger-fault.ts';
import { unpackIds } from './packed-ids.ts';

/** insert and replace restore documents; remove and putBack take them out again. */
const JOURNAL_ACTIONS = ['insert', 'replace', 'remove', 'putBack'] as const;
export type JournalAction = (typeof JOURNAL_ACTIONS)[number];

/**
 * intended: may or may not have happened, whole or in part · done: happened, except to the `skipped` · reverted: an insert or
 * replace that was taken back.
 */
const ENTRY_STATES = ['intended', 'done', 'reverted'] as const;
export type EntryState = (typeof ENTRY_STATES)[number];

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
  /** How many further documents of the journal hold the before-images, in the order of `ids`. */
  readonly imageParts: number;
}

/** Digest and batch number sort as text, so one range of the `_id` index is one selection's journal, in order. */
export function entryId(digest: string, batch: number): string {
  return `${digest}:${String(batch).padStart(8, '0')}`;
}

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
  if (typeof document['into'] !== 'string') throw damaged(JOURNAL, document, 'into');
  const skipped = document['skipped'];
  if (!Array.isArray(skipped) || !skipped.every(Number.isSafeInteger)) {
    throw damaged(JOURNAL, document, 'skipped');
  }
  return {
    batch: number('batch'),
    action: oneOf('action', JOURNAL_ACTIONS),
    into: document['into'],
    state: oneOf('state', ENTRY_STATES),
    fencing: number('fencing'),
    ids: readIds(document),
    skipped,
    imageParts: number('imageParts'),
  };
}

function readIds(document: Record<string, unknown>): RawValue[] {
  try {
    return unpackIds(binaryBytes(document['ids']));
  } catch (error) {
    if (error instanceof BsonFault || error instanceof TypeError) throw damaged(JOURNAL, document, 'ids');
    throw error;
  }
}

/** Bytes of a BSON binary as js-bson hands it out. */
export function binaryBytes(value: unknown): Buffer {
  const bytes = (value as Binary | undefined)?.value?.();
  if (!(bytes instanceof Uint8Array)) throw new TypeError('not binary data');
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
