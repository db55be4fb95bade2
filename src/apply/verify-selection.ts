/** Reads every document of a selection back at majority and compares bytes. Reads only. */
import { showValue } from '../bson/show.ts';
import type { RawValue } from '../bson/types.ts';
import { inOrder, type Meeting, type Met, meet } from '../comparison/meet.ts';
import { type AcceptedDocuments, readAccepted } from '../ledger/accepted.ts';
import { journalKeyOf, type RunKey } from '../ledger/layout.ts';
import { openLedger } from '../ledger/ledger.ts';
import { EarlierRuns } from '../ledger/written.ts';
import type { Plan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import type { Target, TargetCollection, TargetReader } from '../target/target.ts';

/** Differences named one by one; all are counted. */
const MOST_DIFFERENCES = 1_000;

const COUNTED = ['checked', 'identical', 'different', 'missing', 'kept'] as const;

/**
 * restored: must be there with its bytes, of a merge its fields. ifThere: the same where it is there. present: must be there, whatever
 * its content. ignored: says nothing.
 */
export type Expectation = 'restored' | 'ifThere' | 'present' | 'ignored';

export interface VerificationRequest {
  readonly selection: Selection;
  readonly reader: TargetReader;
  /** What is expected of a document, by its position in its collection's file. Not asked where the target holds its very bytes. */
  readonly expect: (selected: SelectedCollection, index: number) => Expectation | Promise<Expectation>;
  /** One document in so many is looked at; 1 = all. */
  readonly every?: number;
  /** Asks also for documents that no server takes: they cannot be there. Without it they are left out. */
  readonly unstorable?: boolean;
}

export interface VerifiedCollection {
  readonly collection: string;
  readonly into: string;
  /** Documents looked at. */
  readonly checked: number;
  readonly identical: number;
  readonly different: number;
  readonly missing: number;
  /** There with other content, or not there, and nothing else was expected. */
  readonly kept: number;
}

export interface VerifiedDifference {
  readonly into: string;
  /** `_id` as Extended JSON. */
  readonly id: string;
  readonly kind: 'missing' | 'different';
}

export interface Verification {
  readonly collections: readonly VerifiedCollection[];
  readonly differences: readonly VerifiedDifference[];
  /** Number of documents missing or different. */
  readonly failures: number;
  /** The documents were read from an export whose numbers do not say their types. */
  readonly relaxed?: boolean;
}

/** Throws the signal's reason between batches. */
export async function verifySelection(run: Run, request: VerificationRequest): Promise<Verification> {
  const { emit } = run;
  const { selection, reader } = request;
  const { collections } = selection.manifest;
  const every = request.every ?? 1;
  const documents = collections.reduce((sum, { count }) => sum + Math.ceil(count / every), 0);
  emit({ type: 'verification-started', target: reader.name, documents });
  const differences: VerifiedDifference[] = [];
  const verified: VerifiedCollection[] = [];
  let progress = 0;
  for (const selected of collections) {
    const counts = { checked: 0, identical: 0, different: 0, missing: 0, kept: 0 };
    const { collection: name, into } = selected;
    const collection = await reader.collection(into);
    const meeting: Meeting = {
      ...{ selection, name, reader, collection, every, needs: 'presence' },
      isScanned: every === 1 && (await holdsAsMany(reader, collection, selected)),
      checked: {
        during: `while ${reader.name} was compared with it`,
        remedy: 'Run the same command again: the documents are selected anew, and each is compared.',
      },
    };
    const verifying = meet(run, meeting, (met) => verifyPart(met, request, selected));
    for await (const findings of verifying) {
      for (const key of COUNTED) counts[key] += findings.counts[key];
      for (const { id, kind } of findings.differences) {
        if (differences.length < MOST_DIFFERENCES) differences.push({ into, id: showValue(id), kind });
      }
      progress += findings.counts.checked;
      emit({ type: 'verification-progress', target: reader.name, verified: progress });
    }
    verified.push({ collection: name, into, ...counts });
  }
  const failures = verified.reduce((sum, { missing, different }) => sum + missing + different, 0);
  const identical = verified.reduce((sum, each) => sum + each.identical, 0);
  const relaxed = selection.manifest.relaxed ? { relaxed: true } : {};
  const notWritten = documents - identical - failures;
  emit({ type: 'verification-finished', target: reader.name, differences: failures, notWritten, ...relaxed });
  return { collections: verified, differences, failures, ...relaxed };
}

interface PartFindings {
  readonly counts: Omit<VerifiedCollection, 'collection' | 'into'>;
  readonly differences: readonly { readonly id: RawValue; readonly kind: VerifiedDifference['kind'] }[];
}

/** Above this, batches that wait for their documents to come up are too much to hold, and a look-up costs little beside its document. */
const MOST_SCANNED_BYTES = 256 * 1024;

/** Then it mostly holds these and nothing else, and to read all of it costs less than half of the look-ups. */
async function holdsAsMany(
  reader: TargetReader,
  collection: TargetCollection | undefined,
  { count, bytes }: SelectedCollection,
): Promise<boolean> {
  const isSmall = count > 0 && bytes / count <= MOST_SCANNED_BYTES;
  return collection !== undefined && isSmall && (await reader.count(collection.name)) === count;
}

async function verifyPart(
  met: Met,
  request: VerificationRequest,
  selected: SelectedCollection,
): Promise<PartFindings> {
  const { stored, positions, there } = met;
  const counts = { checked: 0, identical: 0, different: 0, missing: 0, kept: 0 };
  const differences: PartFindings['differences'][number][] = [];
  for (const position of request.unstorable === true ? inOrder(met) : positions) {
    const seen = there.presence(position);
    const presence = seen === 'otherId' ? 'absent' : seen;
    const expectation =
      presence === 'same' ? 'restored' : await request.expect(selected, stored.first + position);
    if (expectation === 'ignored') continue;
    counts.checked++;
    if (presence === 'same') counts.identical++;
    else if (presence === 'other' && expectation === 'present') counts.kept++;
    else if (presence === 'absent' && expectation === 'ifThere') counts.kept++;
    else {
      const kind = presence === 'absent' ? 'missing' : 'different';
      counts[kind]++;
      differences.push({ id: stored.id(position), kind });
    }
  }
  return { counts, differences };
}

export interface VerifyRequest {
  readonly plan: Pick<Plan, 'name'>;
  readonly selection: Selection;
  readonly target: Target;
  /** One document in so many is looked at; 1 = all. */
  readonly every: number;
}

/**
 * Compares what a plan restored with the target again, any time later. Reads only.
 *
 * A document that the journal says was inserted or replaced must still have the backup's bytes; any other one was left as it was,
 * so it must only be there; what is left out by decision need not be. Ledger and journal are read when the first document differs:
 * mostly never.
 */
export async function verifyRestore(
  run: Run,
  { plan, selection, target, every }: VerifyRequest,
): Promise<Verification> {
  let reading: Promise<EarlierRuns> | undefined;
  let readingAccepted: Promise<AcceptedDocuments> | undefined;
  const key = { plan: plan.name, selection: selection.manifest.digest };
  const expect = async (
    { collection, into, merge }: SelectedCollection,
    index: number,
  ): Promise<Expectation> => {
    readingAccepted ??= readAccepted(target.reader, key);
    if ((await readingAccepted).has(collection, index)) return 'ignored';
    reading ??= readEarlierRuns(target, key, selection);
    if ((await reading).outcomeOf(into, index) !== 'identical') return 'restored';
    return merge?.whenNotMatched === 'discard' ? 'ignored' : 'present';
  };
  return verifySelection(run, { selection, reader: target.reader, expect, every });
}

async function readEarlierRuns(target: Target, key: RunKey, selection: Selection): Promise<EarlierRuns> {
  const { runs, journal } = openLedger(target);
  const run = await runs.find(key);
  return EarlierRuns.read(journal(run?.journalKey ?? journalKeyOf(key)), selection);
}
