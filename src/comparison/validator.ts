/** Documents that the target collection's validator would refuse (server error 121), found without storing them. */
import { findElement, innerDocument } from '../bson/elements.ts';
import { BSON } from '../bson/types.ts';
import type { Matcher } from '../query/compile-query.ts';
import type { TargetCollection, TargetReader } from '../target/target.ts';
import type { Candidate, CandidateCheck, Objection } from './candidate.ts';
import { localMatcher, unlessUnanswerable } from './local-matcher.ts';
import { matchOnServer } from './match-on-server.ts';
import { listOf } from './query-documents.ts';

const REFUSED: Objection = { class: 'refused', reason: "the collection's validator does not accept it" };

/** Undefined where nothing is validated, or where a violation is only logged. `warn` is told what could not be decided. */
export function validatorCheck(
  reader: TargetReader,
  collection: TargetCollection,
  warn: (message: string) => void,
): CandidateCheck | undefined {
  const { validator } = collection;
  if (validator === undefined || textOption(collection, 'validationLevel') === 'off') return undefined;
  if (textOption(collection, 'validationAction') === 'warn') {
    warn('the validator of the target collection only logs violations; it was not evaluated');
    return undefined;
  }
  const question = { reader, query: listOf('$nor', [validator]), collation: collationOf(collection) };
  return async (candidates) => {
    const { matching, unanswered } = await matchOnServer(question, candidates);
    const objections = new Map<Candidate, Objection>();
    for (const candidate of matching) objections.set(candidate, REFUSED);
    if (unanswered.length === 0) return objections;
    const accepts = localValidator(validator);
    if (accepts === undefined)
      warn('some documents could not be checked against the validator of the target');
    for (const candidate of unanswered) {
      if (accepts?.(candidate.document.bytes, candidate.document.start) === false)
        objections.set(candidate, REFUSED);
    }
    return objections;
  };
}

/** For documents that the server cannot be asked about; undefined where our query engine does not know an operator. */
function localValidator(validator: Buffer): Matcher | undefined {
  const matches = localMatcher(validator);
  // A document that an expression has no answer for is left to the server to judge when it is inserted.
  return matches && ((bytes, start) => unlessUnanswerable(() => matches(bytes, start)) ?? true);
}

/** The collection's default collation, raw; undefined = simple. */
export function collationOf(collection: TargetCollection): Buffer | undefined {
  return innerDocument(collection.options, 'collation');
}

function textOption(collection: TargetCollection, name: string): string | undefined {
  const value = findElement(collection.options, 0, Buffer.from(name));
  return value?.type === BSON.STRING
    ? value.bytes.toString('utf8', value.start + 4, value.end - 1)
    : undefined;
}
