/**
 * A compared document as people and programs are shown it: values are Extended JSON, bounded in length, with the plan's `mask`
 * fields hidden.
 */

import {
  type Differences,
  diffDocuments,
  documentValue,
  type ValueDifference,
} from '../bson/diff-documents.ts';
import type { Documents } from '../bson/documents.ts';
import { elements, keyOf, type RawElement } from '../bson/elements.ts';
import type { MergeFields } from '../bson/merge-fields.ts';
import { showText, showValue, typeName } from '../bson/show.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { freeMemory } from '../free-memory.ts';
import type { DocumentPast } from '../oplog/later.ts';
import type {
  ComparedDocument,
  DocumentObject,
  DocumentSides,
  FieldChange,
  FieldDifference,
  LeftOutWhy,
  Verdict,
} from './comparison.ts';

const MASKED = '"[masked]"';

/** A document of half a million fields, shown in one pass, takes 200 MB on the way. */
const SMALL_BYTES = 64 * 1024;

/** A text in the making. */
interface Writing {
  readonly pieces: string[];
  /** Characters that still have room. */
  left: number;
  /** Fields and array elements without room. */
  leftOut: number;
  /** Canonical, and whole values only; else relaxed, and the last one may be cut. */
  readonly isObject: boolean;
  exact: boolean;
}

export class MaskedText {
  readonly #mask: readonly (readonly string[])[];
  readonly #limit: number;
  readonly #hidesAll: boolean;

  /**
   * `mask`: dotted paths, which reach into arrays as queries do. `limit`: characters, after which a text is cut and an object takes
   * no more fields. `hidesAll`: every value but the `_id` is hidden; names of fields stay.
   */
  constructor(mask: readonly string[], limit: number, { hidesAll = false } = {}) {
    this.#mask = mask.map((path) => path.split('.'));
    this.#limit = limit;
    this.#hidesAll = hidesAll;
  }

  /**
   * The value at a dotted path of its document, relaxed; the path of a whole document is empty. A cut text says how many fields
   * it lacks.
   */
  readonly show = (value: RawValue, path = ''): string => {
    // Most plans mask nothing and most documents are small: one pass, no paths. Three times faster in a full listing.
    if (this.#hidesNothing && value.end - value.start <= Math.min(4 * this.#limit, SMALL_BYTES)) {
      const text = showValue(value, { relaxed: true });
      if (text.length <= this.#limit) return text;
    }
    const out = { pieces: [], left: this.#limit, leftOut: 0, isObject: false, exact: true };
    this.#write(value, path === '' ? [] : path.split('.'), out);
    const text = out.pieces.join('');
    if (text.length <= this.#limit && out.leftOut === 0) return text;
    const more =
      out.leftOut === 0 ? '' : ` and ${out.leftOut} more ${out.leftOut === 1 ? 'field' : 'fields'}`;
    return `${text.slice(0, this.#limit)}…${more}`;
  };

  /** A whole document as an object of canonical Extended JSON, whose values are whole or left out and counted. */
  object(document: RawValue): DocumentObject {
    const out = { pieces: [], left: this.#limit, leftOut: 0, isObject: true, exact: true };
    this.#write(document, [], out);
    const text = out.pieces.join('');
    if (out.pieces.length > MANY_PIECES) {
      out.pieces.length = 0;
      freeMemory();
    }
    return { text, exact: out.exact, leftOut: out.leftOut };
  }

  /** The `_id` of a document. */
  readonly showId = (id: RawValue): string => this.showKey(id, '_id');

  /** A value that names a document: canonical and whole, unless the plan masks it or a part of it. */
  showKey(value: RawValue, path: string): string {
    const isMasked = this.#mask.some(
      (masked) => `${masked.join('.')}.`.startsWith(`${path}.`) || covers(masked, path.split('.')),
    );
    return isMasked ? this.show(value, path) : showValue(value);
  }

  get #hidesNothing(): boolean {
    return this.#mask.length === 0 && !this.#hidesAll;
  }

  #write(value: RawValue, path: readonly string[], out: Writing): void {
    const isContainer = value.type === BSON.OBJECT || value.type === BSON.ARRAY;
    if (this.#hides(path, isContainer)) put(out, MASKED);
    else if (isContainer) this.#writeContainer(value, path, out);
    else put(out, out.isObject ? showValue(value) : showBeginning(value, out.left));
  }

  #writeContainer(value: RawValue, path: readonly string[], out: Writing): void {
    const isArray = value.type === BSON.ARRAY;
    put(out, isArray ? '[' : '{');
    const names = new Set<string>();
    let before = '';
    let isCut = false;
    for (const element of elements(value.bytes, value.start)) {
      // 16 MiB are not turned into text that has no room; an array without its middle would be another one.
      if ((isCut && isArray) || !hasRoom(element, out)) {
        isCut = true;
        out.leftOut++;
        continue;
      }
      const key = keyOf(element);
      put(out, `${before}${isArray ? '' : `${showText(key)}:`}`);
      before = ',';
      if (!isArray && out.isObject) noteName(key, names, out);
      // A key with a dot in it is masked like the path it looks like.
      this.#write(element, [...path, ...key.split('.')], out);
    }
    put(out, isArray ? ']' : '}');
  }

  #hides(path: readonly string[], isContainer: boolean): boolean {
    if (this.#hidesAll && !isContainer && path[0] !== '_id') return true;
    return this.#mask.some((masked) => covers(masked, path));
  }
}

/**
 * Its text for people: whole, or as much of a long one as has room and a little more. 16 MiB of text take three times as much on
 * the way.
 */
function showBeginning(value: RawValue, room: number): string {
  const isText = [BSON.STRING, BSON.CODE, BSON.SYMBOL, BSON.BINARY].some((type) => type === value.type);
  // A length, and no character takes more than four bytes.
  const most = value.start + 8 + 4 * Math.max(room, 1);
  return showValue(isText && value.end > most ? { ...value, end: most } : value, { relaxed: true });
}

function put(out: Writing, text: string): void {
  out.pieces.push(text);
  out.left -= text.length;
}

/** Of a value in an object all must fit. A document or an array is asked for its elements one by one. */
function hasRoom({ type, at, end }: RawElement, { left, isObject }: Writing): boolean {
  const isContainer = type === BSON.OBJECT || type === BSON.ARRAY;
  return left > (isObject && !isContainer ? end - at : 0);
}

/**
 * What JSON parsers do not keep: a name that comes twice, the place of one like an integer; and one like `$oid` is taken for a
 * type.
 */
function noteName(name: string, names: Set<string>, out: Writing): void {
  if (names.has(name) || /^(?:\d+$|\$(?!(?:ref|id|db)$))/.test(name)) out.exact = false;
  names.add(name);
}

/** The masked path is the given one, or lies above it. A number in the path may be a position, which a mask leaves out. */
function covers([wanted, ...below]: readonly string[], [part, ...rest]: readonly string[]): boolean {
  if (wanted === undefined) return true;
  if (part === undefined) return false;
  if (part === wanted && covers(below, rest)) return true;
  return /^\d+$/.test(part) && covers([wanted, ...below], rest);
}

/** A document of so many fields leaves tens of megabytes of pieces behind, before the next text is made of it. */
const MANY_PIECES = 50_000;

/** In which forms documents are shown. */
export interface Texts {
  readonly documents: MaskedText;
  readonly values: MaskedText;
  readonly canonical?: MaskedText | undefined;
  readonly masked?: MaskedText | undefined;
}

/** One document of a batch, and what was found of it. */
export interface Finding {
  readonly documents: Documents;
  readonly position: number;
  readonly verdict: Verdict;
  readonly target: RawValue | undefined;
  readonly past?: DocumentPast | undefined;
  /** As it was right after it was changed, where that is undone. */
  readonly after?: RawValue | undefined;
  /** These alone are compared. */
  readonly fields?: MergeFields | undefined;
}

const SAME = { differences: [] } as const;

export function describe(
  { documents, position, verdict, target, past, after, fields }: Finding,
  texts: Texts,
): ComparedDocument {
  const { class: documentClass, reason, reasonValues } = verdict;
  const backup = documents.value(position);
  const id = documents.id(position);
  const isSame = target === undefined || documentClass === 'identical';
  const text = texts.documents.show(backup);
  const sides = (form: MaskedText): DocumentSides => {
    const own = form.object(backup);
    const isOwn = documentClass === 'identical' && fields === undefined;
    return {
      ...{ backup: own, target: target && (isOwn ? own : form.object(target)) },
      ...(after && { after: form.object(after) }),
    };
  };
  return {
    class: documentClass,
    // Also one that no server takes: whoever looks for the document has only its name.
    id: id.type === 0 ? '(none)' : texts.values.showId(id),
    reason,
    reasonValues,
    ...(isSame
      ? SAME
      : fieldDifferences(imageOf(backup, fields), imageOf(target, fields), texts.values.show)),
    backup: text,
    target: target && (isSame && fields === undefined ? text : texts.documents.show(target)),
    canonical: texts.canonical && sides(texts.canonical),
    masked: texts.masked && sides(texts.masked),
    index: documents.first + position,
    ...(past && { past }),
    ...(after && changesOf({ before: backup, after, now: target }, fields, texts)),
  };
}

interface States {
  readonly before: RawValue;
  readonly after: RawValue;
  readonly now: RawValue | undefined;
}

function changesOf({ before, after, now }: States, fields: MergeFields | undefined, texts: Texts) {
  const states = [before, after, ...(now === undefined ? [] : [now])].map((each) => imageOf(each, fields));
  const { first, total } = differencesOf(states);
  const changes = first.map((difference): FieldChange => {
    const [was, became, is] = difference.values.map(
      (value) => value && texts.values.show(value, difference.path),
    );
    const [wasType, becameType, isType] = typesOf(difference);
    return {
      ...{ path: pathTold(difference), before: was, after: became, now: is },
      ...{ beforeType: wasType, afterType: becameType, nowType: isType },
    };
  });
  return { changes, changesLeftOut: total - first.length };
}

/** Names of the types, where they are not all one. */
function typesOf({ values }: ValueDifference): (string | undefined)[] {
  const isRetyped = new Set(values.flatMap((value) => value?.type ?? [])).size > 1;
  return isRetyped ? values.map((value) => value && typeName(value.type)) : [];
}

/** As people read it. */
function pathTold({ path, isOrder }: ValueDifference): string {
  return isOrder ? `${path === '' ? '(document)' : path} (order of fields)` : path;
}

/** The fields alone, where only they count. */
function imageOf(document: RawValue, fields: MergeFields | undefined): RawValue {
  return fields === undefined ? document : documentValue(fields.image(document.bytes, document.start));
}

const LEFT_OUT_REASONS: Readonly<Record<LeftOutWhy, string>> = {
  excepted: 'left out by decision',
  conflict: 'held back: what it depends on is in conflict',
  refused: 'held back: what it depends on would be refused',
};

/** The same, where it is left out. */
export function withWhy(document: ComparedDocument, why: LeftOutWhy | undefined): ComparedDocument {
  if (why === undefined) return document;
  const reason = [LEFT_OUT_REASONS[why], ...(document.reason === '' ? [] : [document.reason])].join('; ');
  return { ...document, reason, leftOut: why === 'excepted' ? 'excepted' : 'heldBack' };
}

/** Differences told of one document. One that differs in more is another document, and its two sides are shown as well. */
const MOST_DIFFERENCES = 200;

function differencesOf(states: readonly RawValue[]): Differences {
  const found = diffDocuments(states, MOST_DIFFERENCES);
  if (found.total > MANY_PIECES) freeMemory();
  return found;
}

/** `show` turns a value at a dotted path into text. */
export function fieldDifferences(
  backup: RawValue,
  target: RawValue,
  show: (value: RawValue, path: string) => string,
): { readonly differences: FieldDifference[]; readonly differencesLeftOut: number } {
  const { first, total } = differencesOf([backup, target]);
  const differences = first.map((difference) => {
    const { path } = difference;
    const [left, right] = difference.values;
    const [backupType, targetType] = typesOf(difference);
    return {
      path: pathTold(difference),
      backup: left && show(left, path),
      target: right && show(right, path),
      ...{ backupType, targetType },
    };
  });
  return { differences, differencesLeftOut: total - differences.length };
}
