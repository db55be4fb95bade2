/** Takes back what one entry of the journal wrote, as far as it is still as it was written: look, intend, take back, record. */
import { hash } from 'node:crypto';
import { canonicalKey } from '../bson/canonical-bytes.ts';
import type { Documents } from '../bson/documents.ts';
import { MergeFields } from '../bson/merge-fields.ts';
import { idRefusal, lengthRefusal } from '../bson/storable.ts';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import type { Journal } from '../ledger/journal.ts';
import {
  asDocuments,
  HASH_BYTES,
  isAsWritten,
  type JournalEntry,
  MAYBE_WRITTEN,
  NOT_WRITTEN,
  writtenBy,
} from '../ledger/journal-entry.ts';
import { type RunRecord, writtenOf } from '../ledger/run-record.ts';
import type { RevertedOutcome } from '../outcomes.ts';
import { readInTurn } from '../selection/file-batches.ts';
import type { Selection } from '../selection/selection.ts';
import { existingInParts } from '../target/existing.ts';
import type { ConditionalOutcome, TargetCollection, TargetReader } from '../target/target.ts';
import type { ApplyRun } from './apply-run.ts';

/** What restored documents, with their hashes. */
export type WrittenEntry = JournalEntry & { readonly hashes: Buffer };

/** Where an entry's documents stand. */
export interface EntryPlace {
  readonly reader: TargetReader;
  /** Undefined where somebody has dropped it. */
  readonly collection: TargetCollection | undefined;
}

export interface RevertedDocument {
  /** In the entry's ids. */
  readonly position: number;
  readonly outcome: RevertedOutcome;
  /** For remove and putBack: the document as it stands in the target. */
  readonly seen: Buffer | undefined;
  /** For putBack: the document as it was before. */
  readonly image: Buffer | undefined;
}

/** Documents of an entry that were looked at together. */
interface RevertedPart {
  /** A document `{_id: …}` for each of the entry's ids. */
  readonly ids: Documents;
  readonly documents: readonly RevertedDocument[];
}

/**
 * What would become of each document of an entry, in parts that fit into memory: the target's documents may be far larger than
 * those that were written. Nobody knows of the doubtful ones whether this tool wrote them: they are left alone.
 */
export async function* lookAtEntry(
  { reader, collection }: EntryPlace,
  entry: WrittenEntry,
  journal: Pick<Journal, 'images'>,
): AsyncGenerator<RevertedPart, void, undefined> {
  const ids = asDocuments(entry.ids);
  // An entry whose end is not known is settled before it is taken back; a preview, which may not write, cannot do that.
  const written = writtenBy(entry);
  const all = entry.state === 'reverted' ? (entry.left?.positions ?? []) : [...entry.ids.keys()];
  const positions = all.filter((position) => written[position] !== NOT_WRITTEN);
  if (collection === undefined) {
    const outcome = entry.action === 'insert' ? 'gone' : 'deleted';
    yield { ids, documents: positions.map((position) => ({ ...NOTHING, position, outcome })) };
    return;
  }
  const images = entry.action === 'insert' ? undefined : await journal.images(entry);
  const fields = entry.merged && new MergeFields(entry.merged.paths);
  for await (const part of existingInParts({ reader, collection }, { documents: ids, positions })) {
    const documents = part.positions.map((position): RevertedDocument => {
      const seen =
        part.there.presence(position) === 'same' ? ids.document(position) : part.there.other(position);
      const image = images?.[position];
      const outcome = outcomeOf({ seen, image, fields }, (document) =>
        entry.merged === undefined || fields === undefined
          ? isAsWritten(entry.hashes, position, document)
          : isAsWritten(entry.merged.hashes, position, fields.image(document)),
      );
      const isOurs = outcome === 'remove' || outcome === 'putBack';
      return isOurs && written[position] === MAYBE_WRITTEN
        ? { ...NOTHING, position, outcome: 'doubtful' }
        : { position, outcome, seen, image };
    });
    yield { ids, documents };
  }
}

const NOTHING = { seen: undefined, image: undefined };

interface Standing {
  /** What the target holds. */
  readonly seen: Buffer | undefined;
  /** Undefined for a document that was inserted. */
  readonly image: Buffer | undefined;
  /** Of a document of which these were merged; the others may have changed since. */
  readonly fields: MergeFields | undefined;
}

function outcomeOf(
  { seen, image, fields }: Standing,
  isOurs: (document: Buffer) => boolean,
): RevertedOutcome {
  if (seen === undefined) return image === undefined ? 'gone' : 'deleted';
  if (isOurs(seen)) return image === undefined ? 'remove' : 'putBack';
  const isBack = image !== undefined && (fields?.areSame(image, seen) ?? image.equals(seen));
  return isBack ? 'back' : 'changed';
}

export interface TakingBack extends EntryPlace {
  readonly run: ApplyRun;
  /** The operator's word that nobody else writes to a standalone meanwhile. */
  readonly exclusive: boolean;
}

/** Does what `lookAtEntry` found. Returns the documents as they came out: one may have been changed in the last moment. */
export async function takeBackPart(
  place: TakingBack,
  entry: WrittenEntry,
  { ids, documents }: RevertedPart,
): Promise<RevertedDocument[]> {
  const action = entry.action === 'insert' ? 'remove' : 'putBack';
  const ours = documents.filter(({ outcome }) => outcome === action);
  const { run, collection, exclusive } = place;
  if (ours.length === 0 || collection === undefined) return [...documents];
  const positions = ours.map(({ position }) => position);
  const seen = ours.map((document) => document.seen as Buffer);
  const intention = { action, into: entry.into, ids: { run: ids, positions }, undoes: entry.batch } as const;
  const end = await run.write(
    intention,
    (writer, options) => {
      if (action === 'remove') return writer.remove(collection, seen, { ...options, exclusive });
      if (entry.merged === undefined) {
        const pairs = ours.map(({ image }, i) => ({ seen: seen[i] as Buffer, after: image as Buffer }));
        return writer.replace(collection, pairs, { ...options, exclusive });
      }
      const fields = new MergeFields(entry.merged.paths);
      // As it was, where nothing else of it has changed; else only what was merged goes back to where it stands.
      const after = (place: number, found: Buffer): Buffer => {
        const { image, position } = ours[place] as RevertedDocument;
        const before = image as Buffer;
        return isAsWritten(entry.hashes, position, found) ? before : fields.merged(found, before);
      };
      return writer.merge(collection, { fields, seen, after }, { ...options, exclusive });
    },
    (outcome) => {
      refuseFaults(place, outcome);
      return { skipped: [...outcome.leftAlone.keys()] };
    },
  );
  const left = new Map([...end.leftAlone].map(([index, now]) => [positions[index] as number, now]));
  return documents.map((document) => {
    const now = left.get(document.position);
    if (now === undefined) return document;
    return { ...document, outcome: now === 'deleted' && action === 'remove' ? 'gone' : now };
  });
}

/** A validator or a unique index that came after the restore; waiting would not help. */
function refuseFaults({ reader, collection }: EntryPlace, { faults }: ConditionalOutcome): void {
  const [refusal] = faults;
  if (refusal === undefined) return;
  throw new RestorePlanError(
    'TARGET',
    `putting documents back into ${reader.database}.${collection?.name}: the server refuses one (code ${refusal.code})`,
    {
      hint: 'Look for a validator or a unique index that came after the restore, and let the document as it was before pass.',
    },
  );
}

/** Documents whose hashes are made in one reading of the selection: some 150 bytes of memory each. */
const IDS_AT_ONCE = 300_000;

/**
 * The same entries in the same order, each with hashes: those of format 1 kept ids alone, and get theirs from the selection that was
 * applied then. A document that the selection lacks cannot be proven to be the one that was written:
 * it is skipped. `documents` is asked for at the first entry without hashes.
 */
export async function* withHashes(
  entries: AsyncIterable<JournalEntry>,
  documents: () => Promise<Selection>,
): AsyncGenerator<WrittenEntry, undefined, undefined> {
  let waiting: JournalEntry[] = [];
  let ids = 0;
  for await (const entry of entries) {
    if (entry.hashes !== undefined && waiting.length === 0) {
      yield { ...entry, hashes: entry.hashes };
      continue;
    }
    waiting.push(entry);
    ids += entry.ids.length;
    if (ids < IDS_AT_ONCE) continue;
    yield* hashed(waiting, await documents());
    waiting = [];
    ids = 0;
  }
  if (waiting.length > 0) yield* hashed(waiting, await documents());
  return undefined;
}

async function* hashed(
  entries: readonly JournalEntry[],
  selection: Selection,
): AsyncGenerator<WrittenEntry, void, undefined> {
  const wanted = new Map<string, Map<string, string>>();
  for (const { into, ids, hashes } of entries) {
    if (hashes !== undefined) continue;
    const keys = wanted.get(into) ?? new Map<string, string>();
    wanted.set(into, keys);
    for (const id of ids) keys.set(canonicalKey(id), '');
  }
  for (const selected of selection.manifest.collections) {
    const keys = wanted.get(selected.into);
    if (keys === undefined) continue;
    for await (const batch of readInTurn(selection, selected.collection)) {
      const stored = batch.inStoredForm();
      for (let i = 0; i < stored.length; i++) {
        if ((idRefusal(stored.id(i)) ?? lengthRefusal(stored.size(i))) !== undefined) continue;
        const key = canonicalKey(stored.id(i));
        // Of several documents of one _id the first was restored.
        if (keys.get(key) === '') keys.set(key, hash('sha256', stored.document(i), 'binary'));
      }
    }
  }
  for (const entry of entries) {
    if (entry.hashes !== undefined) {
      yield { ...entry, hashes: entry.hashes };
      continue;
    }
    const known = entry.ids.map((id) => wanted.get(entry.into)?.get(canonicalKey(id)) ?? '');
    const hashes = Buffer.alloc(entry.ids.length * HASH_BYTES);
    for (const [i, each] of known.entries()) hashes.write(each, i * HASH_BYTES, 'latin1');
    const unknown = [...known.keys()].filter((i) => known[i] === '');
    yield { ...entry, hashes, skipped: [...new Set([...entry.skipped, ...unknown])] };
  }
}

// What a revert would do, or did.

/** Documents that are left alone, named one by one; all are counted. */
const MOST_NAMED = 1_000;

export type RevertCounts = Readonly<Record<RevertedOutcome, number>>;

export interface RevertedCollection {
  /** In the backup. */
  readonly collection: string;
  /** In the target. */
  readonly into: string;
  readonly counts: RevertCounts;
}

/** One run of the plan. */
interface RevertedRun {
  readonly digest: string;
  readonly startedAt: Date;
  readonly collections: readonly RevertedCollection[];
}

interface UntouchedDocument {
  /** Selection digest of the run that wrote it. */
  readonly digest: string;
  readonly into: string;
  /** `_id` as Extended JSON. */
  readonly id: string;
  readonly reason: string;
}

/** Of a preview: what would be done. Of a revert: what was done. */
export interface RevertReport {
  readonly target: TargetName;
  readonly database: string;
  readonly plan: string;
  /** Newest first; without those that left nothing here. */
  readonly runs: readonly RevertedRun[];
  /** Documents that reverts which are over left alone: nobody looked at them again. */
  readonly leftBefore: number;
  readonly untouched: readonly UntouchedDocument[];
  /** Documents that were written by what the records say, and that the journal does not name any more: nobody knows which ones. */
  readonly unnamed: number;
}

const REASONS: Partial<Record<RevertedOutcome, string>> = {
  changed: 'it was changed since it was restored',
  deleted: 'it was deleted since it was replaced',
  doubtful: 'it is there as it was restored, and nobody can tell whether this tool wrote it or somebody else',
};

/** The document stays in the target, or stays away from it. */
export function isLeft({ outcome }: RevertedDocument): boolean {
  return REASONS[outcome] !== undefined;
}

/** What is left in the target of what the plan wrote. */
export function leftOf({ changed, deleted, doubtful }: RevertCounts): number {
  return changed + deleted + doubtful;
}

/** Counts of all collections of all runs together. */
export function totalOf({ runs }: Pick<RevertReport, 'runs'>): RevertCounts {
  const total: Record<RevertedOutcome, number> = noCounts();
  for (const { collections } of runs) {
    for (const { counts } of collections) {
      for (const outcome of Object.keys(total) as RevertedOutcome[]) total[outcome] += counts[outcome];
    }
  }
  return total;
}

function noCounts(): Record<RevertedOutcome, number> {
  return { remove: 0, putBack: 0, gone: 0, back: 0, changed: 0, deleted: 0, doubtful: 0 };
}

export class RevertTally {
  readonly #runs: readonly RunRecord[];
  readonly #counts = new Map<RunRecord, Map<string, Record<RevertedOutcome, number>>>();
  readonly #untouched: UntouchedDocument[] = [];
  /** Documents of entries that the revert which was cut off has taken back. */
  readonly #takenBack = new Map<RunRecord, number>();

  /** `runs`: newest first. */
  constructor(runs: readonly RunRecord[]) {
    this.#runs = runs;
  }

  add(
    run: RunRecord,
    { into, outcome, showId }: { into: string; outcome: RevertedOutcome; showId: () => string },
  ): void {
    const ofRun = this.#counts.get(run) ?? new Map<string, Record<RevertedOutcome, number>>();
    this.#counts.set(run, ofRun);
    const counts = ofRun.get(into) ?? noCounts();
    ofRun.set(into, counts);
    counts[outcome]++;
    const reason = REASONS[outcome];
    if (reason === undefined || this.#untouched.length >= MOST_NAMED) return;
    this.#untouched.push({ digest: run.key.selection, into, id: showId(), reason });
  }

  /** An entry that an earlier revert has taken back; what it left alone is added by itself. */
  addTakenBack(run: RunRecord, entry: JournalEntry): void {
    const left = new Set(entry.left?.positions);
    const count = writtenBy(entry).filter((state, i) => state !== NOT_WRITTEN && !left.has(i)).length;
    this.#takenBack.set(run, (this.#takenBack.get(run) ?? 0) + count);
  }

  /** Documents of one run that were left alone. */
  leftOf(run: RunRecord): number {
    return this.#countsOf(run).reduce((sum, counts) => sum + leftOf(counts), this.unnamedOf(run));
  }

  /** Call when all entries were gone through. */
  unnamedOf(run: RunRecord): number {
    const named = this.#countsOf(run)
      .flatMap((counts) => Object.values(counts))
      .reduce((sum, count) => sum + count, this.#takenBack.get(run) ?? 0);
    return Math.max(0, writtenOf(run.collections) - named);
  }

  #countsOf(run: RunRecord): RevertCounts[] {
    return [...(this.#counts.get(run)?.values() ?? [])];
  }

  report(place: Omit<RevertReport, 'runs' | 'untouched' | 'unnamed'>): RevertReport {
    const runs = this.#runs.flatMap((run): RevertedRun[] => {
      const counts = this.#counts.get(run);
      if (counts === undefined) return [];
      const nameOf = new Map(run.collections.map(({ collection, into }) => [into, collection]));
      const collections = [...counts].map(([into, each]) => ({
        collection: nameOf.get(into) ?? into,
        into,
        counts: each,
      }));
      return [{ digest: run.key.selection, startedAt: run.startedAt, collections }];
    });
    const unnamed = this.#runs.reduce((sum, run) => sum + this.unnamedOf(run), 0);
    return { ...place, runs, untouched: this.#untouched, unnamed };
  }
}
