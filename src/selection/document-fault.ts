import type { MemberInfo } from '../backup/backup.ts';
import { BsonFault } from '../bson/elements.ts';
import { RestorePlanError } from '../errors.ts';
import { QueryFault } from '../query/query-fault.ts';
import { EndlessPattern } from './time-limit.ts';

/**
 * What is wrong with a document, with its place, as an error for the operator. `document` counts from 1; a BsonFault's offset from the start of
 * the member. Other errors pass unchanged.
 */
export function faultAt(error: unknown, member: MemberInfo, document: number): unknown {
  if (error instanceof QueryFault) return unanswerable(error, member, document);
  if (error instanceof BsonFault) return damaged(error, member, document);
  return error;
}

function damaged(error: BsonFault, member: MemberInfo, document: number): RestorePlanError {
  return new RestorePlanError(
    'BACKUP',
    `${member.path}: document ${document} is damaged, at byte ${error.offset} of the member: ${error.message}`,
    {
      hint: 'Nothing of this backup was used. Take another backup, for instance the next older one: `plan backups` lists them.',
      cause: error,
      facts: { member: member.path, collection: member.collection, document, offset: error.offset },
    },
  );
}

/** An expression ($expr) that would have ended the query on a server too, rather than leave the document out; or an endless pattern. */
function unanswerable(fault: QueryFault, member: MemberInfo, document: number): RestorePlanError {
  const where = fault.path === '' ? 'the query' : `the query's ${fault.path}`;
  return new RestorePlanError(
    'PLAN_INVALID',
    `${where} has no answer for document ${document} of ${member.path}: ${fault.message}`,
    {
      hint:
        fault instanceof EndlessPattern
          ? 'Repetitions share out the same text there, as in (a+)+; write each part so that it ends where the next begins. Nothing was selected.'
          : 'Have the expression look at such documents first, for instance with $cond and $type. Nothing was selected.',
      cause: fault,
      facts: { member: member.path, collection: member.collection, document },
    },
  );
}
