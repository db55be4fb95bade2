/** The class of every document that met a target. */
import { documentValue } from '../bson/diff-documents.ts';
import { showIsoDate } from '../bson/iso-date.ts';
import { replacementRefusal } from '../bson/storable.ts';
import { sameDocument } from '../bson/stored-form.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import type { Reference, WhenMatched } from '../plan/plan.ts';
import type { Matcher } from '../query/compile-query.ts';
import type { DocumentCheck, Objection, Verdict } from './check.ts';
import type { DanglingReference, DocumentClass } from './comparison.ts';
import { indexKeys } from './index-keys.ts';
import type { Met } from './meet.ts';
import type { ReferenceCheck } from './references.ts';

/** How the documents of one collection are compared; the same for all its batches. */
export interface CollectionRules extends PairRules {
  readonly whenMatched: WhenMatched;
  readonly checks: readonly DocumentCheck[];
  readonly references: readonly Reference[];
  readonly referenceCheck: ReferenceCheck;
}

export interface Findings {
  readonly met: Met;
  /** By position; of the others it is enough whether they are there. */
  readonly verdicts: ReadonlyMap<number, Verdict>;
  readonly dangling: readonly DanglingReference[];
}

const INSERT: Verdict = { class: 'insert', reason: '' };
const IDENTICAL: Verdict = { class: 'identical', reason: '' };

export function verdictOf({ verdicts, met }: Findings, position: number): Verdict {
  return verdicts.get(position) ?? (met.there.presence(position) === 'same' ? IDENTICAL : INSERT);
}

export async function comparePart(met: Met, rules: CollectionRules): Promise<Findings> {
  const { documents, positions, there } = met;
  const verdicts = new Map<number, Verdict>();
  for (const { position, reason } of met.refusals) verdicts.set(position, { class: 'refused', reason });
  const written: number[] = [];
  for (const position of positions) {
    const other = there.other(position);
    if (other !== undefined) {
      const verdict = classifyPair(documents.value(position), documentValue(other), rules);
      verdicts.set(position, verdict);
      if (rules.whenMatched === 'replace' && verdict.class !== 'identical') written.push(position);
    } else if (there.presence(position) === 'absent') written.push(position);
  }
  for (const check of [replacementCheck(met), ...rules.checks]) {
    const left = written.filter((position) => !isObjectedTo(verdicts.get(position)));
    if (left.length === 0) break;
    for (const [position, objection] of await check(documents, left)) verdicts.set(position, objection);
  }
  const dangling = await rules.referenceCheck.dangling(documents, positions, rules.references);
  return { met, verdicts, dangling };
}

/** Each check sees only what the ones before it had nothing against. */
function isObjectedTo(verdict: Verdict | undefined): boolean {
  return verdict?.class === 'refused' || verdict?.class === 'conflict';
}

/** Of documents that would take the place of another one. */
function replacementCheck({ there }: Met): DocumentCheck {
  return async (documents, positions) => {
    const objections = new Map<number, Objection>();
    for (const position of positions) {
      if (there.other(position) === undefined) continue;
      const reason = replacementRefusal(documents.value(position));
      if (reason !== undefined) objections.set(position, { class: 'refused', reason });
    }
    return objections;
  };
}

export interface PairRules {
  readonly isSoftDeleted: Matcher | undefined;
  /** Dotted path of a date. */
  readonly updatedAt: string | undefined;
  /** The plan masks that date: a reason may not tell it. */
  readonly hidesUpdatedAt: boolean;
}

export interface PairClass {
  readonly class: Extract<DocumentClass, 'identical' | 'softDeleted' | 'stale' | 'different'>;
  readonly reason: string;
  /** See ComparedDocument. */
  readonly reasonValues?: string;
}

export function classifyPair(backup: RawValue, target: RawValue, rules: PairRules): PairClass {
  if (sameDocument(backup, target)) return { class: 'identical', reason: '' };
  if (rules.isSoftDeleted?.(target.bytes, target.start)) {
    return { class: 'softDeleted', reason: 'the target has it, marked as deleted' };
  }
  if (rules.updatedAt !== undefined) {
    const before = dateAt(backup, rules.updatedAt);
    const since = dateAt(target, rules.updatedAt);
    if (before !== undefined && since !== undefined && since > before) {
      const reason = `${rules.updatedAt} is newer in the target`;
      if (rules.hidesUpdatedAt) return { class: 'stale', reason };
      const reasonValues = `${showIsoDate(since) ?? since} there, ${showIsoDate(before) ?? before} in the backup`;
      return { class: 'stale', reason, reasonValues };
    }
  }
  return { class: 'different', reason: '' };
}

/** UTC milliseconds; undefined when the field is no single date. */
function dateAt(document: RawValue, path: string): number | undefined {
  const value = indexKeys(document, [path])[0]?.[0];
  return value?.type === BSON.DATE ? Number(value.bytes.readBigInt64LE(value.start)) : undefined;
}
