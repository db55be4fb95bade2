import type { MemberInfo } from '../backup/backup.ts';
import { damagedDocument } from '../backup/readers/document-framer.ts';
import { BsonFault } from '../bson/elements.ts';
import { RestorePlanError } from '../errors.ts';
import { QueryFault } from '../query/query-fault.ts';
import { EndlessPattern } from './time-limit.ts';

/** A sound document whose `_id` no target can hold as it is. */
export class UnfitId extends Error {
  override readonly name = 'UnfitId';
  /** Condition of a query that leaves such documents out. */
  readonly without: string;
  /** What comes of it on a server, and what to do beside leaving it out. */
  readonly why: string;

  constructor(message: string, { without, why }: { readonly without: string; readonly why: string }) {
    super(message);
    this.without = without;
    this.why = why;
  }

  static missing(): UnfitId {
    return new UnfitId('has no _id', {
      without: '_id: { $exists: true }',
      why:
        'A server gives it a new one at each insert, so a second run would restore it twice, and nothing could verify it or take it back. ' +
        'mongorestore inserts such documents, each with a new _id.',
    });
  }

  /** `type`: as `$type` names it. */
  static refused(type: string): UnfitId {
    return new UnfitId(`has an _id of type ${type}`, {
      without: `_id: { $not: { $type: '${type}' } }`,
      why: 'No server takes such an _id.',
    });
  }
}

/**
 * What is wrong with a document, with its place, as an error for the operator. `document` counts from 1; a BsonFault's offset from the start of
 * the member. Other errors pass unchanged.
 */
export function faultAt(error: unknown, member: MemberInfo, document: number): unknown {
  if (error instanceof QueryFault) return unanswerable(error, member, document);
  if (error instanceof UnfitId) return unfit(error, member, document);
  if (error instanceof BsonFault) return damagedDocument(error, member, document);
  return error;
}

function unfit(fault: UnfitId, member: MemberInfo, document: number): RestorePlanError {
  return new RestorePlanError(
    'BACKUP',
    `${member.path}: document ${document} is selected, and ${fault.message}`,
    {
      hint: `${fault.why} To restore the others, add to the query of ${member.collection}: ${fault.without}`,
      cause: fault,
      facts: { member: member.path, collection: member.collection, document },
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
