/**
 * Where the ledger lies: three collections inside the target's own database, so that it cannot be mixed up with another. And which
 * of its documents this version must not act upon.
 */
import { createHash } from 'node:crypto';
import { RestorePlanError } from '../errors.ts';

export const RUNS = 'restore_plan.runs';
export const JOURNAL = 'restore_plan.journal';
export const LOCK = 'restore_plan.lock';

/** Format of every ledger document. A higher number was written by a newer version of this tool. */
export const LEDGER_FORMAT = 2;
export type LedgerFormat = 1 | 2;

/** Whose record it is: one plan, by its name, and one selection, by its digest. */
export interface RunKey {
  readonly plan: string;
  readonly selection: string;
}

/** What the `_id`s of a run's journal begin with: sha256 of the plan's name (hex), a dot, the selection's digest. */
export function journalKeyOf({ plan, selection }: RunKey): string {
  return `${createHash('sha256').update(plan).digest('hex')}.${selection}`;
}

/** The document's format. Throws TARGET when it is a newer one, or none. `where` is the collection's name. */
export function requireKnownFormat(where: string, document: Readonly<Record<string, unknown>>): LedgerFormat {
  const format = document['format'];
  if (typeof format === 'number' && Number.isInteger(format) && format > LEDGER_FORMAT) {
    throw new RestorePlanError(
      'TARGET',
      `${where} was written by a newer version of restore-plan (format ${format})`,
      { hint: `This version reads formats up to ${LEDGER_FORMAT}. Run again with the newer version.` },
    );
  }
  if (format === 1 || format === LEDGER_FORMAT) return format;
  throw damaged(where, document, 'format');
}

/** A document whose `field` is not what this tool writes there. */
export function damaged(
  where: string,
  document: Readonly<Record<string, unknown>>,
  field: string,
): RestorePlanError {
  const { _id } = document;
  const id = typeof _id === 'string' ? _id : JSON.stringify(_id);
  return new RestorePlanError('TARGET', `${where} is damaged: document ${id} has no valid ${field}`, {
    hint:
      'Somebody may have edited it by hand; put it back from a backup of that collection. If that is impossible, remove the ' +
      'document and run `plan apply` again: it compares every document with the target and records them anew.',
    facts: { where, id, field },
  });
}
