/**
 * Reads a query as people write it into raw BSON.
 *
 * Two forms: the YAML value itself (nested Maps, arrays and scalars, Extended JSON inside), or a string in the shell's
 * syntax. Either way nothing is reordered, rounded or run.
 */
import { ExtendedJsonFault } from '../bson/extended-json.ts';
import { writeExtendedJson } from '../bson/write-extended-json.ts';
import { QueryFault } from './query-fault.ts';
import { readShellQuery } from './shell-query.ts';

/** Raw BSON query document; throws QueryFault. `collection`: a command of the shell must ask this one. */
export function parseQuery(value: unknown, collection?: string): Buffer {
  const tree = typeof value === 'string' ? readShellQuery(value, collection) : value;
  try {
    return writeExtendedJson(tree, { dialect: 'query' });
  } catch (cause) {
    if (cause instanceof ExtendedJsonFault) throw new QueryFault(cause.message, cause.path, { cause });
    throw cause;
  }
}
