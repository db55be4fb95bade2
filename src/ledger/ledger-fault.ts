/** Ledger documents that this version must not act upon. */
import { RestorePlanError } from '../errors.ts';
import { LEDGER_FORMAT } from './layout.ts';

/** Throws TARGET when the document is of a newer format, or of none. `where` is the collection's name. */
export function requireKnownFormat(where: string, document: Readonly<Record<string, unknown>>): void {
  const format = document['format'];
  if (typeof format === 'number' && Number.isInteger(format) && format > LEDGER_FORMAT) {
    throw new RestorePlanError(
      'TARGET',
      `${where} was written by a newer version of restore-plan (format ${format})`,
      { hint: `This version reads format ${LEDGER_FORMAT}. Run again with the newer version.` },
    );
  }
  if (format !== LEDGER_FORMAT) throw damaged(where, document, 'format');
}

/** A document whose `field` is not what this tool writes there. */
export function damaged(
  where: string,
  document: Readonly<Record<string, unknown>>,
  field: string,
): RestorePlanError {
  const id = String(document['_id']);
  return new RestorePlanError('TARGET', `${where} is damaged: document ${id} has no valid ${field}`, {
    hint:
      'Somebody may have edited it by hand; put it back from a backup of that collection. If that is impossible, remove the ' +
      'document and run `plan apply` again: it compares every document with the target and records them anew.',
    facts: { where, id, field },
  });
}
