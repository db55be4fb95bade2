/**
 * Gets documents of one batch into the target, whatever happens on the way, and says what became of each.
 *
 * A reply is believed only when it is a clean one. After anything else (connection lost, election, write concern not met) an
 * insert is sent again under its identity, or, where the server keeps none, its documents are read back by `_id` at majority and
 * their bytes compared. So an attempt may be repeated as often as it takes.
 */

import { canonicalKey } from '../bson/canonical-bytes.ts';
import type { Documents } from '../bson/documents.ts';
import { refusalByIndexes } from '../comparison/index-keys.ts';
import type { BatchEnd } from '../ledger/journal.ts';
import { asDocuments, isAsWritten, type JournalEntry } from '../ledger/journal-entry.ts';
import type { WriteFault } from '../mongo/raw-messages.ts';
import type { WhenMatched } from '../plan/plan.ts';
import { CommandFailure, isDocumentCode, isTransientCode } from '../target/command-failure.ts';
import { type Patience, settle } from '../target/commands.ts';
import { type Existing, findExisting } from '../target/existing.ts';
import type { TargetCollection, TargetReader, TargetWriter, WriteIdentity } from '../target/target.ts';
import type { ApplyOutcome } from './outcome.ts';

/** Where documents are written, and by which rules. */
export interface WritePlace {
  readonly reader: TargetReader;
  readonly writer: TargetWriter;
  readonly patience: Patience;
  readonly collection: TargetCollection;
  readonly whenMatched: WhenMatched;
  /** A standalone of which the operator says that nobody else writes to it meanwhile. */
  readonly exclusive: boolean;
}

export interface DocumentOutcome {
  readonly outcome: ApplyOutcome;
  /** Empty where the outcome says it all. */
  readonly reason: string;
  /** The target has, or had, another document of its very `_id`. */
  readonly isOfThisId?: boolean;
}

/** By position in the run; only what did not go the ordinary way. Every other document was written. */
export type DocumentOutcomes = ReadonlyMap<number, DocumentOutcome>;

const DUPLICATE_KEY = 11000;
const VALIDATION_FAILED = 121;
const TOO_DEEP = 15;
const IMMUTABLE_FIELD = 66;
const TOO_LARGE_FOR_CACHE = 388;

/**
 * Inserts documents that were absent a moment ago. Throws when the target stays out of reach: then nothing is known.
 *
 * With an identity, an attempt without an answer is sent again as it was: the server knows by the statement ids what it carried
 * out already, so a document that it refuses as there is somebody else's. Statement ids are the places in `positions`. All
 * commands have one number: a session remembers the statements of its newest alone. `identity`: as noted in the journal before.
 */
export async function insertDocuments(
  place: WritePlace,
  documents: Documents,
  positions: readonly number[],
  identity: WriteIdentity | undefined,
): Promise<DocumentOutcomes> {
  const documentOutcomes = new Map<number, DocumentOutcome>();
  const what = `inserting into ${place.reader.database}.${place.collection.name}`;
  /** Some attempt got no answer, and the server does not know whose a document is. */
  let mayBeOurs = false;
  /** Settles those that are there; returns the others. */
  const lookFor = async (insertions: readonly Insertion[]): Promise<readonly Insertion[]> => {
    const there = await look(place, documents, insertions);
    return insertions.filter(({ position }) => {
      const presence = there.presence(position);
      if (presence === 'other') documentOutcomes.set(position, somebodyElses(place));
      else if (presence === 'same') documentOutcomes.set(position, mayBeOurs ? DOUBTFUL : IDENTICAL);
      return presence === 'absent';
    });
  };
  const all = positions.map((position, statement): Insertion => ({ position, statement }));
  const why = (open: number): string => `${open} documents are not settled yet`;
  await settle({ patience: place.patience, what, why }, all, async (unsettled) => {
    if (unsettled.isInDoubt && identity === undefined) unsettled.open = await lookFor(unsettled.open);
    unsettled.isInDoubt = true;
    const again: Insertion[] = [];
    const taken: Insertion[] = [];
    const faults = await insertOrSplit(place, documents, unsettled.open, identity).catch((error: unknown) => {
      mayBeOurs = identity === undefined;
      throw error;
    });
    for (const { insertion, fault } of faults) {
      if (isTransientCode(fault.code)) again.push(insertion);
      else if (isSameId(fault)) taken.push(insertion);
      else documentOutcomes.set(insertion.position, documentOutcomeOf(place, fault));
    }
    // Refused as there, and not to be seen: its writer's majority is still to come, or it was removed again.
    again.push(...(await lookFor(taken)));
    unsettled.open = again;
  });
  return documentOutcomes;
}

interface Insertion {
  readonly position: number;
  /** Statement id. */
  readonly statement: number;
}

const IDENTICAL: DocumentOutcome = { outcome: 'identical', reason: '' };

export const DOUBTFUL: DocumentOutcome = {
  outcome: 'doubtful',
  reason:
    'it is there as in the backup, and nobody can tell whether an attempt of this tool that got no answer wrote it, or somebody else',
};

export interface ReplacementPair {
  readonly position: number;
  /** What the target was seen to hold. */
  readonly seen: Buffer;
}

/** Replaces documents that are still the ones seen. `identity`: as noted in the journal before. */
export async function replaceDocuments(
  place: WritePlace,
  documents: Documents,
  pairs: readonly ReplacementPair[],
  identity: WriteIdentity | undefined,
): Promise<DocumentOutcomes> {
  const { leftAlone, faults } = await place.writer.replace(
    place.collection,
    pairs.map(({ position, seen }) => ({ seen, after: documents.document(position) })),
    { identity, exclusive: place.exclusive },
  );
  const documentOutcomes = new Map<number, DocumentOutcome>();
  const positionOf = (index: number): number => (pairs[index] as ReplacementPair).position;
  for (const [index, now] of leftAlone) {
    documentOutcomes.set(positionOf(index), {
      outcome: 'conflict',
      isOfThisId: true,
      reason: `it was ${now} in the target meanwhile`,
    });
  }
  for (const fault of faults) documentOutcomes.set(positionOf(fault.index), documentOutcomeOf(place, fault));
  return documentOutcomes;
}

function look(place: WritePlace, documents: Documents, insertions: readonly Insertion[]): Promise<Existing> {
  const positions = insertions.map(({ position }) => position);
  return findExisting({ reader: place.reader, collection: place.collection, documents, positions });
}

interface DocumentFault {
  readonly insertion: Insertion;
  readonly fault: Pick<WriteFault, 'code' | 'keyPattern'>;
}

/** One insert command; where one document makes the server refuse all of it, the halves are tried alone. */
async function insertOrSplit(
  place: WritePlace,
  documents: Documents,
  insertions: readonly Insertion[],
  identity: WriteIdentity | undefined,
): Promise<DocumentFault[]> {
  const [first] = insertions;
  if (first === undefined) return [];
  try {
    const { name, uuid } = place.collection;
    const { faults } = await place.writer.insert(name, concatenated(documents, insertions), {
      uuid,
      ...(identity && { identity, statements: insertions.map(({ statement }) => statement) }),
    });
    return faults.map((fault) => ({ insertion: insertions[fault.index] as Insertion, fault }));
  } catch (error) {
    if (!(error instanceof CommandFailure) || error.transient) throw error;
    const code = error.serverCode;
    if (code === undefined || !isDocumentCode(code)) throw error;
    if (insertions.length === 1) return [{ insertion: first, fault: { code, keyPattern: undefined } }];
    const half = Math.ceil(insertions.length / 2);
    return [
      ...(await insertOrSplit(place, documents, insertions.slice(0, half), identity)),
      ...(await insertOrSplit(place, documents, insertions.slice(half), identity)),
    ];
  }
}

/** The documents as one piece of memory: without a copy where they lie side by side, as in a batch that is new as a whole. */
function concatenated(documents: Documents, insertions: readonly Insertion[]): Buffer {
  const first = (insertions[0] as Insertion).position;
  const last = (insertions.at(-1) as Insertion).position;
  const start = documents.offsets[first] as number;
  const isWhole = last - first + 1 === insertions.length;
  if (isWhole) return documents.bytes.subarray(start, documents.end(last));
  return Buffer.concat(insertions.map(({ position }) => documents.document(position)));
}

function somebodyElses({ whenMatched }: WritePlace): DocumentOutcome {
  const outcome = whenMatched === 'keepExisting' ? 'kept' : 'conflict';
  return { outcome, isOfThisId: true, reason: 'another document of this _id was there first' };
}

function isSameId({ code, keyPattern }: DocumentFault['fault']): boolean {
  return code === DUPLICATE_KEY && keyPattern?.length === 1 && keyPattern[0] === '_id';
}

function documentOutcomeOf(
  { collection }: WritePlace,
  { code, keyPattern }: DocumentFault['fault'],
): DocumentOutcome {
  if (code === DUPLICATE_KEY) {
    const fields = keyPattern?.join(', ') ?? 'a unique index';
    return { outcome: 'conflict', reason: `another document holds the same unique key (${fields})` };
  }
  return { outcome: 'refused', reason: refusalByIndexes(code, collection.indexes) ?? refusalText(code) };
}

function refusalText(code: number): string {
  if (code === VALIDATION_FAILED) return "the collection's validator refuses it";
  if (code === TOO_DEEP) return 'it is nested deeper than the server stores';
  if (code === IMMUTABLE_FIELD) return 'its shard key is another one, so it might belong on another shard';
  if (code === TOO_LARGE_FOR_CACHE) {
    return "it is too large for a transaction in the server's cache (TransactionTooLargeForCache)";
  }
  return `the server refuses it (code ${code})`;
}

/**
 * Finds out what came of a batch whose run died before it could say so. In this order, because each step rests on the one before:
 *
 * 1. What is in the target now, byte for byte as the entry has it?
 * 2. The server is asked which statements it carried out under the entry's identity: those documents are ours.
 * 3. The identity is used up, so that nothing sent under it can arrive any more.
 * 4. Once more: what is in the target? What was there in step 1 and is not ours is somebody else's. What came since is doubtful: it
 *    may have been on its way to the server in step 2.
 *
 * A conditional write is asked for as a whole: all of it was committed, or nothing. Where the server does not know, everything
 * that is there as the entry has it is doubtful.
 *
 * Undefined where the server does not know: to be decided by what is there when every document has been looked at.
 */
export async function settleOpenBatch(
  reader: TargetReader,
  writer: TargetWriter,
  entry: JournalEntry,
): Promise<BatchEnd | undefined> {
  const { identity, hashes, action } = entry;
  if (identity === undefined) return undefined;
  if (action !== 'insert') return settleConditional(writer, entry, identity);
  if (hashes === undefined) return undefined;
  return settleInserts(reader, writer, { ...entry, hashes, identity });
}

async function settleInserts(
  reader: TargetReader,
  writer: TargetWriter,
  entry: JournalEntry & { readonly hashes: Buffer; readonly identity: WriteIdentity },
): Promise<BatchEnd | undefined> {
  const { batch, into, ids, identity } = entry;
  const arrived = await writer.executedStatements(into, identity, ids);
  // The usual case: nothing is left that could still arrive, and the steps can be spared.
  if (arrived !== 'unknown' && arrived.size === ids.length) return { batch, skipped: [] };
  const before = await standing(reader, entry);
  const executed = await writer.executedStatements(into, identity, ids);
  await writer.endIdentity(into, identity);
  if (executed === 'unknown') return undefined;
  const after = await standing(reader, entry);
  const others = [...ids.keys()].filter((position) => !executed.has(position));
  const doubtful = others.filter((position) => after.has(position) && !before.has(position));
  const inDoubt = new Set(doubtful);
  return { batch, skipped: others.filter((position) => !inDoubt.has(position)), doubtful };
}

async function settleConditional(
  writer: TargetWriter,
  { batch, into, ids, action }: JournalEntry,
  identity: WriteIdentity,
): Promise<BatchEnd | undefined> {
  const settlement = await writer.settleTransaction(into, identity);
  if (settlement === 'committed') return { batch, skipped: [] };
  if (settlement === 'aborted') return { batch, skipped: [...ids.keys()] };
  // What a revert has taken out is in again by the end of this run, or was found missing and counted as such.
  return action === 'replace' ? undefined : { batch, skipped: [] };
}

/** Positions of the documents that the target holds, byte for byte as the entry wrote them or was to write them. */
async function standing(
  reader: TargetReader,
  { into, ids, hashes }: JournalEntry & { readonly hashes: Buffer },
): Promise<ReadonlySet<number>> {
  const positions = new Map(ids.map((id, position) => [canonicalKey(id), position]));
  const asked = asDocuments(ids);
  const found = new Set<number>();
  for await (const answer of reader.lookUp(into, asked, [...ids.keys()])) {
    const documents = answer.found;
    for (let i = 0; i < documents.length; i++) {
      const position = positions.get(canonicalKey(documents.id(i)));
      if (position === undefined) continue;
      if (isAsWritten(hashes, position, documents.document(i))) found.add(position);
    }
  }
  return found;
}
