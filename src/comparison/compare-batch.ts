/** The class of every document of one batch. */

import { documentValue } from '../bson/diff-documents.ts';
import type { Documents } from '../bson/documents.ts';
import { depthRefusal, idRefusal, lengthRefusal, replacementRefusal } from '../bson/storable.ts';
import type { RawValue } from '../bson/types.ts';
import type { Reference, WhenMatched } from '../plan/plan.ts';
import type { TargetCollection, TargetIndex, TargetReader } from '../target/target.ts';
import type { Candidate, CandidateCheck, Objection } from './candidate.ts';
import type { DanglingReference, DocumentClass } from './comparison.ts';
import { type ExistingPart, existingDocuments } from './existing.ts';
import { classifyPair, type PairClass, type PairRules } from './pair.ts';
import type { ReferenceCheck } from './references.ts';

/** How the documents of one collection are compared; the same for all its batches. */
export interface CollectionRules extends PairRules {
  readonly reader: TargetReader;
  /** Undefined: the target has no document of this collection, so there is nothing to look up. */
  readonly existing: TargetCollection | undefined;
  readonly whenMatched: WhenMatched;
  readonly checks: readonly CandidateCheck[];
  readonly references: readonly Reference[];
  readonly referenceCheck: ReferenceCheck;
}

export interface Finding {
  readonly class: DocumentClass;
  readonly reason: string;
  /** See ComparedDocument. */
  readonly reasonValues?: string | undefined;
  /** See Objection. */
  readonly by?: TargetIndex;
  readonly index: number;
  /** Undefined for a document without a usable `_id`. */
  readonly id: RawValue | undefined;
  readonly backup: RawValue;
  readonly target: RawValue | undefined;
}

export interface BatchFindings {
  /** In backup order. */
  readonly findings: readonly Finding[];
  readonly dangling: readonly DanglingReference[];
}

/** All documents of the batch: in one part, or in several where the target's are too large to be held together. */
export async function* compareBatch(
  batch: Documents,
  rules: CollectionRules,
): AsyncGenerator<BatchFindings, void, undefined> {
  const { refused, candidates } = sortOutUnstorable(batch);
  if (candidates.length === 0) {
    yield { findings: refused, dangling: [] };
    return;
  }
  let done = -1;
  for await (const part of partsOf(candidates, rules)) {
    const last = part.candidates.at(-1);
    const end = last === candidates.at(-1) ? Number.POSITIVE_INFINITY : (last?.index ?? done);
    const passed = refused.filter(({ index }) => index > done && index <= end);
    done = end;
    const { findings, dangling } = await comparePart(part, rules);
    if (passed.length === 0) yield { findings, dangling };
    else yield { findings: [...passed, ...findings].sort((a, b) => a.index - b.index), dangling };
  }
}

async function* partsOf(
  candidates: readonly Candidate[],
  { reader, existing }: CollectionRules,
): AsyncGenerator<ExistingPart, void, undefined> {
  if (existing !== undefined) yield* existingDocuments(reader, existing, candidates);
  else yield { candidates, existing: new Map() };
}

async function comparePart(
  { candidates, existing }: ExistingPart,
  rules: CollectionRules,
): Promise<BatchFindings> {
  const pairs = new Map<Candidate, PairClass>();
  for (const [candidate, target] of existing) {
    pairs.set(candidate, classifyPair(candidate.document, target, rules));
  }
  const written = candidates.filter((candidate) => wouldBeWritten(pairs.get(candidate), rules.whenMatched));
  const objections = await runChecks([replacementCheck(existing), ...rules.checks], written);
  const findings = candidates.map((candidate): Finding => {
    return {
      ...(objections.get(candidate) ?? pairs.get(candidate) ?? INSERT),
      index: candidate.index,
      id: candidate.id,
      backup: candidate.document,
      target: existing.get(candidate),
    };
  });
  return { findings, dangling: await rules.referenceCheck.dangling(candidates, rules.references) };
}

const INSERT = { class: 'insert', reason: '' } as const;

/** Parts the documents that no server would store from those worth asking the target about. */
function sortOutUnstorable(batch: Documents): { refused: Finding[]; candidates: Candidate[] } {
  const refused: Finding[] = [];
  const candidates: Candidate[] = [];
  for (const [position, offset] of batch.offsets.entries()) {
    const index = batch.first + position;
    const document = documentValue(batch.bytes, offset);
    const own = batch.id(position);
    const id = idRefusal(own) ?? own;
    const reason =
      typeof id === 'string' ? id : (lengthRefusal(document.end - document.start) ?? depthRefusal(document));
    if (typeof id !== 'string' && reason === undefined) candidates.push({ index, document, id });
    else {
      refused.push({
        class: 'refused',
        reason: reason ?? '',
        index,
        id: typeof id === 'string' ? undefined : id,
        backup: document,
        target: undefined,
      });
    }
  }
  return { refused, candidates };
}

function wouldBeWritten(pair: PairClass | undefined, whenMatched: WhenMatched): boolean {
  if (pair === undefined) return true;
  return whenMatched === 'replace' && pair.class !== 'identical';
}

/** Of documents that would take the place of another one. */
function replacementCheck(existing: ReadonlyMap<Candidate, RawValue>): CandidateCheck {
  return async (candidates) => {
    const objections = new Map<Candidate, Objection>();
    for (const candidate of candidates) {
      const reason = existing.has(candidate) ? replacementRefusal(candidate.document) : undefined;
      if (reason !== undefined) objections.set(candidate, { class: 'refused', reason });
    }
    return objections;
  };
}

/** Each check sees only what the ones before it had nothing against. */
async function runChecks(
  checks: readonly CandidateCheck[],
  candidates: readonly Candidate[],
): Promise<Map<Candidate, Objection>> {
  const objections = new Map<Candidate, Objection>();
  for (const check of checks) {
    const left = candidates.filter((candidate) => !objections.has(candidate));
    if (left.length === 0) break;
    for (const [candidate, objection] of await check(left)) objections.set(candidate, objection);
  }
  return objections;
}
