/** Reads every document of a selection back at majority and compares bytes. Reads only. */

import type { Documents } from '../bson/documents.ts';
import { showValue } from '../bson/show.ts';
import type { RawValue } from '../bson/types.ts';
import { inFlight } from '../comparison/in-flight.ts';
import { type AcceptedDocuments, readAccepted } from '../ledger/accepted.ts';
import { journalKeyOf, type RunKey } from '../ledger/layout.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { Plan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import { readCheckedBatches } from '../selection/read-batches.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import { Counterparts, findCounterparts } from '../target/counterparts.ts';
import { BATCHES_SEARCHED, type Scanned, scanCounterparts } from '../target/scan-counterparts.ts';
import type { Target, TargetCollection, TargetReader } from '../target/target.ts';
import { type AdmittedBatch, admit } from './admit.ts';
import { EarlierRuns } from './earlier-runs.ts';

const BATCHES_IN_FLIGHT = 3;
const BATCH = { maxBytes: 2 * 1024 * 1024, maxDocuments: 2_000 };
/** Differences named one by one; all are counted. */
const MOST_DIFFERENCES = 1_000;

const COUNTED = ['checked', 'identical', 'different', 'missing', 'kept'] as const;

/** restored: must be there with its bytes. present: must be there, whatever its content. ignored: says nothing. */
export type Expectation = 'restored' | 'present' | 'ignored';

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
  /** There, with other content, and nothing else was expected. */
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
export async function verifySelection(
  { emit, signal }: Run,
  request: VerificationRequest,
): Promise<Verification> {
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
    const question = { request, selected, collection, every };
    const verify = (batch: Scanned<AdmittedBatch>): Promise<BatchFindings> => {
      signal.throwIfAborted();
      return verifyBatch(batch, question);
    };
    const batches = await batchesOf(question);
    const verifying = inFlight(batches, BATCHES_IN_FLIGHT, verify, ({ batch }) => batch.run.bytes.length);
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

interface BatchQuestion {
  readonly request: VerificationRequest;
  readonly selected: SelectedCollection;
  readonly collection: TargetCollection | undefined;
  readonly every: number;
}

interface BatchFindings {
  readonly counts: Omit<VerifiedCollection, 'collection' | 'into'>;
  readonly differences: readonly { readonly id: RawValue; readonly kind: VerifiedDifference['kind'] }[];
}

/** With what a scan of the target's whole collection shows of them, where it holds nothing else. */
async function batchesOf(question: BatchQuestion): Promise<AsyncIterable<Scanned<AdmittedBatch>>> {
  const { request, selected, collection, every } = question;
  const { selection, reader } = request;
  const isWhole =
    collection !== undefined &&
    every === 1 &&
    selected.count > 0 &&
    (await reader.count(collection.name)) === selected.count;
  const held = BATCHES_IN_FLIGHT + (isWhole ? BATCHES_SEARCHED : 0);
  const batches = admitted(
    readCheckedBatches(selection, selected.collection, {
      limits: { ...BATCH, held },
      during: `while ${reader.name} was compared with it`,
      remedy: 'Run the same command again: the documents are selected anew, and each is compared.',
    }),
  );
  if (!isWhole) return unscanned(batches);
  const documents = Math.ceil((BATCH.maxBytes * selected.count) / selected.bytes);
  return scanCounterparts(batches, reader.scan(collection.name, Math.min(documents, BATCH.maxDocuments)));
}

async function* admitted(batches: AsyncIterable<Documents>): AsyncGenerator<AdmittedBatch> {
  for await (const batch of batches) yield admit(batch);
}

async function* unscanned(batches: AsyncIterable<AdmittedBatch>): AsyncGenerator<Scanned<AdmittedBatch>> {
  for await (const batch of batches) yield { batch, there: new Counterparts(batch.run) };
}

async function verifyBatch(scanned: Scanned<AdmittedBatch>, question: BatchQuestion): Promise<BatchFindings> {
  const { request, selected, collection, every } = question;
  const { batch, there } = scanned;
  const { run, first, positions } = batch;
  const looked = every === 1 ? positions : positions.filter((position) => (first + position) % every === 0);
  if (collection !== undefined) {
    const open = looked.filter((position) => there.presence(position) === 'absent');
    await findCounterparts({ reader: request.reader, collection, run, positions: open, known: there });
  }
  const counts = { checked: 0, identical: 0, different: 0, missing: 0, kept: 0 };
  const differences: BatchFindings['differences'][number][] = [];
  const asked = request.unstorable === true ? run.offsets.keys() : looked;
  for (const position of asked) {
    const presence = there.presence(position);
    const expectation = presence === 'same' ? 'restored' : await request.expect(selected, first + position);
    if (expectation === 'ignored') continue;
    counts.checked++;
    if (presence === 'same') counts.identical++;
    else if (presence === 'other' && expectation === 'present') counts.kept++;
    else {
      const kind = presence === 'absent' ? 'missing' : 'different';
      counts[kind]++;
      differences.push({ id: run.id(position), kind });
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
  const expect = async ({ collection, into }: SelectedCollection, index: number): Promise<Expectation> => {
    readingAccepted ??= readAccepted(target.reader, key);
    if ((await readingAccepted).has(collection, index)) return 'ignored';
    reading ??= readEarlierRuns(target, key, selection);
    return (await reading).outcomeOf(into, index) === 'identical' ? 'present' : 'restored';
  };
  return verifySelection(run, { selection, reader: target.reader, expect, every });
}

async function readEarlierRuns(target: Target, key: RunKey, selection: Selection): Promise<EarlierRuns> {
  const { runs, journal } = openLedger(target);
  const run = await runs.find(key);
  return EarlierRuns.read(journal(run?.journalKey ?? journalKeyOf(key)), selection);
}
