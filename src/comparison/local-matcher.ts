/** Our own query engine in the place of the server's, as far as it goes. */
import { compileQuery, type Matcher } from '../query/compile-query.ts';
import { QueryFault } from '../query/query-fault.ts';

/** Undefined where it does not know an operator. */
export function localMatcher(query: Buffer): Matcher | undefined {
  return unlessUnanswerable(() => compileQuery(query));
}

/** Undefined for a document that an expression has no answer for. */
export function unlessUnanswerable<Answer>(ask: () => Answer): Answer | undefined {
  try {
    return ask();
  } catch (error) {
    if (error instanceof QueryFault) return undefined;
    throw error;
  }
}
