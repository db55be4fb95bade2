/** Class of a selected document that the target already has under the same `_id`. Pure. */
import { diffDocuments } from '../bson/diff-documents.ts';
import { showIsoDate } from '../bson/iso-date.ts';
import { typeName } from '../bson/show.ts';
import { sameDocument } from '../bson/stored-form.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import type { Matcher } from '../query/compile-query.ts';
import type { DocumentClass, FieldDifference } from './comparison.ts';
import { indexKeys } from './index-keys.ts';

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

/** Differences told of one document. One that differs in more is another document, and its two sides are shown as well. */
const MOST_DIFFERENCES = 200;

/** `show` turns a value at a dotted path into text. */
export function fieldDifferences(
  backup: RawValue,
  target: RawValue,
  show: (value: RawValue, path: string) => string,
): { readonly differences: FieldDifference[]; readonly differencesLeftOut: number } {
  const { first, total } = diffDocuments(backup, target, MOST_DIFFERENCES);
  const differences = first.map(({ path, kind, left, right }) => {
    const retyped = left !== undefined && right !== undefined && left.type !== right.type;
    return {
      path: kind === 'order' ? `${path === '' ? '(document)' : path} (order of fields)` : path,
      backup: left && show(left, path),
      target: right && show(right, path),
      backupType: retyped ? typeName(left.type) : undefined,
      targetType: retyped ? typeName(right.type) : undefined,
    };
  });
  return { differences, differencesLeftOut: total - differences.length };
}
