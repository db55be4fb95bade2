/**
 * Field-level differences of raw documents, by bytes: 1 and 1.0 differ, and so does another order of fields.
 */
import { sameBytes } from './compare-values.ts';
import { cstringEnd, elements, keyOf, type RawElement, valueEnd } from './elements.ts';
import { hashBytes } from './flat-sets.ts';
import { BSON, type RawValue } from './types.ts';

export interface ValueDifference {
  /** Dotted path; empty for the document itself. */
  readonly path: string;
  /** What each document has there, in the order in which they were given; undefined: nothing. */
  readonly values: readonly (RawValue | undefined)[];
  /** The same fields stand in another order; the values are then the whole documents. */
  readonly isOrder: boolean;
}

/**
 * The first `most` differences of two documents or more, in the order of the first one, then what only later ones have; and how many there are. 0 =
 * the same bytes.
 */
export function diffDocuments(documents: readonly RawValue[], most: number): Differences {
  const differences = new Differences(most);
  collect(documents, '', differences);
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

/** `values`: of the documents, which all have one at the path. */
function collect(values: readonly RawValue[], path: string, found: Differences): void {
  const [first, ...others] = values as readonly [RawValue, ...RawValue[]];
  if (others.every((other) => sameBytes(first, other))) return;
  const isNested =
    (first.type === BSON.OBJECT || first.type === BSON.ARRAY) &&
    others.every(({ type }) => type === first.type);
  const tables = isNested ? tablesOf(values) : undefined;
  if (tables === undefined) {
    found.add({ path, values, isOrder: false });
    return;
  }
  const before = found.total;
  for (const [turn, value] of values.entries()) {
    for (const field of elements(value.bytes, value.start)) {
      // It was met in one of those before.
      if (tables.some((table, i) => i < turn && table.find(field) !== undefined)) continue;
      const there = tables.map((table, i) => {
        if (i === turn) return field;
        const at = table.find(field);
        return at === undefined ? undefined : valueAt(values[i] as RawValue, at);
      });
      const own = join(path, field);
      if (there.every((each) => each !== undefined)) collect(there, own, found);
      else found.add({ path: own, values: there, isOrder: false });
    }
  }
  if (found.total === before) found.add({ path, values, isOrder: true });
}

/** Undefined when in one of them a key comes twice, which a path cannot tell apart. */
function tablesOf(values: readonly RawValue[]): FieldTable[] | undefined {
  const tables = values.map((value) => FieldTable.of(value));
  return tables.every((table) => table !== undefined) ? tables : undefined;
}

/**
 * Where the elements of a document lie, by the exact bytes of their keys. Eight bytes for each: a million fields with their names would
 * take as much memory as the whole program.
 */
class FieldTable {
  readonly #bytes: Buffer;
  /** Offsets of elements; 0 = free. At most half full. */
  readonly #offsets: Int32Array;

  private constructor({ bytes, start }: RawValue) {
    let count = 0;
    for (const _ of elements(bytes, start)) count++;
    this.#bytes = bytes;
    this.#offsets = new Int32Array(1 << Math.ceil(Math.log2(2 * count + 2)));
  }

  /** Undefined when a key comes twice, which a path cannot tell apart. */
  static of(value: RawValue): FieldTable | undefined {
    const table = new FieldTable(value);
    for (const field of elements(value.bytes, value.start)) {
      const slot = table.#slotOf(field);
      if (table.#offsets[slot] !== 0) return undefined;
      table.#offsets[slot] = field.at;
    }
    return table;
  }

  /** Offset of the element with the key of `field`, which may be another document's. */
  find(field: RawElement): number | undefined {
    return this.#offsets[this.#slotOf(field)] || undefined;
  }

  #slotOf({ bytes, keyStart, start }: RawElement): number {
    const mask = this.#offsets.length - 1;
    // With the NUL behind it: a key that only begins the same is another one.
    let slot = hashBytes(bytes, { start: keyStart, end: start }, 0) & mask;
    for (;;) {
      const at = this.#offsets[slot] as number;
      if (at === 0) return slot;
      const end = at + 1 + start - keyStart;
      const isSame =
        end <= this.#bytes.length && bytes.compare(this.#bytes, at + 1, end, keyStart, start) === 0;
      if (isSame) return slot;
      slot = (slot + 1) & mask;
    }
  }
}

/** The value of the element at `at`, of a document whose elements were walked before. */
function valueAt({ bytes, end }: RawValue, at: number): RawValue {
  const type = bytes[at] as number;
  const start = cstringEnd(bytes, at + 1, end);
  return { bytes, type, start, end: valueEnd(bytes, type, start, end) };
}

function join(path: string, field: RawElement): string {
  const key = keyOf(field);
  return path === '' ? key : `${path}.${key}`;
}
