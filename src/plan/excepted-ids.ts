/**
 * The `_id`s that an exception of a plan names: Extended JSON, or a value in the shell's syntax as a text. Unlike in a query every
 * value here is an `_id`, so 24 hexadecimal digits are an ObjectId, as in a file of ids.
 */
import { elements } from '../bson/elements.ts';
import type { RawValue } from '../bson/types.ts';
import { parseQuery } from '../query/parse-query.ts';
import { QueryFault } from '../query/query-fault.ts';
import { faultAt, type PlanFault, whereIs } from './fault.ts';
import { IdList, objectIdOf, standsForNoId } from './id-list.ts';
import { headOf, holdsUnjudged, itemsAt, nodeAt, orderedValue, type PlanNode, shown } from './nodes.ts';

export interface ExceptedIds {
  readonly list: IdList;
  readonly faults: readonly PlanFault[];
}

/** `entry`: an exception with `ids`. Ids with a variable that is not set are passed over. */
export function exceptedIds(entry: PlanNode): ExceptedIds {
  const list = new IdList('', whereIs((nodeAt(entry, 'ids') ?? entry).place));
  const faults: PlanFault[] = [];
  for (const [i, item] of itemsAt(entry, 'ids').entries()) {
    if (holdsUnjudged(item)) continue;
    const value = readId(item);
    if ('fault' in value) faults.push(value.fault);
    else list.add(value, i + 1);
  }
  return { list, faults };
}

/** `ObjectId("…")`, `new UUID("…")`, `"text"`: a value in the shell's syntax. Everything else is text as it stands. */
const SHELL_VALUE = /^(?:(?:new )?[A-Za-z][\w.]*\(.*\)|"[^"\\]*"|'[^'\\]*')$/s;

const EXPECTED = 'an _id, such as 57d17993a09a6759d8000d9e, { $uuid: … } or 5';

function readId(item: PlanNode): RawValue | { readonly fault: PlanFault } {
  const refused = (message: string, expected = EXPECTED) => ({
    fault: faultAt(headOf(item), 'value', { message, expected }),
  });
  const written = orderedValue(item);
  const id = typeof written === 'string' ? objectIdOf(written.trim()) : undefined;
  if (id !== undefined) return id;
  const isShell = typeof written === 'string' && SHELL_VALUE.test(written.trim());
  try {
    const document = parseQuery(isShell ? `{ _id: ${written.trim()} }` : new Map([['_id', written]]));
    const [value] = elements(document, 0);
    return value === undefined || standsForNoId(value)
      ? refused(`${shown(item)} is no value that an _id has`)
      : value;
  } catch (error) {
    if (!(error instanceof QueryFault)) throw error;
    const asText = isShell ? `, or '"…"' around what is a text` : '';
    return refused(`${shown(item)} is no id: ${error.message}`, `${EXPECTED}${asText}`);
  }
}
