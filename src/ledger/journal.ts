/**
 * The journal of one run in one target. A batch is intended here before anything of it is written, and recorded when it
 * is known what happened. Documents themselves are never in it, except the before-images of what is replaced or removed.
 */
import { Binary } from 'bson';
import { buildDocument } from '../bson/document-builder.ts';
import { BsonFault, documentEnd, findElement } from '../bson/elements.ts';
import { BSON } from '../bson/types.ts';
import { RestorePlanError } from '../errors.ts';
import { readCursor } from '../mongo/raw-messages.ts';
import type { Commands } from '../target/commands.ts';
import type { WriteIdentity } from '../target/target.ts';
import {
  type EntryState,
  entryId,
  type IdsOf,
  type JournalAction,
  type JournalEntry,
  type LeftAlone,
  type MergedFields,
  packIds,
  packOrdinals,
  readJournalEntry,
} from './journal-entry.ts';
import {
  damaged,
  deleteFromLedger,
  insertIntoLedger,
  insertRawIntoLedger,
  JOURNAL,
  LEDGER_FORMAT,
  literal,
  updateLedger,
} from './layout.ts';

/** Before-images are cut into documents of this size, because one image may be 16 MiB already. */
const IMAGE_PART_BYTES = 8 * 1024 * 1024;
const READ_CONCERN = { level: 'majority' } as const;
/** Each has up to 10,000 ids, which take ten times as much here as in their packed form. */
const ENTRIES_PER_READ = 8;

export interface Intention {
  readonly action: JournalAction;
  readonly into: string;
  readonly ids: IdsOf;
  /** What stands there now, one document per id in their order; only for replace and merge. */
  readonly images?: readonly Buffer[];
  /** Of insert, replace and merge: see `JournalEntry`. */
  readonly hashes?: Buffer | undefined;
  readonly merged?: MergedFields | undefined;
  readonly ordinals?: readonly number[] | undefined;
  readonly identity?: WriteIdentity | undefined;
  readonly undoes?: number | undefined;
}

/** What came of a batch: positions in its ids. */
export interface BatchEnd {
  readonly batch: number;
  /** Nothing was done to these. */
  readonly skipped: readonly number[];
  readonly doubtful?: readonly number[];
}

export class Journal {
  readonly #commands: Commands;
  readonly #key: string;

  /** `key`: `RunRecord.journalKey`. */
  constructor(commands: Commands, key: string) {
    this.#commands = commands;
    this.#key = key;
  }

  /** Throws LOCKED when another run has used the batch number: it has taken the lock in the meantime. */
  async intend(batch: number, fencing: number, intention: Intention): Promise<void> {
    const id = entryId(this.#key, batch);
    const parts = cutImages(intention.images ?? []);
    // Images first: an entry that is there has all of them.
    for (const [part, bytes] of parts.entries()) {
      await insertRawIntoLedger(this.#commands, JOURNAL, imagePart(partId(id, fencing, part), bytes));
    }
    const isNew = await insertIntoLedger(this.#commands, JOURNAL, {
      _id: id,
      format: LEDGER_FORMAT,
      batch,
      action: intention.action,
      into: intention.into,
      state: 'intended' satisfies EntryState,
      fencing,
      count: intention.ids.positions.length,
      ids: packIds(intention.ids),
      skipped: [],
      imageParts: parts.length,
      ...laterFields(intention),
    });
    if (isNew) return;
    const [present] = await this.#find({ _id: id }, { _id: 1 });
    if (present?.fencing === fencing) return;
    throw new RestorePlanError(
      'LOCKED',
      `${this.#commands.target}: this run lost the lock: another one goes on with its journal`,
      { hint: 'It stopped before writing. Run again when the other run has ended.' },
    );
  }

  /**
   * What came of an intended batch. Says nothing of one that was recorded or reverted before: a record kept on one machine may
   * arrive when another machine has gone on. False when the journal has no such batch: it was dropped or emptied meanwhile.
   */
  async record({ batch, skipped, doubtful = [] }: BatchEnd): Promise<boolean> {
    const _id = entryId(this.#key, batch);
    const matched = await updateLedger(this.#commands, {
      collection: JOURNAL,
      filter: { _id, state: 'intended' satisfies EntryState },
      pipeline: [
        {
          $set: {
            state: 'done' satisfies EntryState,
            skipped: literal(skipped),
            ...(doubtful.length > 0 && { doubtful: literal(doubtful) }),
          },
        },
      ],
    });
    return matched === 1 || (await this.#find({ _id }, { _id: 1 })).length > 0;
  }

  /** Marks what was restored as taken back: its documents are no longer ours, whatever becomes of them. */
  async recordReverted(batch: number, left: LeftAlone): Promise<void> {
    const isLeft = left.positions.length > 0;
    await updateLedger(this.#commands, {
      collection: JOURNAL,
      filter: { _id: entryId(this.#key, batch) },
      pipeline: [
        {
          $set: {
            state: 'reverted' satisfies EntryState,
            left: isLeft ? literal(left.positions) : '$$REMOVE',
            leftFencing: left.fencing,
          },
        },
      ],
    });
  }

  /** All entries in the order of their numbers, a page of at most 16 MiB at a time. */
  async *entries(): AsyncGenerator<JournalEntry, void, undefined> {
    for (let after = 0; ; ) {
      const page = await this.#find({ _id: this.#range(after), ...IS_ENTRY }, { _id: 1 });
      yield* page;
      const last = page.at(-1);
      if (last === undefined) return;
      after = last.batch;
    }
  }

  /** The same from the last one to the first. */
  async *entriesBackwards(): AsyncGenerator<JournalEntry, void, undefined> {
    let range = this.#range();
    for (;;) {
      const page = await this.#find({ _id: range, ...IS_ENTRY }, { _id: -1 });
      yield* page;
      const last = page.at(-1);
      if (last === undefined) return;
      range = { ...range, $lt: entryId(this.#key, last.batch) };
    }
  }

  /** Deletes all of it: entries, images, and what lies beside them under the same key. */
  async discard(): Promise<void> {
    await deleteFromLedger(this.#commands, JOURNAL, { _id: { $gte: `${this.#key}.`, $lt: `${this.#key};` } });
  }

  /** The before-images of an entry, one document per id, in their order. Throws RestorePlanError TARGET where they are damaged. */
  async images(entry: JournalEntry): Promise<Buffer[]> {
    const id = entryId(this.#key, entry.batch);
    const parts: Buffer[] = [];
    for (let part = 0; part < entry.imageParts; part++) {
      const reply = await this.#commands.runPatiently('reading the journal', {
        find: JOURNAL,
        filter: { _id: partId(id, entry.fencing, part) },
        limit: 1,
        readConcern: READ_CONCERN,
      });
      const bytes = imageBytes(readCursor(reply).documents[0]);
      if (bytes === undefined) throw damaged(JOURNAL, { _id: partId(id, entry.fencing, part) }, 'bytes');
      parts.push(bytes);
    }
    const images = cutDocuments(Buffer.concat(parts));
    // One image fewer, and a document that was replaced would pass for one that was inserted.
    if (images?.length !== entry.ids.length) throw damaged(JOURNAL, { _id: id }, 'images');
    return images;
  }

  /** Entries with a number above `after`. */
  #range(after = 0): { readonly $gte: string; readonly $lt: string } {
    return { $gte: entryId(this.#key, after + 1), $lt: `${this.#key};` };
  }

  async #find(filter: Record<string, unknown>, sort: { readonly _id: 1 | -1 }): Promise<JournalEntry[]> {
    const reply = await this.#commands.runPatiently('reading the journal', {
      find: JOURNAL,
      filter,
      sort,
      limit: ENTRIES_PER_READ,
      singleBatch: true,
      readConcern: READ_CONCERN,
    });
    return readCursor(reply).documents.map(readJournalEntry);
  }
}

/** Image parts have no state. */
const IS_ENTRY = { state: { $exists: true } } as const;

function laterFields({ hashes, merged, ordinals, identity, undoes }: Intention): Record<string, unknown> {
  return {
    ...(hashes && { hashes }),
    ...(merged && { fields: merged.paths, fieldHashes: merged.hashes }),
    ...(ordinals && { ordinals: packOrdinals(ordinals) }),
    ...(identity && { ...identity, lsid: new Binary(identity.lsid, Binary.SUBTYPE_UUID) }),
    ...(undoes !== undefined && { undoes }),
  };
}

/** The fencing number keeps the parts of an attempt that died before its entry was written out of a later attempt's. */
function partId(id: string, fencing: number, part: number): string {
  return `${id}:${fencing}:${String(part).padStart(4, '0')}`;
}

/** `{_id, format, bytes}`, raw: the images of a batch are large, and every copy of them counts. */
function imagePart(id: string, bytes: Buffer): Buffer {
  return buildDocument((builder) => {
    builder.element(BSON.STRING, '_id');
    builder.string(id);
    builder.element(BSON.INT32, 'format');
    builder.int32(LEDGER_FORMAT);
    builder.element(BSON.BINARY, 'bytes');
    builder.int32(bytes.length);
    builder.byte(Binary.SUBTYPE_DEFAULT);
    builder.raw(bytes);
  });
}

const BYTES = Buffer.from('bytes');

/** A view of what `imagePart` was given. */
function imageBytes(part: Buffer | undefined): Buffer | undefined {
  const value = part && findElement(part, 0, BYTES);
  // Length (int32) and subtype come before.
  return value?.type === BSON.BINARY ? value.bytes.subarray(value.start + 5, value.end) : undefined;
}

function cutImages(images: readonly Buffer[]): Buffer[] {
  const [only] = images;
  const bytes = images.length === 1 && only !== undefined ? only : Buffer.concat(images);
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += IMAGE_PART_BYTES)
    parts.push(bytes.subarray(at, at + IMAGE_PART_BYTES));
  return parts;
}

/** Undefined where they are no whole documents. */
function cutDocuments(bytes: Buffer): Buffer[] | undefined {
  const documents: Buffer[] = [];
  try {
    for (let at = 0; at < bytes.length; ) {
      const end = documentEnd(bytes, at);
      documents.push(bytes.subarray(at, end));
      at = end;
    }
  } catch (error) {
    if (error instanceof BsonFault) return undefined;
    throw error;
  }
  return documents;
}
