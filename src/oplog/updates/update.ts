/** What kind an update (`op: u`) is, and what it makes of a document. */
import { findId } from '../../bson/documents.ts';
import { findElement, valueEnd } from '../../bson/elements.ts';
import { BSON } from '../../bson/types.ts';
import { CannotRoll, NEWER_SERVER, OplogFault } from '../faults.ts';
import { applyDiff } from './diff.ts';
import type { DocumentWriter } from './document-writer.ts';

/** whole: the entry holds the document as it was then. diff, modifiers: what changed in it. */
export type UpdateKind = 'whole' | 'diff' | 'modifiers';

const VERSION_KEY = Buffer.from('$v');
const DIFF_KEY = Buffer.from('diff');

/**
 * Tells by the update, the document at `at`. A top-level `_id` is looked for first: since 5.0 a document may have a field of its own that is
 * named `$v`. Throws OplogFault for a kind that is not known here.
 */
export function updateKind(update: Buffer, at: number): UpdateKind {
  if (findId(update, at) !== undefined) return 'whole';
  const version = findElement(update, at, VERSION_KEY);
  if (version === undefined) return 'modifiers';
  const number =
    version.type === BSON.INT32
      ? update.readInt32LE(version.start)
      : version.type === BSON.INT64
        ? Number(update.readBigInt64LE(version.start))
        : version.type === BSON.DOUBLE
          ? update.readDoubleLE(version.start)
          : Number.NaN;
  if (number === 1) return 'modifiers';
  if (number === 2 && findElement(update, at, DIFF_KEY)?.type === BSON.OBJECT) return 'diff';
  throw new OplogFault('its update is of a kind ($v) that is not known here', NEWER_SERVER);
}

/** Writes what the update makes of the document at `start`. Throws CannotRoll or OplogFault. */
export function applyUpdate(
  document: Buffer,
  start: number,
  update: Buffer,
  at: number,
  writer: DocumentWriter,
): void {
  if (updateKind(update, at) === 'modifiers') {
    applyModifiers(document, start, update, at, writer);
    return;
  }
  const diff = findElement(update, at, DIFF_KEY);
  if (diff === undefined) throw new CannotRoll('an update holds no diff');
  applyDiff(document, start, update, diff.start, writer);
}

// A `$v: 1` update: `$set` and `$unset` with dotted paths; servers up to 4.4. Both together are one tree of paths. What is there changes in
// place; what is missing is appended in the tree's order, which is that of the names' bytes. A path that leads through a value that can have no
// fields is passed over, as a server does when it follows an oplog.

/** As far as a server fills an array with nulls up to a position. */
const MOST_PADDING = 1_500_000;

interface Value {
  readonly type: number;
  readonly start: number;
  readonly end: number;
}

/** A part of a path. Exactly one of: the value it is set to, the end of a path that is removed, parts below it. */
interface Part {
  /** Names are bytes, one character each. */
  readonly below: Map<string, Part>;
  set: Value | undefined;
  unset: boolean;
}

/** Writes what the modifiers, the document at `at` of `update`, make of the document at `start`. */
export function applyModifiers(
  document: Buffer,
  start: number,
  update: Buffer,
  at: number,
  writer: DocumentWriter,
): void {
  new Modifiers(document, update, writer).apply(start, at);
}

class Modifiers {
  readonly #old: Buffer;
  readonly #update: Buffer;
  readonly #writer: DocumentWriter;

  constructor(old: Buffer, update: Buffer, writer: DocumentWriter) {
    this.#old = old;
    this.#update = update;
    this.#writer = writer;
  }

  apply(start: number, at: number): void {
    this.#changeObject(start, this.#tree(at));
  }

  #tree(at: number): Part {
    const root = emptyPart();
    for (const { key, type, start } of elementsIn(this.#update, at)) {
      if (key === '$v') continue;
      if ((key !== '$set' && key !== '$unset') || type !== BSON.OBJECT)
        throw new OplogFault(
          `its update has a modifier ${JSON.stringify(key)} that is not known here`,
          NEWER_SERVER,
        );
      for (const { key: path, ...value } of elementsIn(this.#update, start)) {
        const part = path.split('.').reduce(partBelow, root);
        if (part.below.size > 0 || part.set !== undefined || part.unset) throw pathTwice(path);
        if (key === '$set') part.set = value;
        else part.unset = true;
      }
    }
    return root;
  }

  #changeObject(start: number, part: Part): void {
    const old = this.#old;
    const writer = this.#writer;
    const begin = writer.begin();
    const seen = new Set<string>();
    for (const { key, at, type, start: value, end } of elementsIn(old, start)) {
      const below = part.below.get(key);
      if (below === undefined) {
        writer.copy(old, at, end);
        continue;
      }
      if (seen.has(key)) throw new CannotRoll(`it has two fields of the name ${nameText(key)}`);
      seen.add(key);
      if (below.unset) continue;
      writer.byte(below.set?.type ?? type);
      writer.copy(old, at + 1, value);
      this.#changeValue({ type, start: value, end }, below);
    }
    this.#appendMissing(part, seen);
    writer.end(begin);
  }

  /** Writes the new value of something that is there. */
  #changeValue(value: Value, { set, below }: Part): void {
    const writer = this.#writer;
    if (set !== undefined) writer.copy(this.#update, set.start, set.end);
    else if (value.type === BSON.OBJECT)
      this.#changeObject(value.start, { below, set: undefined, unset: false });
    else if (value.type === BSON.ARRAY) this.#changeArray(value.start, below);
    else writer.copy(this.#old, value.start, value.end);
  }

  /** Appends the fields that the object lacks; also all fields of an object that is made for them. */
  #appendMissing(part: Part, seen: ReadonlySet<string>): void {
    const writer = this.#writer;
    const missing = [...part.below].filter(([key, below]) => !seen.has(key) && setsAnything(below));
    // Servers before 5.0 go by bytes, later ones take "10" to come after "9": only with two such names does it matter.
    if (missing.filter(([key]) => /\d/.test(key)).length > 1)
      throw new CannotRoll(
        'an update adds two fields with numbers in their names at once, whose order is not known',
      );
    for (const [key, below] of missing.sort(byBytes)) {
      writer.byte(below.set?.type ?? BSON.OBJECT);
      this.#name(key);
      this.#newValue(below);
    }
  }

  #newValue(part: Part): void {
    const { set } = part;
    const writer = this.#writer;
    if (set !== undefined) {
      writer.copy(this.#update, set.start, set.end);
      return;
    }
    const begin = writer.begin();
    this.#appendMissing(part, new Set());
    writer.end(begin);
  }

  #changeArray(start: number, below: ReadonlyMap<string, Part>): void {
    const writer = this.#writer;
    // Names that are no positions lead nowhere in an array.
    const positions = new Map<number, Part>();
    for (const [key, part] of below) {
      if (!/^\d+$/.test(key)) continue;
      if (!/^(0|[1-9]\d{0,8})$/.test(key))
        throw new CannotRoll(`an update names the array position ${nameText(key)}`);
      positions.set(Number(key), part);
    }
    const begin = writer.begin();
    let index = 0;
    for (const { key, at, type, start: value, end } of elementsIn(this.#old, start)) {
      if (positions.size > 0 && key !== String(index))
        throw new CannotRoll('it has an array whose keys are not 0, 1, 2 …');
      const part = positions.get(index);
      if (part === undefined) writer.copy(this.#old, at, end);
      else this.#changePosition(index, { type, start: value, end }, part);
      index++;
    }
    for (const [position, part] of [...positions].sort(([a], [b]) => a - b)) {
      if (position < index || !setsAnything(part)) continue;
      if (position - index > MOST_PADDING)
        throw new CannotRoll('an update fills an array further than a server does');
      for (; index < position; index++) writer.position(BSON.NULL, index);
      writer.position(part.set?.type ?? BSON.OBJECT, index++);
      this.#newValue(part);
    }
    writer.end(begin);
  }

  #changePosition(index: number, value: Value, part: Part): void {
    if (part.unset) {
      this.#writer.position(BSON.NULL, index);
      return;
    }
    this.#writer.position(part.set?.type ?? value.type, index);
    this.#changeValue(value, part);
  }

  #name(key: string): void {
    const bytes = Buffer.from(`${key}\0`, 'latin1');
    this.#writer.copy(bytes, 0, bytes.length);
  }
}

function emptyPart(): Part {
  return { below: new Map(), set: undefined, unset: false };
}

function partBelow(part: Part, name: string, _: number, path: readonly string[]): Part {
  if (part.set !== undefined || part.unset) throw pathTwice(path.join('.'));
  const there = part.below.get(name);
  if (there !== undefined) return there;
  const made = emptyPart();
  part.below.set(name, made);
  return made;
}

function setsAnything(part: Part): boolean {
  return part.set !== undefined || [...part.below.values()].some(setsAnything);
}

function pathTwice(path: string): Error {
  return new OplogFault(`its update names the path ${nameText(path)} twice`);
}

/** Code units of such names are bytes. */
function byBytes([a]: readonly [string, Part], [b]: readonly [string, Part]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function nameText(key: string): string {
  return JSON.stringify(Buffer.from(key, 'latin1').toString('utf8'));
}

/** The elements of a document; keys as bytes, one character each. Old updates are rare enough for an object per element. */
function* elementsIn(
  bytes: Buffer,
  start: number,
): Generator<Value & { readonly key: string; readonly at: number }> {
  const last = start + bytes.readInt32LE(start) - 1;
  let at = start + 4;
  while (at < last) {
    const type = bytes[at] as number;
    let value = at + 1;
    while (bytes[value] !== 0) value++;
    const key = bytes.toString('latin1', at + 1, value);
    value++;
    const end = valueEnd(bytes, type, value, last);
    yield { key, at, type, start: value, end };
    at = end;
  }
}
