/**
 * Gets documents of one batch into the target, whatever happens on the way, and says what became of each.
 *
 * A reply is believed only when it is a clean one. After anything else (connection lost, election, write concern not met) the
 * documents are read back by `_id` at majority and their bytes compared: same = it is done, absent = still to do, other =
 * somebody else's. So an attempt may be repeated as often as it takes.
 */
import type { DocumentRun } from '../bson/document-run.ts';
import type { WriteFault } from '../mongo/reply.ts';
import type { WhenMatched } from '../plan/plan.ts';
import { CommandFailure, isTransientCode } from '../target/command-failure.ts';
import { type Counterparts, findCounterparts } from '../target/counterparts.ts';
import { type Patience, rideOut, TryAgain } from '../target/patience.ts';
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

/** By position in the run; only what did not go the ordinary way. Every other document was written. */
export type Fates = ReadonlyMap<number, Fate>;

const DUPLICATE_KEY = 11000;
const VALIDATION_FAILED = 121;
const TOO_DEEP = 15;

/** Command errors that one document causes for its whole command: too deep, too large, not acceptable to the server. */
const DOCUMENT_CODES: ReadonlySet<number> = new Set([2, 9, 14, TOO_DEEP, 22, 10334, 17280, 17419, 17420]);

/** Inserts documents that were absent a moment ago. Throws when the target stays out of reach: then nothing is known. */
export async function insertDocuments(
  place: WritePlace,
  run: DocumentRun,
  positions: readonly number[],
): Promise<Fates> {
  const fates = new Map<number, Fate>();
  const what = `inserting into ${place.reader.database}.${place.collection.name}`;
  let open = positions;
  let isInDoubt = false;
  /** Some attempt got no answer. Until then, a document that is there was written by somebody else. */
  let mayBeOurs = false;
  await rideOut(place.patience, what, async () => {
    if (isInDoubt) {
      const there = await look(place, run, open);
      for (const position of open) {
        const presence = there.presence(position);
        if (presence === 'other') fates.set(position, somebodyElses(place));
        else if (presence === 'same' && !mayBeOurs) fates.set(position, IDENTICAL);
      }
      open = open.filter((position) => there.presence(position) === 'absent');
    }
    isInDoubt = true;
    const again: number[] = [];
    const taken: number[] = [];
    const faults = await insertOrSplit(place, run, open).catch((error: unknown) => {
      mayBeOurs = true;
      throw error;
    });
    for (const { position, fault } of faults) {
      if (isTransientCode(fault.code)) again.push(position);
      else if (isSameId(fault)) taken.push(position);
      else fates.set(position, fateOf(fault));
    }
    const there = await look(place, run, taken);
    for (const position of taken) {
      const presence = there.presence(position);
      // Refused as there, and not to be seen: its writer's majority is still to come, or it was removed again.
      if (presence === 'absent') again.push(position);
      else if (presence === 'other') fates.set(position, somebodyElses(place));
      else if (!mayBeOurs) fates.set(position, IDENTICAL);
    }
    open = again;
    if (again.length > 0) throw new TryAgain(what, `${again.length} documents are not settled yet`);
  });
  return fates;
}

const IDENTICAL: Fate = { outcome: 'identical', reason: '' };

export interface ReplacementPair {
  readonly position: number;
  /** What the target was seen to hold. */
  readonly seen: Buffer;
}

/** Replaces documents that are still the ones seen. */
export async function replaceDocuments(
  place: WritePlace,
  run: DocumentRun,
  pairs: readonly ReplacementPair[],
): Promise<Fates> {
  const fates = new Map<number, Fate>();
  const what = `replacing in ${place.reader.database}.${place.collection.name}`;
  let open = pairs;
  let isInDoubt = false;
  await rideOut(place.patience, what, async () => {
    if (isInDoubt) {
      const there = await findCounterparts({
        reader: place.reader,
        collection: place.collection,
        run,
        positions: open.map(({ position }) => position),
        keepsOthers: true,
      });
      open = open.filter((pair) => isStillToReplace(pair, there, fates));
    }
    if (open.length === 0) return;
    isInDoubt = true;
    const { written, faults } = await place.writer.replace(
      place.collection.name,
      open.map(({ position, seen }) => ({ seen, after: run.document(position) })),
      place.collection.collated,
    );
    for (const fault of faults) {
      const { position } = open[fault.index] as ReplacementPair;
      if (!isTransientCode(fault.code)) fates.set(position, fateOf(fault));
    }
    open = open.filter(({ position }) => !fates.has(position));
    if (written < open.length) {
      throw new TryAgain(what, `${open.length - written} documents are not settled yet`);
    }
  });
  return fates;
}

/** After doubt: what has the new bytes is done, what has the bytes seen is still to do, anything else was changed. */
function isStillToReplace(
  { position, seen }: ReplacementPair,
  there: Counterparts,
  fates: Map<number, Fate>,
): boolean {
  if (there.presence(position) === 'same') return false;
  const other = there.other(position);
  if (other?.equals(seen)) return true;
  const reason =
    other === undefined ? 'it was deleted in the target meanwhile' : 'it was changed in the target meanwhile';
  fates.set(position, { outcome: 'conflict', reason });
  return false;
}

function look(place: WritePlace, run: DocumentRun, positions: readonly number[]): Promise<Counterparts> {
  return findCounterparts({ reader: place.reader, collection: place.collection, run, positions });
}

interface DocumentFault {
  readonly position: number;
  readonly fault: Pick<WriteFault, 'code' | 'keyPattern'>;
}

/** One insert command; where one document makes the server refuse all of it, the halves are tried alone. */
async function insertOrSplit(
  place: WritePlace,
  run: DocumentRun,
  positions: readonly number[],
): Promise<DocumentFault[]> {
  if (positions.length === 0) return [];
  try {
    const { name, uuid } = place.collection;
    const { faults } = await place.writer.insert(name, concatenated(run, positions), uuid);
    return faults.map((fault) => ({ position: positions[fault.index] as number, fault }));
  } catch (error) {
    if (!(error instanceof CommandFailure) || error.transient) throw error;
    const code = error.serverCode;
    if (code === undefined || !DOCUMENT_CODES.has(code)) throw error;
    if (positions.length === 1)
      return [{ position: positions[0] as number, fault: { code, keyPattern: undefined } }];
    const half = Math.ceil(positions.length / 2);
    return [
      ...(await insertOrSplit(place, run, positions.slice(0, half))),
      ...(await insertOrSplit(place, run, positions.slice(half))),
    ];
  }
}

/** The documents as one piece of memory: without a copy where they lie side by side, as in a batch that is new as a whole. */
function concatenated(run: DocumentRun, positions: readonly number[]): Buffer {
  const first = positions[0] as number;
  const last = positions.at(-1) as number;
  const start = run.offsets[first] as number;
  const isWhole = last - first + 1 === positions.length;
  if (isWhole) return run.bytes.subarray(start, run.end(last));
  return Buffer.concat(positions.map((position) => run.document(position)));
}

function somebodyElses({ whenMatched }: WritePlace): Fate {
  const outcome = whenMatched === 'keepExisting' ? 'kept' : 'conflict';
  return { outcome, reason: 'another document of this _id was there first' };
}

function isSameId({ code, keyPattern }: DocumentFault['fault']): boolean {
  return code === DUPLICATE_KEY && keyPattern?.length === 1 && keyPattern[0] === '_id';
}

function fateOf({ code, keyPattern }: DocumentFault['fault']): Fate {
  if (code === DUPLICATE_KEY) {
    const fields = keyPattern?.join(', ') ?? 'a unique index';
    return { outcome: 'conflict', reason: `another document holds the same unique key (${fields})` };
  }
  return { outcome: 'refused', reason: refusalText(code) };
}

function refusalText(code: number): string {
  if (code === VALIDATION_FAILED) return "the collection's validator refuses it";
  if (code === TOO_DEEP) return 'it is nested deeper than the server stores';
  return `the server refuses it (code ${code})`;
}
