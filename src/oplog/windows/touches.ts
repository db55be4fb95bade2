/**
 * Whether an update changes certain fields: one of them, something above or something below it. Positions in arrays may be named in a path
 * or left out.
 */
import { sameBytes } from '../../bson/compare-values.ts';
import { elements, findElement, keyOf } from '../../bson/elements.ts';
import { BSON } from '../../bson/types.ts';

const DIFF = Buffer.from('diff');

/** What is still to be met of each path, from a level of the document on. */
type Paths = readonly (readonly string[])[];

/** The update, the document at `at`, is a diff or modifiers; a replacement does not say what it changes. */
export function touches(update: Buffer, at: number, paths: Paths): boolean {
  const diff = findElement(update, at, DIFF);
  if (diff?.type === BSON.OBJECT) return inDiff(update, diff.start, paths);
  for (const modifier of elements(update, at)) {
    if (modifier.type !== BSON.OBJECT) continue;
    for (const field of elements(update, modifier.start)) {
      const names = keyOf(field).split('.');
      if (paths.some((path) => meet(names, path))) return true;
    }
  }
  return false;
}

/** Whether two forms of a document differ in a field, in what lies above it where it has no fields, or in what lies below it. */
export function differAt(a: Buffer, b: Buffer, path: readonly string[]): boolean {
  let [inA, inB] = [0, 0];
  for (const [depth, name] of path.entries()) {
    const one = findElement(a, inA, Buffer.from(name));
    const other = findElement(b, inB, Buffer.from(name));
    if (one === undefined || other === undefined) return one !== other;
    const isEnd = depth === path.length - 1 || one.type !== BSON.OBJECT || other.type !== BSON.OBJECT;
    if (isEnd) return !sameBytes(one, other);
    inA = one.start;
    inB = other.start;
  }
  return false;
}

/** One leads to the other, or along it, where names that may be positions in an array can be left out of either. */
function meet(a: readonly string[], b: readonly string[]): boolean {
  const [first, ...others] = a;
  const [second, ...rest] = b;
  if (first === undefined || second === undefined) return true;
  if (first === second && meet(others, rest)) return true;
  return (isPosition(first) && meet(others, b)) || (isPosition(second) && meet(a, rest));
}

const isPosition = (name: string): boolean => /^\d+$/.test(name);

function inDiff(bytes: Buffer, start: number, paths: Paths): boolean {
  let isFirst = true;
  let isArray = false;
  for (const section of elements(bytes, start)) {
    const key = keyOf(section);
    if (isFirst && key === 'a' && section.type === BSON.BOOL) isArray = true;
    else if (isArray) {
      if (inArray(bytes, section, { key, paths })) return true;
    } else if (key.startsWith('s')) {
      if (below(bytes, section.start, ofName(paths, key.slice(1)))) return true;
    } else if (section.type === BSON.OBJECT) {
      for (const field of elements(bytes, section.start))
        if (ofName(paths, keyOf(field)).length > 0) return true;
    }
    isFirst = false;
  }
  return false;
}

/** A part of an array's diff: its length, an element set, or one that is changed within. */
function inArray(
  bytes: Buffer,
  section: { readonly type: number; readonly start: number },
  { key, paths }: { readonly key: string; readonly paths: Paths },
): boolean {
  const position = key.slice(1);
  if (key === 'l') return true;
  const named = paths.filter(([name]) => name === undefined || !isPosition(name) || name === position);
  if (!key.startsWith('s') || section.type !== BSON.OBJECT) return named.length > 0;
  return below(
    bytes,
    section.start,
    named.map((path) => (path[0] === position ? path.slice(1) : path)),
  );
}

function below(bytes: Buffer, start: number, paths: Paths): boolean {
  return paths.some((path) => path.length === 0) || (paths.length > 0 && inDiff(bytes, start, paths));
}

/** What is left of the paths that begin with a name. */
function ofName(paths: Paths, name: string): Paths {
  return paths.filter(([first]) => first === name).map((path) => path.slice(1));
}
