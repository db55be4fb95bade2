/**
 * Applies a `$v: 2` diff (servers from 5.0 on) to a raw document and gives the server's bytes: nothing is decoded, so every value keeps
 * its type and form.
 *
 * A document diff has the sections `d` (fields removed), `u` (changed), `i` (inserted) and `s<field>` (diffs of inner documents and
 * arrays), in this order. A changed field stays in its place, an inserted one goes to the end even where it was there before. An array
 * diff begins with `a: true`, then `l` (new length), `u<N>` and `s<N>`.
 */
import { valueEnd } from '../../bson/elements.ts';
import { BSON } from '../../bson/types.ts';
import { CannotRoll, NEWER_SERVER, OplogFault } from '../faults.ts';
import type { DocumentWriter } from './document-writer.ts';

/** Deeper than any document a server stores (200 levels). */
const MOST_LEVELS = 250;
/** Fields of a diff that are looked up one by one; more go through a table. */
const FEW_FIELDS = 8;

const REMOVE = 0;
const CHANGE = 1;
const INSERT = 2;
const DESCEND = 3;

const LETTER = { a: 0x61, d: 0x64, i: 0x69, l: 0x6c, s: 0x73, u: 0x75 } as const;

/** What a diff does to one field of a document, or to one position of an array. */
interface Step {
  readonly kind: number;
  /** The field's name is `bytes[nameStart, nameEnd)` of the diff; at `nameEnd` there is a NUL. */
  readonly nameStart: number;
  readonly nameEnd: number;
  /** Position in an array. */
  readonly index: number;
  readonly type: number;
  readonly start: number;
  readonly end: number;
  isDone: boolean;
}

/**
 * Writes what `diff`, the document at `diffAt`, makes of the document at `start`. Throws CannotRoll where a diff is not enough (a name
 * that stands twice in the document, an array with other keys than 0, 1, 2 …) and OplogFault for sections that are not known here.
 */
export function applyDiff(
  document: Buffer,
  start: number,
  diff: Buffer,
  diffAt: number,
  writer: DocumentWriter,
): void {
  if (isArrayDiff(diff, diffAt)) throw new OplogFault('its diff begins as that of an array');
  changeDocument(document, start, diff, diffAt, writer, 0);
}

function isArrayDiff(diff: Buffer, at: number): boolean {
  return diff[at + 4] === BSON.BOOL && diff[at + 5] === LETTER.a && diff[at + 6] === 0;
}

function changeDocument(
  old: Buffer,
  start: number,
  diff: Buffer,
  diffAt: number,
  writer: DocumentWriter,
  level: number,
): void {
  const steps = documentSteps(diff, diffAt);
  const table = steps.length > FEW_FIELDS ? tableOf(steps, diff) : undefined;
  const begin = writer.begin();
  const last = start + old.readInt32LE(start) - 1;
  let at = start + 4;
  let kept = at;
  while (at < last) {
    const type = old[at] as number;
    let value = at + 1;
    while (old[value] !== 0) value++;
    const step =
      table === undefined
        ? stepFor(steps, diff, old, at + 1, value)
        : table.get(old.toString('latin1', at + 1, value));
    value++;
    const end = valueEnd(old, type, value, last);
    if (step !== undefined) {
      if (step.isDone) throw new CannotRoll(`it has two fields of the name ${show(old, at + 1, value - 1)}`);
      step.isDone = true;
      writer.copy(old, kept, at);
      changeField(old, at, type, value, diff, step, writer, level);
      kept = end;
    }
    at = end;
  }
  writer.copy(old, kept, last);
  for (const step of steps) {
    const isMissing = step.kind === CHANGE && !step.isDone;
    if (isMissing || step.kind === INSERT) append(diff, step, writer);
  }
  writer.end(begin);
}

/** Writes what becomes of the field whose element starts at `at` in the old document. */
function changeField(
  old: Buffer,
  at: number,
  type: number,
  value: number,
  diff: Buffer,
  step: Step,
  writer: DocumentWriter,
  level: number,
): void {
  if (step.kind === CHANGE) {
    append(diff, step, writer);
  } else if (step.kind === DESCEND) {
    const kind = descends(type, diff, step);
    writer.byte(kind);
    writer.copy(old, at + 1, value);
    changeInner(kind, old, value, diff, step.start, writer, level + 1);
  }
}

/** Writes what becomes of an inner value; nothing follows the type of one that is null now. */
function changeInner(
  kind: number,
  old: Buffer,
  value: number,
  diff: Buffer,
  diffAt: number,
  writer: DocumentWriter,
  level: number,
): void {
  if (kind === BSON.NULL) return;
  if (level > MOST_LEVELS) throw new OplogFault(`its diff is nested deeper than ${MOST_LEVELS} levels`);
  if (kind === BSON.OBJECT) changeDocument(old, value, diff, diffAt, writer, level);
  else changeArray(old, value, diff, diffAt, writer, level);
}

/** Type of what an inner diff makes of a value: the diff of another type's value leaves null, and waits for a later entry. */
function descends(type: number, diff: Buffer, step: Step): number {
  const wanted = isArrayDiff(diff, step.start) ? BSON.ARRAY : BSON.OBJECT;
  return type === wanted ? wanted : BSON.NULL;
}

/** Type byte, name and value as they stand in the diff. */
function append(diff: Buffer, step: Step, writer: DocumentWriter): void {
  writer.byte(step.type);
  writer.copy(diff, step.nameStart, step.end);
}

function changeArray(
  old: Buffer,
  start: number,
  diff: Buffer,
  diffAt: number,
  writer: DocumentWriter,
  level: number,
): void {
  const { length, steps } = arraySteps(diff, diffAt);
  const begin = writer.begin();
  const last = start + old.readInt32LE(start) - 1;
  let at = start + 4;
  let index = 0;
  let next = 0;
  for (; at < last; index++) {
    const type = old[at] as number;
    let value = at + 1;
    while (old[value] !== 0) value++;
    if (!isPosition(old, at + 1, value, index))
      throw new CannotRoll('it has an array whose keys are not 0, 1, 2 …');
    value++;
    const end = valueEnd(old, type, value, last);
    if (index < length) {
      const step = steps[next]?.index === index ? steps[next++] : undefined;
      if (step === undefined) writer.copy(old, at, end);
      else changePosition(old, type, value, diff, step, writer, level);
    }
    at = end;
  }
  const newLength = Number.isFinite(length) ? length : Math.max(index, (steps.at(-1)?.index ?? -1) + 1);
  for (let i = index; i < newLength; i++) {
    const step = steps[next]?.index === i ? steps[next++] : undefined;
    if (step?.kind === CHANGE) changePosition(old, 0, 0, diff, step, writer, level);
    else writer.position(BSON.NULL, i);
  }
  writer.end(begin);
}

function changePosition(
  old: Buffer,
  type: number,
  value: number,
  diff: Buffer,
  step: Step,
  writer: DocumentWriter,
  level: number,
): void {
  if (step.kind === CHANGE) {
    writer.position(step.type, step.index);
    writer.copy(diff, step.start, step.end);
    return;
  }
  const kind = descends(type, diff, step);
  writer.position(kind, step.index);
  changeInner(kind, old, value, diff, step.start, writer, level + 1);
}

/** Whether the key `bytes[start, end)` is the decimal number `index`. */
function isPosition(bytes: Buffer, start: number, end: number, index: number): boolean {
  let rest = index;
  for (let at = end - 1; at >= start; at--) {
    if (bytes[at] !== 0x30 + (rest % 10)) return false;
    rest = Math.floor(rest / 10);
    if (rest === 0) return at === start;
  }
  return false;
}

/** The steps of a document diff, in its order. */
function documentSteps(diff: Buffer, diffAt: number): Step[] {
  const steps: Step[] = [];
  const last = diffAt + diff.readInt32LE(diffAt) - 1;
  let at = diffAt + 4;
  let section = REMOVE - 1;
  while (at < last) {
    const type = diff[at] as number;
    const key = at + 1;
    let value = key;
    while (diff[value] !== 0) value++;
    const nameEnd = value++;
    at = valueEnd(diff, type, value, last);
    const kind = type === BSON.OBJECT ? sectionOf(diff, key, nameEnd, section) : undefined;
    if (kind === undefined) throw unknownSection(diff, key, nameEnd);
    section = kind;
    if (kind === DESCEND) {
      steps.push({ kind, nameStart: key + 1, nameEnd, index: 0, type, start: value, end: at, isDone: false });
    } else {
      fieldSteps(diff, value, kind, steps);
    }
  }
  return steps;
}

/** What the section with this key holds; undefined where it is unknown, or not where it belongs. */
function sectionOf(diff: Buffer, key: number, end: number, before: number): number | undefined {
  const letter = diff[key];
  if (letter === LETTER.s && end > key) return DESCEND;
  if (end !== key + 1) return undefined;
  const kind =
    letter === LETTER.d ? REMOVE : letter === LETTER.u ? CHANGE : letter === LETTER.i ? INSERT : undefined;
  return kind !== undefined && kind > before ? kind : undefined;
}

/** The fields of a section `d`, `u` or `i`. */
function fieldSteps(diff: Buffer, sectionAt: number, kind: number, steps: Step[]): void {
  const last = sectionAt + diff.readInt32LE(sectionAt) - 1;
  let at = sectionAt + 4;
  while (at < last) {
    const type = diff[at] as number;
    const nameStart = at + 1;
    let value = nameStart;
    while (diff[value] !== 0) value++;
    const nameEnd = value++;
    const end = valueEnd(diff, type, value, last);
    steps.push({ kind, nameStart, nameEnd, index: 0, type, start: value, end, isDone: false });
    at = end;
  }
}

/** The steps of an array diff, by rising position, and the new length; Infinity where it says none. */
function arraySteps(diff: Buffer, diffAt: number): { readonly length: number; readonly steps: Step[] } {
  const steps: Step[] = [];
  const last = diffAt + diff.readInt32LE(diffAt) - 1;
  // Behind `a: true`.
  let at = diffAt + 8;
  let length = Number.POSITIVE_INFINITY;
  let before = -1;
  while (at < last) {
    const type = diff[at] as number;
    const key = at + 1;
    let value = key;
    while (diff[value] !== 0) value++;
    const nameEnd = value++;
    const end = valueEnd(diff, type, value, last);
    const letter = diff[key];
    if (
      letter === LETTER.l &&
      nameEnd === key + 1 &&
      type === BSON.INT32 &&
      before === -1 &&
      !Number.isFinite(length)
    ) {
      length = diff.readInt32LE(value);
      if (length < 0) throw unknownSection(diff, key, nameEnd);
    } else {
      const index = indexIn(diff, key + 1, nameEnd);
      const kind =
        letter === LETTER.u ? CHANGE : letter === LETTER.s && type === BSON.OBJECT ? DESCEND : undefined;
      if (kind === undefined || index <= before || index >= length) throw unknownSection(diff, key, nameEnd);
      steps.push({ kind, nameStart: key + 1, nameEnd, index, type, start: value, end, isDone: false });
      before = index;
    }
    at = end;
  }
  return { length, steps };
}

/** The decimal number in `bytes[start, end)`; -1 where it is none. */
function indexIn(bytes: Buffer, start: number, end: number): number {
  if (end === start || end - start > 9) return -1;
  let index = 0;
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] as number) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    index = index * 10 + digit;
  }
  return index;
}

function stepFor(
  steps: readonly Step[],
  diff: Buffer,
  old: Buffer,
  nameStart: number,
  nameEnd: number,
): Step | undefined {
  const length = nameEnd - nameStart;
  for (const step of steps) {
    if (step.nameEnd - step.nameStart !== length) continue;
    let i = 0;
    while (i < length && diff[step.nameStart + i] === old[nameStart + i]) i++;
    if (i === length) return step;
  }
  return undefined;
}

function tableOf(steps: readonly Step[], diff: Buffer): Map<string, Step> {
  return new Map(steps.map((step) => [diff.toString('latin1', step.nameStart, step.nameEnd), step]));
}

function unknownSection(diff: Buffer, key: number, end: number): Error {
  return new OplogFault(
    `its diff has a section ${show(diff, key, end)} that is not known here, or not where it belongs`,
    NEWER_SERVER,
  );
}

function show(bytes: Buffer, start: number, end: number): string {
  return JSON.stringify(bytes.toString('utf8', start, end));
}
