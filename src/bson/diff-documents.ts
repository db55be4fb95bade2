/**
 * Field-level differences of two raw documents, by bytes: 1 and 1.0 differ, and so does another order of fields.
 */
import { sameBytes } from './compare-values.ts';
import { cstringEnd, elements, valueEnd } from './elements.ts';
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

/** The first `most` differences, in the order of the left document, then what only the right one has; and how many there are. 0 = the same bytes. */
export function diffDocuments(left: RawValue, right: RawValue, most: number): Differences {
  const differences = new Differences(most);
  collect({ left, right, path: '' }, differences);
  return differences;
}

/** Two documents may differ in a million fields, of which nobody reads more than a few. */
export class Differences {
  readonly first: ValueDifference[] = [];
  total = 0;
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  add(difference: ValueDifference): void {
    if (this.total++ < this.#most) this.first.push(difference);
  }
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

function collect({ left, right, path }: Pair, found: Differences): void {
  if (sameBytes(left, right)) return;
  const nested = left.type === right.type && (left.type === BSON.OBJECT || left.type === BSON.ARRAY);
  const leftFields = nested ? fieldsOf(left) : undefined;
  const rightFields = nested ? fieldsOf(right) : undefined;
  if (leftFields === undefined || rightFields === undefined) {
    found.add({ path, kind: 'changed', left, right });
    return;
  }
  const before = found.total;
  for (const [key, at] of leftFields) {
    const value = valueAt(left, at);
    const other = rightFields.get(key);
    if (other === undefined)
      found.add({ path: join(path, key), kind: 'onlyLeft', left: value, right: undefined });
    else collect({ left: value, right: valueAt(right, other), path: join(path, key) }, found);
  }
  for (const [key, at] of rightFields) {
    if (!leftFields.has(key)) {
      found.add({ path: join(path, key), kind: 'onlyRight', left: undefined, right: valueAt(right, at) });
    }
  }
  if (found.total === before) found.add({ path, kind: 'order', left, right });
}

/**
 * Where the elements of a document lie, by the exact bytes of their keys; undefined when a key comes twice, which a path cannot tell
 * apart. Offsets, since a value for each of a million fields would take as much memory as the whole program.
 */
function fieldsOf(value: RawValue): Map<string, number> | undefined {
  const fields = new Map<string, number>();
  for (const { at, keyStart, start } of elements(value.bytes, value.start)) {
    const key = value.bytes.toString('latin1', keyStart, start - 1);
    if (fields.has(key)) return undefined;
    fields.set(key, at);
  }
  return fields;
}

/** The value of the element at `at`, of a document whose elements were walked before. */
function valueAt({ bytes, end }: RawValue, at: number): RawValue {
  const type = bytes[at] as number;
  const start = cstringEnd(bytes, at + 1, end);
  return { bytes, type, start, end: valueEnd(bytes, type, start, end) };
}

function join(path: string, latin1Key: string): string {
  const key = Buffer.from(latin1Key, 'latin1').toString();
  return path === '' ? key : `${path}.${key}`;
}
