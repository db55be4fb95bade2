/** Reads every document of a selection back at majority and compares bytes. Reads only. */
import { showValue } from '../bson/show.ts';
import type { Candidate } from '../comparison/candidate.ts';
import { existingDocuments } from '../comparison/existing.ts';
import { inFlight } from '../comparison/in-flight.ts';
import type { Emit } from '../events.ts';
import { readBatches } from '../selection/read-batches.ts';
import type { DocumentBatch, SelectedCollection, Selection } from '../selection/selection.ts';
import type { TargetCollection, TargetReader } from '../target/target.ts';
import { admit } from './candidates.ts';
import { isSame } from './write-documents.ts';

const BATCH = { maxBytes: 4 * 1024 * 1024, maxDocuments: 4_000 };
const BATCHES_IN_FLIGHT = 3;
/** Differences named one by one; all are counted. */
const MOST_DIFFERENCES = 1_000;

/** restored: must be there with its bytes. present: must be there, whatever its content. ignored: says nothing. */
export type Expectation = 'restored' | 'present' | 'ignored';

export interface VerificationRequest {
  readonly selection: Selection;
  readonly reader: TargetReader;
  /** What is expected of a document by its position in its collection's file. */
  readonly expect: (selected: SelectedCollection, index: number, candidate: Candidate) => Expectation;
  /** One document in so many is looked at; 1 = all. */
  readonly every?: number;
  readonly emit: Emit;
  readonly signal?: AbortSignal | undefined;
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
}

/** Throws the signal's reason between batches. */
export async function verifySelection(request: VerificationRequest): Promise<Verification> {
  const { selection, reader, emit } = request;
  const { collections } = selection.manifest;
  const every = request.every ?? 1;
  const documents = collections.reduce((sum, { count }) => sum + Math.ceil(count / every), 0);
  emit({ type: 'verification-started', target: reader.name, documents });
  const differences: VerifiedDifference[] = [];
  const verified: VerifiedCollection[] = [];
  let progress = 0;
  for (const selected of collections) {
    const counts = { checked: 0, identical: 0, different: 0, missing: 0, kept: 0 };
    const collection = await reader.collection(selected.into);
    const batches = readBatches(selection, selected.collection, BATCH);
    for await (const findings of inFlight(batches, BATCHES_IN_FLIGHT, (batch) => {
      request.signal?.throwIfAborted();
      return verifyBatch(batch, { request, selected, collection, every });
    })) {
      for (const { candidate, finding } of findings) {
        counts.checked++;
        counts[finding]++;
        if (finding !== 'missing' && finding !== 'different') continue;
        if (differences.length < MOST_DIFFERENCES) {
          differences.push({ into: selected.into, id: showValue(candidate.id), kind: finding });
        }
      }
      progress += findings.length;
      emit({ type: 'verification-progress', target: reader.name, verified: progress });
    }
    verified.push({ collection: selected.collection, into: selected.into, ...counts });
  }
  const failures = verified.reduce((sum, { missing, different }) => sum + missing + different, 0);
  emit({ type: 'verification-finished', target: reader.name, differences: failures });
  return { collections: verified, differences, failures };
}

interface BatchQuestion {
  readonly request: VerificationRequest;
  readonly selected: SelectedCollection;
  readonly collection: TargetCollection | undefined;
  readonly every: number;
}

interface Found {
  readonly candidate: Candidate;
  readonly finding: 'identical' | 'different' | 'missing' | 'kept';
}

async function verifyBatch(batch: DocumentBatch, question: BatchQuestion): Promise<Found[]> {
  const { request, selected, collection, every } = question;
  const candidates = admit(batch).candidates.filter(({ index }) => index % every === 0);
  const existing =
    collection === undefined ? new Map() : await existingDocuments(request.reader, collection, candidates);
  const found: Found[] = [];
  for (const candidate of candidates) {
    const expectation = request.expect(selected, candidate.index, candidate);
    if (expectation === 'ignored') continue;
    const there = existing.get(candidate);
    if (there === undefined) found.push({ candidate, finding: 'missing' });
    else if (isSame(candidate, there)) found.push({ candidate, finding: 'identical' });
    else found.push({ candidate, finding: expectation === 'restored' ? 'different' : 'kept' });
  }
  return found;
}
