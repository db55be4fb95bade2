/**
 * Gets the documents of one batch into the target, whatever happens on the way, and says what became of each.
 *
 * A reply is believed only when it is a clean one. After anything else (connection lost, election, write concern not met) the
 * documents are read back by `_id` at majority and their bytes compared: equal = it is done, absent = still to do, different =
 * somebody else's (FAULTS.md, section 1.4). So an attempt may be repeated as often as it takes.
 */
import { bytesOf, type Candidate } from '../comparison/candidate.ts';
import { existingDocuments } from '../comparison/existing.ts';
import type { WhenMatched } from '../plan/plan.ts';
import { CommandFailure, isTransientCode } from '../target/command-failure.ts';
import { type Patience, rideOut, TryAgain } from '../target/patience.ts';
import type { WriteFault } from '../target/reply.ts';
import type { TargetCollection, TargetReader, TargetWriter } from '../target/target.ts';
import type { Outcome } from './outcome.ts';

/** Where documents are written, and by which rules. */
export interface WritePlace {
  readonly reader: TargetReader;
  readonly writer: TargetWriter;
  readonly patience: Patience;
  readonly collection: TargetCollection;
  readonly whenMatched: WhenMatched;
}

export interface Fate {
  readonly outcome: Outcome;
  /** Empty where the outcome says it all. */
  readonly reason: string;
}

/** Only what did not go the ordinary way; every other candidate was written. */
export type Fates = ReadonlyMap<Candidate, Fate>;

const DUPLICATE_KEY = 11000;
const VALIDATION_FAILED = 121;

/** Command errors that one document causes for its whole command: too deep, too large, not acceptable to the server. */
const DOCUMENT_CODES: ReadonlySet<number> = new Set([2, 9, 14, 15, 22, 10334, 17280, 17419, 17420]);

/** Inserts documents that were absent a moment ago. Throws when the target stays out of reach: then nothing is known. */
export async function insertDocuments(place: WritePlace, candidates: readonly Candidate[]): Promise<Fates> {
  const fates = new Map<Candidate, Fate>();
  const what = `inserting into ${place.reader.database}.${place.collection.name}`;
  let open = candidates;
  let inDoubt = false;
  let wasInDoubt = false;
  await rideOut(place.patience, what, async () => {
    if (inDoubt) {
      wasInDoubt = true;
      open = await stillAbsent(place, open, fates);
    }
    inDoubt = true;
    const again: Candidate[] = [];
    const duplicates: Candidate[] = [];
    for (const { candidate, fault } of await insertOrSplit(place, open)) {
      if (isTransientCode(fault.code)) again.push(candidate);
      else if (isSameId(fault)) duplicates.push(candidate);
      else fates.set(candidate, fateOf(fault));
    }
    const taken = await existingDocuments(place.reader, place.collection, duplicates);
    for (const candidate of duplicates) {
      const there = taken.get(candidate);
      // Refused as there and not to be seen: its writer's majority is still to come, or it was removed again.
      if (there === undefined) again.push(candidate);
      else if (!isSame(candidate, there)) fates.set(candidate, somebodyElses(place));
      else if (!wasInDoubt) fates.set(candidate, { outcome: 'identical', reason: '' });
    }
    open = again;
    if (again.length > 0) throw new TryAgain(what, `${again.length} documents are not settled yet`);
  });
  return fates;
}

export interface ReplacementPair {
  readonly candidate: Candidate;
  /** What the target was seen to hold. */
  readonly seen: Buffer;
}

/** Replaces documents that are still the ones seen. */
export async function replaceDocuments(place: WritePlace, pairs: readonly ReplacementPair[]): Promise<Fates> {
  const fates = new Map<Candidate, Fate>();
  const what = `replacing in ${place.reader.database}.${place.collection.name}`;
  let open = pairs;
  let inDoubt = false;
  await rideOut(place.patience, what, async () => {
    if (inDoubt) open = await stillSeen(place, open, fates);
    if (open.length === 0) return;
    inDoubt = true;
    const { written, faults } = await place.writer.replace(
      place.collection.name,
      open.map(({ candidate, seen }) => ({ seen, after: bytesOf(candidate) })),
    );
    let again = 0;
    for (const fault of faults) {
      const { candidate } = open[fault.index] as ReplacementPair;
      if (isTransientCode(fault.code)) again++;
      else fates.set(candidate, fateOf(fault));
    }
    open = open.filter(({ candidate }) => !fates.has(candidate));
    if (again > 0 || written < open.length) {
      throw new TryAgain(what, `${open.length - written} documents are not settled yet`);
    }
  });
  return fates;
}

interface DocumentFault {
  readonly candidate: Candidate;
  readonly fault: Pick<WriteFault, 'code' | 'keyPattern'>;
}

/** One insert command; where one document makes the server refuse all of it, the halves are tried alone. */
async function insertOrSplit(place: WritePlace, open: readonly Candidate[]): Promise<DocumentFault[]> {
  if (open.length === 0) return [];
  try {
    const { faults } = await place.writer.insert(place.collection.name, concatenated(open));
    return faults.map((fault) => ({ candidate: open[fault.index] as Candidate, fault }));
  } catch (error) {
    if (!(error instanceof CommandFailure) || error.transient) throw error;
    const code = error.serverCode;
    if (code === undefined || !DOCUMENT_CODES.has(code)) throw error;
    if (open.length === 1)
      return [{ candidate: open[0] as Candidate, fault: { code, keyPattern: undefined } }];
    const half = Math.ceil(open.length / 2);
    return [
      ...(await insertOrSplit(place, open.slice(0, half))),
      ...(await insertOrSplit(place, open.slice(half))),
    ];
  }
}

/** The documents as one piece of memory: without a copy where they lie side by side, as in a batch that is new as a whole. */
function concatenated(candidates: readonly Candidate[]): Buffer {
  const first = (candidates[0] as Candidate).document;
  let end = first.start;
  for (const { document } of candidates) {
    if (document.bytes !== first.bytes || document.start !== end)
      return Buffer.concat(candidates.map(bytesOf));
    end = document.end;
  }
  return first.bytes.subarray(first.start, end);
}

/** After doubt: what is there with our bytes is done, what is there with others is somebody else's. */
async function stillAbsent(
  place: WritePlace,
  open: readonly Candidate[],
  fates: Map<Candidate, Fate>,
): Promise<Candidate[]> {
  const existing = await existingDocuments(place.reader, place.collection, open);
  return open.filter((candidate) => {
    const there = existing.get(candidate);
    if (there !== undefined && !isSame(candidate, there)) fates.set(candidate, somebodyElses(place));
    return there === undefined;
  });
}

/** After doubt: what has the new bytes is done, what has the bytes seen is still to do, anything else was changed. */
async function stillSeen(
  place: WritePlace,
  open: readonly ReplacementPair[],
  fates: Map<Candidate, Fate>,
): Promise<ReplacementPair[]> {
  const existing = await existingDocuments(
    place.reader,
    place.collection,
    open.map(({ candidate }) => candidate),
  );
  return open.filter(({ candidate, seen }) => {
    const there = existing.get(candidate);
    if (there !== undefined && isSame(candidate, there)) return false;
    if (there !== undefined && bytesOf({ ...candidate, document: there }).equals(seen)) return true;
    const reason = there === undefined ? 'it was deleted in the target meanwhile' : CHANGED;
    fates.set(candidate, { outcome: 'conflict', reason });
    return false;
  });
}

const CHANGED = 'it was changed in the target meanwhile';

function somebodyElses({ whenMatched }: WritePlace): Fate {
  const outcome = whenMatched === 'keepExisting' ? 'kept' : 'conflict';
  return { outcome, reason: 'another document of this _id appeared in the target meanwhile' };
}

function isSameId({ code, keyPattern }: DocumentFault['fault']): boolean {
  return code === DUPLICATE_KEY && keyPattern?.length === 1 && keyPattern[0] === '_id';
}

function fateOf({ code, keyPattern }: DocumentFault['fault']): Fate {
  if (code === DUPLICATE_KEY) {
    const fields = keyPattern?.join(', ') ?? 'a unique index';
    return { outcome: 'conflict', reason: `another document holds the same unique key (${fields})` };
  }
  if (code === VALIDATION_FAILED)
    return { outcome: 'refused', reason: "the collection's validator refuses it" };
  return { outcome: 'refused', reason: `the server refuses it (code ${code})` };
}

/** Candidates are in stored form, so the bytes must agree exactly. */
export function isSame({ document: a }: Candidate, b: Candidate['document']): boolean {
  return (
    a.end - a.start === b.end - b.start && a.bytes.compare(b.bytes, b.start, b.end, a.start, a.end) === 0
  );
}
