/** Makes a document and a query smaller while a property (the two answers differ) still holds. */
import { type JsonValue, RepeatedKeys } from '../../src/bson/extended-json.ts';

export interface Example {
  readonly document: JsonValue;
  readonly query: JsonValue;
}

/** Tries smaller forms until none of them fails any more. Each try may ask a server, so the result is small, not smallest. */
export async function shrink(
  example: Example,
  stillFails: (smaller: Example) => Promise<boolean>,
): Promise<Example> {
  let smallest = example;
  for (let progress = true; progress; ) {
    progress = false;
    for (const smaller of candidates(smallest)) {
      if (!(await stillFails(smaller))) continue;
      smallest = smaller;
      progress = true;
      break;
    }
  }
  return smallest;
}

function* candidates({ document, query }: Example): Generator<Example> {
  for (const smaller of smallerForms(query)) yield { document, query: smaller };
  for (const smaller of smallerForms(document)) yield { document: smaller, query };
}

/** A value with one part left out, one part put in its place, or one part smaller. */
function* smallerForms(value: JsonValue): Generator<JsonValue> {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      yield value.filter((_, other) => other !== index);
      for (const smaller of [...inner(item), ...smallerForms(item)]) yield value.with(index, smaller);
    }
  } else if (value instanceof Map || value instanceof RepeatedKeys) {
    const entries = [...value];
    for (const [index, [key, item]] of entries.entries()) {
      if (key === '_id') continue;
      yield new RepeatedKeys(entries.filter((_, other) => other !== index));
      for (const smaller of [...inner(item), ...smallerForms(item)]) {
        yield new RepeatedKeys(entries.with(index, [key, smaller]));
      }
    }
  } else if (typeof value === 'string' && value.length > 1) {
    for (let at = 0; at < value.length; at++) yield value.slice(0, at) + value.slice(at + 1);
  }
}

/** The parts of a value, any of which may stand in its place. */
function inner(value: JsonValue): JsonValue[] {
  if (Array.isArray(value)) return [...value];
  if (value instanceof Map || value instanceof RepeatedKeys) return [...value].map(([, item]) => item);
  return [];
}
