/**
 * Field-level differences of two raw documents, by bytes: 1 and 1.0 differ, and so does another order of fields.
 */
import { sameBytes } from './compare-values.ts';
import { elements, type RawElement } from './elements.ts';
import { BSON, type RawValue } from './types.ts';

export interface ValueDifference {
  /** Dotted path; empty for the document itself. */
  readonly path: string;
  /**
   * changed: both sides have the field. onlyLeft, onlyRight: one side has it. order: the same fields in another order; the
   * values are then the whole documents.
   */
  readonly kind: 'changed' | 'onlyLeft' | 'onlyRight' | 'order';
  readonly left: RawValue | undefined;
  readonly right: RawValue | undefined;
}

/** All differences, in the order of the left document, then what only the right one has. Empty = the same bytes. */
export function diffDocuments(left: RawValue, right: RawValue): ValueDifference[] {
  const differences: ValueDifference[] = [];
  collect({ left, right, path: '' }, differences);
  return differences;
}

/** The document at `start` as a value, as `diffDocuments` takes it. */
export function documentValue(bytes: Buffer, start = 0): RawValue {
  return { bytes, type: BSON.OBJECT, start, end: start + bytes.readInt32LE(start) };
}

interface Pair {
  readonly left: RawValue;
  readonly right: RawValue;
  readonly path: string;
}

function collect({ left, right, path }: Pair, found: ValueDifference[]): void {
  if (sameBytes(left, right)) return;
  const nested = left.type === right.type && (left.type === BSON.OBJECT || left.type === BSON.ARRAY);
  const leftFields = nested ? fieldsOf(left) : undefined;
  const rightFields = nested ? fieldsOf(right) : undefined;
  if (leftFields === undefined || rightFields === undefined) {
    found.push({ path, kind: 'changed', left, right });
    return;
  }
  const before = found.length;
  for (const [key, value] of leftFields) {
    const other = rightFields.get(key);
    if (other === undefined)
      found.push({ path: join(path, key), kind: 'onlyLeft', left: value, right: undefined });
    else collect({ left: value, right: other, path: join(path, key) }, found);
  }
  for (const [key, value] of rightFields) {
    if (!leftFields.has(key)) {
      found.push({ path: join(path, key), kind: 'onlyRight', left: undefined, right: value });
    }
  }
  if (found.length === before) found.push({ path, kind: 'order', left, right });
}

/** Fields by the exact bytes of their keys; undefined when a key comes twice, which a path cannot tell apart. */
function fieldsOf(value: RawValue): Map<string, RawElement> | undefined {
  const fields = new Map<string, RawElement>();
  for (const element of elements(value.bytes, value.start)) {
    const key = value.bytes.toString('latin1', element.keyStart, element.start - 1);
    if (fields.has(key)) return undefined;
    fields.set(key, element);
  }
  return fields;
}

function join(path: string, latin1Key: string): string {
  const key = Buffer.from(latin1Key, 'latin1').toString();
  return path === '' ? key : `${path}.${key}`;
}
