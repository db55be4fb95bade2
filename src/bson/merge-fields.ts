/**
 * Single fields of a document, and how they are put into another one, in raw bytes: nothing else of it changes, and nothing is decoded.
 *
 * A field is a dotted path through documents. Names may repeat in BSON: a field is then every element of that name, and the way to it
 * leads through the first of its parents' name, as a server's does. An array on the way has no fields.
 */
import { DocumentBuilder } from './document-builder.ts';
import { elements, keyOf, type RawElement } from './elements.ts';
import { BSON } from './types.ts';

/** By name: what lies below, or `undefined` for a field itself. */
interface Names extends ReadonlyMap<string, Names | undefined> {}

export class MergeFields {
  /** Sorted. */
  readonly paths: readonly string[];
  readonly #names: Names;

  /** `paths`: dotted, none of them the beginning of another. */
  constructor(paths: readonly string[]) {
    this.paths = [...paths].sort();
    this.#names = namesOf(this.paths.map((path) => path.split('.')));
  }

  /**
   * The fields alone, as one document: under their whole paths, in the order of `paths`; what the document lacks is not in it. Two
   * documents hold the same fields if these are the same bytes.
   */
  image(document: Buffer, start = 0): Buffer {
    const found = new Map<string, RawElement[]>();
    collect(document, { start, names: this.#names, before: '' }, found);
    const builder = new DocumentBuilder();
    const begun = builder.beginDocument();
    for (const path of this.paths) {
      for (const { type, bytes, start: from, end } of found.get(path) ?? []) {
        builder.element(type, path);
        builder.raw(bytes.subarray(from, end));
      }
    }
    builder.endDocument(begun);
    return builder.finish();
  }

  areSame(a: Buffer, b: Buffer): boolean {
    return this.image(a).equals(this.image(b));
  }

  /**
   * Whether `document` holds the fields as `source` does. Fields within an array are none: a plan that names one is to hear that, and not
   * that all is as in the backup, unless the whole array is.
   */
  holds(document: Buffer, source: Buffer): boolean {
    if (!this.areSame(document, source)) return false;
    const arrays = arraysOnTheWay(source, this.#names);
    if (arrays.size === 0) return true;
    const others = arraysOnTheWay(document, this.#names);
    return [...arrays].every(([path, array]) => others.get(path)?.equals(array) === true);
  }

  /**
   * `document` with the fields of `source`: each where it stands, what it lacks after its other fields, in the order of `source`. A
   * field that `source` lacks is taken out, and its parents stay; a parent that `document` lacks is made where something is to be in it.
   */
  merged(document: Buffer, source: Buffer): Buffer {
    const builder = new DocumentBuilder();
    const begun = builder.beginDocument();
    merge(builder, { document, at: 0 }, { source, at: 0, names: this.#names });
    builder.endDocument(begun);
    return builder.finish();
  }

  /** Why the fields of `source` cannot be put into `document`: something on the way to one of them is no document. */
  refusal(document: Buffer, source: Buffer): string | undefined {
    const inSource = wrongParent(source, this.#names, '');
    if (inSource !== undefined) return `its ${inSource} is not a document in the backup, and holds no fields`;
    const inDocument = wrongParent(document, this.#names, '');
    if (inDocument === undefined) return undefined;
    const found = new Map<string, RawElement[]>();
    collect(source, { start: 0, names: this.#names, before: '' }, found);
    const isNeeded = [...found.keys()].some((path) => path.startsWith(`${inDocument}.`));
    return isNeeded ? `its ${inDocument} is not a document in the target, and can hold no fields` : undefined;
  }
}

function namesOf(paths: readonly (readonly string[])[]): Names {
  const below = new Map<string, (readonly string[])[]>();
  for (const [first = '', ...rest] of paths) below.set(first, [...(below.get(first) ?? []), rest]);
  return new Map(
    [...below].map(([name, rests]) => [
      name,
      rests.some(({ length }) => length === 0) ? undefined : namesOf(rests),
    ]),
  );
}

interface Level {
  readonly start: number;
  readonly names: Names;
  /** Path of what is gone through, with a dot behind it. */
  readonly before: string;
}

function collect(document: Buffer, { start, names, before }: Level, found: Map<string, RawElement[]>): void {
  const entered = new Set<string>();
  for (const element of elements(document, start)) {
    const name = keyOf(element);
    if (!names.has(name)) continue;
    const below = names.get(name);
    const path = before + name;
    if (below === undefined) found.set(path, [...(found.get(path) ?? []), element]);
    else if (!entered.has(name)) {
      entered.add(name);
      if (element.type === BSON.OBJECT)
        collect(document, { start: element.start, names: below, before: `${path}.` }, found);
    }
  }
}

/** Path of the first parent of fields that is there and is no document. */
function wrongParent(document: Buffer, names: Names, before: string, start = 0): string | undefined {
  const entered = new Set<string>();
  for (const element of elements(document, start)) {
    const name = keyOf(element);
    const below = names.get(name);
    if (below === undefined || entered.has(name)) continue;
    entered.add(name);
    if (element.type !== BSON.OBJECT) return before + name;
    const deeper = wrongParent(document, below, `${before}${name}.`, element.start);
    if (deeper !== undefined) return deeper;
  }
  return undefined;
}

/** By path, the bytes of each array in the place of a parent of fields. */
function arraysOnTheWay(document: Buffer, names: Names, before = '', start = 0): Map<string, Buffer> {
  const found = new Map<string, Buffer>();
  for (const element of elements(document, start)) {
    const name = keyOf(element);
    const below = names.get(name);
    if (below === undefined) continue;
    if (element.type === BSON.ARRAY) found.set(before + name, document.subarray(element.start, element.end));
    if (element.type !== BSON.OBJECT) continue;
    for (const each of arraysOnTheWay(document, below, `${before}${name}.`, element.start))
      found.set(...each);
  }
  return found;
}

interface Into {
  readonly document: Buffer;
  /** Where the document, or the embedded one, begins. */
  readonly at: number;
}

interface From {
  readonly source: Buffer;
  /** Undefined: it has none of these fields. */
  readonly at: number | undefined;
  readonly names: Names;
}

/** Writes the elements of one level. */
function merge(builder: DocumentBuilder, { document, at }: Into, { source, at: from, names }: From): void {
  /** Elements of the source by name, in its order, those that are not written yet. */
  const open = new Map<string, RawElement[]>();
  if (from !== undefined) {
    for (const element of elements(source, from)) {
      const name = keyOf(element);
      if (names.has(name)) open.set(name, [...(open.get(name) ?? []), element]);
    }
  }
  const all = [...elements(document, at)];
  const last = new Map<string, RawElement>(all.map((element) => [keyOf(element), element]));
  const entered = new Set<string>();
  for (const element of all) {
    const name = keyOf(element);
    const below = names.get(name);
    if (!names.has(name) || (below !== undefined && entered.has(name))) {
      builder.raw(document.subarray(element.at, element.end));
    } else if (below === undefined) {
      const values = open.get(name) ?? [];
      const next = element === last.get(name) ? values.splice(0) : values.splice(0, 1);
      for (const value of next) builder.raw(source.subarray(value.at, value.end));
    } else {
      entered.add(name);
      const [inSource] = open.get(name) ?? [];
      open.delete(name);
      if (element.type === BSON.OBJECT) {
        builder.element(BSON.OBJECT, name);
        const inner = builder.beginDocument();
        const innerFrom = inSource?.type === BSON.OBJECT ? inSource.start : undefined;
        merge(builder, { document, at: element.start }, { source, at: innerFrom, names: below });
        builder.endDocument(inner);
      } else builder.raw(document.subarray(element.at, element.end));
    }
  }
  for (const [name, [first, ...more]] of open) append(builder, { source, names, name }, first, more);
}

/** What the document lacks. */
function append(
  builder: DocumentBuilder,
  { source, names, name }: { readonly source: Buffer; readonly names: Names; readonly name: string },
  first: RawElement | undefined,
  more: readonly RawElement[],
): void {
  if (first === undefined) return;
  const below = names.get(name);
  if (below === undefined) {
    for (const { at, end } of [first, ...more]) builder.raw(source.subarray(at, end));
    return;
  }
  if (first.type !== BSON.OBJECT) return;
  const found = new Map<string, RawElement[]>();
  collect(source, { start: first.start, names: below, before: '' }, found);
  if (found.size === 0) return;
  builder.element(BSON.OBJECT, name);
  const inner = builder.beginDocument();
  merge(builder, { document: EMPTY, at: 0 }, { source, at: first.start, names: below });
  builder.endDocument(inner);
}

const EMPTY = Buffer.from([5, 0, 0, 0, 0]);
