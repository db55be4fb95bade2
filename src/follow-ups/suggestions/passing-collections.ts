/**
 * Looks for forgotten dependents while a stream is read: each collection beside the plan's comes by once, and refers to what of the
 * selection is known by then. For a parent that comes later, or of which more comes later, it says that it did not look.
 */
import { bytesOf, type WholeDocuments } from '../../backup/backup.ts';
import { BsonFault, documentEnd, elements, keyOf } from '../../bson/elements.ts';
import type { KeySet } from '../../bson/key-set.ts';
import { BSON, MIN_DOCUMENT_BYTES, type RawValue } from '../../bson/types.ts';
import type { KnownParent, Onlooker, PassingDocuments } from '../../selection/read-backup.ts';
import { KeyPath } from '../../selection/routes.ts';
import type { SelectionManifest } from '../../selection/selection.ts';
import { mostFirst, type Suggestion } from './suggestion.ts';

type Found = Extract<Suggestion, { kind: 'forgottenDependent' | 'notLookedAt' }>;

/** What was known of a parent when a collection came by. */
interface Look {
  readonly parent: string;
  /** Documents chosen by then; undefined where it had not been read. */
  readonly count: number | undefined;
}

export class PassingCollections implements Onlooker {
  #bytesLeft = MOST_BYTES;
  readonly #looks = new Map<string, Look[]>();
  readonly #counts = new Map<string, ReferenceCount[]>();
  /** `_id`s by parent, with the number of documents that they are of. */
  readonly #ids = new Map<string, { readonly count: number; readonly parent: Parent }>();

  async meets(collection: string, known: readonly KnownParent[]): Promise<PassingDocuments | undefined> {
    const looks = this.#looks.get(collection) ?? [];
    this.#looks.set(collection, looks);
    const parents: Parent[] = [];
    for (const each of known) {
      const parent = each.isSettled ? await this.#parentOf(each) : undefined;
      looks.push({ parent: each.collection, count: each.isSettled ? each.count : undefined });
      if (parent !== undefined) parents.push(parent);
    }
    if (parents.length === 0) return undefined;
    return new PassingCollection(parents, {
      bytesLeft: () => this.#bytesLeft,
      counted: (count, bytes) => {
        this.#bytesLeft -= bytes;
        this.#counts.set(collection, [...(this.#counts.get(collection) ?? []), count]);
      },
    });
  }

  /** The most referring documents first, then what was not looked at. `manifest`: of the selection as it has become. */
  found({ collections, readToEnd }: Pick<SelectionManifest, 'collections' | 'readToEnd'>): Found[] {
    const selected = new Map(collections.map(({ collection, count }) => [collection, count]));
    const found: Found[] = [];
    const later = new Map<string, string[]>();
    for (const [collection, looks] of this.#looks) {
      const missed = looks.filter(({ parent, count }) => count !== selected.get(parent));
      const lateParents = [...new Set(missed.map(({ parent }) => parent))];
      for (const parent of lateParents) later.set(parent, [...(later.get(parent) ?? []), collection]);
      const counts = (this.#counts.get(collection) ?? []).flatMap((count) => count.suggestions(collection));
      found.push(
        ...sums(counts).map((each) =>
          lateParents.includes(each.parent) ? { ...each, complete: false } : each,
        ),
      );
    }
    found.sort(mostFirst);
    for (const [parent, missed] of later) {
      const reason = `in this backup they come before ${parent}, so that it was not known yet what they may refer to`;
      found.push({ kind: 'notLookedAt', collections: missed.sort(), reason });
    }
    if (!readToEnd) {
      const reason = 'the backup was read only as far as needed (integrity: needed)';
      found.push({ kind: 'notLookedAt', collections: [], reason });
    }
    return found;
  }

  async #parentOf({ collection, count, ids }: KnownParent): Promise<Parent | undefined> {
    if (count === 0) return undefined;
    const kept = this.#ids.get(collection);
    if (kept?.count === count) return kept.parent;
    const held = [...this.#ids.values()].reduce((sum, each) => sum + each.count, 0);
    if (held + count > MOST_IDS) return undefined;
    const parent = { collection, ids: await ids() };
    this.#ids.set(collection, { count, parent });
    return parent;
  }
}

/** The same field and parent in several members of a collection, as one. */
function sums(counts: readonly Extract<Found, { kind: 'forgottenDependent' }>[]) {
  const sum = new Map<string, Extract<Found, { kind: 'forgottenDependent' }>>();
  for (const each of counts) {
    const key = JSON.stringify([each.field, each.parent]);
    const before = sum.get(key);
    sum.set(key, {
      ...each,
      documents: each.documents + (before?.documents ?? 0),
      complete: each.complete && (before?.complete ?? true),
    });
  }
  return [...sum.values()];
}

/** How much may still be read, and who is told what was counted of how many bytes. */
interface Counting {
  bytesLeft(): number;
  counted(count: ReferenceCount, bytes: number): void;
}

/** One member: its beginning is kept until it shows which fields may refer. */
export class PassingCollection implements PassingDocuments {
  readonly #parents: readonly Parent[];
  readonly #counting: Counting;
  #sample: WholeDocuments[] = [];
  #sampled = 0;
  #count: ReferenceCount | undefined;
  #bytes = 0;
  /** No field refers, or its bytes are damaged: nobody needs them. */
  #isOver = false;

  constructor(parents: readonly Parent[], counting: Counting) {
    this.#parents = parents;
    this.#counting = counting;
  }

  take(documents: WholeDocuments): void {
    if (this.#isOver) return;
    this.#unlessDamaged(() => {
      if (this.#count !== undefined) return this.#take(this.#count, documents);
      const kept = copyOf(documents);
      this.#sample.push(kept);
      this.#sampled += kept.bytes.length;
      if (this.#sampled >= SAMPLE_BYTES) this.#decide();
    });
  }

  end(): void {
    if (this.#isOver) return;
    this.#unlessDamaged(() => {
      if (this.#count === undefined) this.#decide();
      if (this.#count !== undefined) this.#counting.counted(this.#count, this.#bytes);
    });
  }

  #decide(): void {
    const sample = this.#sample;
    this.#sample = [];
    const bytes = Buffer.concat(sample.map((each) => each.bytes));
    const count = ReferenceCount.ofSample(bytes, this.#parents, this.#counting.bytesLeft());
    this.#isOver = !count.hasCandidates;
    if (this.#isOver) return;
    this.#count = count;
    for (const documents of sample) this.#take(count, documents);
  }

  #take(count: ReferenceCount, documents: WholeDocuments): void {
    count.take(documents);
    this.#bytes += bytesOf(documents);
  }

  #unlessDamaged(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof BsonFault)) throw error;
      this.#isOver = true;
    }
  }
}

function copyOf({ bytes, starts, count }: WholeDocuments): WholeDocuments {
  const first = starts[0] as number;
  const copied = Buffer.from(bytes.subarray(first, starts[count]));
  return { bytes: copied, starts: starts.slice(0, count + 1).map((start) => start - first), count };
}

/** Bytes of a collection that show which of its fields may refer. */
export const SAMPLE_BYTES = 256 * 1024;
/** Read in all to count; a suggestion is not worth more. */
export const MOST_BYTES = 512 * 1024 * 1024;
/** `_id`s of larger selections would not fit the memory bound beside everything else. */
export const MOST_IDS = 2_000_000;

/** A field that may refer to a parent. */
interface Reference {
  readonly field: string;
  readonly parent: Parent;
  /** Its name says so, or a value that is not equal by chance. */
  readonly isTelling: boolean;
}

interface Candidate extends Reference {
  readonly path: KeyPath;
  /** That refer to a document of the parent; that have a value in the field. */
  documents: number;
  held: number;
}

/** Counts the documents of one collection that refer to the selection, by each field that may. */
export class ReferenceCount {
  bytesLeft: number;
  readonly #candidates: readonly Candidate[];

  private constructor(candidates: readonly Candidate[], bytesLeft: number) {
    this.#candidates = candidates;
    this.bytesLeft = bytesLeft;
  }

  /** Looks for fields in the first documents of a collection, the last of which may be cut off; counts none of them yet. Throws BsonFault. */
  static ofSample(sample: Buffer, parents: readonly Parent[], bytesLeft: number): ReferenceCount {
    const candidates = fieldsThatRefer(sample, parents).map((reference) => ({
      ...reference,
      ...{ path: new KeyPath(reference.field, 'foreign'), documents: 0, held: 0 },
    }));
    return new ReferenceCount(candidates, bytesLeft);
  }

  get hasCandidates(): boolean {
    return this.#candidates.length > 0;
  }

  get candidates(): readonly Omit<Candidate, 'path'>[] {
    return this.#candidates;
  }

  /** Takes the next documents, unless enough was read. Throws BsonFault. */
  take(documents: WholeDocuments): void {
    if (this.bytesLeft <= 0) return;
    const { bytes, starts, count } = documents;
    for (let i = 0; i < count; i++) this.#count(bytes, starts[i] as number);
    this.bytesLeft -= bytesOf(documents);
  }

  suggestions(collection: string): Extract<Suggestion, { kind: 'forgottenDependent' }>[] {
    const complete = this.bytesLeft > 0;
    return this.#candidates
      .filter(({ documents }) => documents > 0)
      .map(({ field, parent, documents }) => ({
        ...{ kind: 'forgottenDependent', collection, field, parent: parent.collection, documents, complete },
      }));
  }

  #count(bytes: Buffer, start: number): void {
    for (const candidate of this.#candidates) {
      const { ids } = candidate.parent;
      let isHeld = false;
      const refers = candidate.path.some(bytes, start, (value) => {
        isHeld = true;
        return ids.has(value);
      });
      if (isHeld) candidate.held++;
      if (refers) candidate.documents++;
    }
  }
}

// Looks through documents for values that refer to selected parents, and through names of fields for what they may refer to.

export interface Parent {
  readonly collection: string;
  /** `_id`s of its selected documents. */
  readonly ids: KeySet;
  /** What is looked at was lost together with it: small values and further names may refer, too. */
  readonly lostTogether?: boolean;
}

/** Deeper fields are not looked at. */
const MAX_DEPTH = 12;
/** Bytes of a string value (length, text, NUL) below which equality may be chance. */
const SHORTEST_STRING = 4 + 8 + 1;

/** Collects, from a sample of a collection's documents, the fields that may refer to a parent: by their name, or by a value that is a parent's `_id`. */
export class ReferenceSearch {
  readonly #parents: readonly { readonly parent: Parent; readonly names: ReadonlySet<string> }[];
  /** By field and parent, whether it is telling. */
  readonly #found = new Map<string, Map<Parent, boolean>>();

  constructor(parents: readonly Parent[]) {
    this.#parents = parents.map((parent) => ({
      parent,
      names: referenceNames(parent.collection, parent.lostTogether),
    }));
  }

  look(bytes: Buffer, start: number): void {
    this.#walk({ bytes, type: BSON.OBJECT, start, end: bytes.length }, '', 0);
  }

  /** Dotted paths and what they may refer to. */
  get found(): Reference[] {
    return [...this.#found].flatMap(([field, parents]) =>
      [...parents].map(([parent, isTelling]) => ({ field, parent, isTelling })),
    );
  }

  #walk({ bytes, start, type: container }: RawValue, path: string, depth: number): void {
    for (const element of elements(bytes, start)) {
      const key = container === BSON.ARRAY ? '' : keyOf(element);
      if (key.includes('.')) continue;
      // The elements of an array are reached by the path of the array.
      const field = container === BSON.ARRAY ? path : path === '' ? key : `${path}.${key}`;
      if (element.type === BSON.OBJECT || element.type === BSON.ARRAY) {
        if (depth < MAX_DEPTH) this.#walk(element, field, depth + 1);
        if (element.type === BSON.OBJECT) continue;
      }
      for (const { parent, names } of this.#parents) {
        const isSure = names.has(key) || (isTelling(element) && parent.ids.has(element));
        const isSmall = parent.lostTogether === true && mayBeKey(element) && parent.ids.has(element);
        if (isSure || isSmall) this.#add(field, parent, isSure);
      }
    }
  }

  #add(field: string, parent: Parent, isSure: boolean): void {
    const parents = this.#found.get(field) ?? new Map<Parent, boolean>();
    parents.set(parent, isSure || parents.get(parent) === true);
    this.#found.set(field, parents);
  }
}

/** Looks at the first documents of a collection, the last of which may be cut off. Throws BsonFault. */
export function fieldsThatRefer(sample: Buffer, parents: readonly Parent[]): ReferenceSearch['found'] {
  const search = new ReferenceSearch(parents);
  for (
    let at = 0;
    sample.length - at >= MIN_DOCUMENT_BYTES && sample.readInt32LE(at) <= sample.length - at;
  ) {
    const end = documentEnd(sample, at);
    search.look(sample, at);
    at = end;
  }
  return search.found;
}

/** Small numbers and short words are equal by chance. */
function isTelling({ type, start, end }: RawValue): boolean {
  if (type === BSON.STRING) return end - start >= SHORTEST_STRING;
  return type === BSON.OBJECT_ID || type === BSON.BINARY;
}
/** Numbers and texts of any length; what is true or a date is no key. */
function mayBeKey({ type }: RawValue): boolean {
  return [BSON.STRING, BSON.INT32, BSON.INT64, BSON.DOUBLE, BSON.DECIMAL128].some((each) => each === type);
}
/** Names under which fields refer to a collection: `artwork_id`, `artworkId`, `artwork_ids`, `artworkIds` for `artworks`. */

const IRREGULAR: Readonly<Record<string, string>> = {
  people: 'person',
  children: 'child',
  men: 'man',
  women: 'woman',
  indices: 'index',
  media: 'medium',
  data: 'datum',
};

/** `isBare`: also the words themselves, `artwork` and `artworks`, which may as well be something else. */
export function referenceNames(collection: string, isBare = false): Set<string> {
  // GridFS and others group collections by a prefix with a dot: `fs.files` is referred to as `files_id`.
  const base = collection.slice(collection.lastIndexOf('.') + 1);
  const names = new Set<string>();
  for (const singular of [base, ...singulars(base)]) {
    const snake = singular.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();
    const camel = snake.replace(/[_-]+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    const bare = isBare ? [snake, camel] : [];
    for (const name of [`${snake}_id`, `${snake}_ids`, `${camel}Id`, `${camel}Ids`, ...bare]) names.add(name);
  }
  return names;
}

/** Singular forms that the word may have; only its last part is inflected. */
function singulars(word: string): string[] {
  const [, head = '', last = ''] = /^(.*?)([A-Za-z][a-z]*)$/.exec(word) ?? [];
  const irregular = IRREGULAR[last.toLowerCase()];
  if (irregular !== undefined) return [head + (/^[A-Z]/.test(last) ? capital(irregular) : irregular)];
  if (/[^aeiou]ies$/.test(word)) return [`${word.slice(0, -3)}y`];
  if (/(?:s|x|z|ch|sh)es$/.test(word)) return [word.slice(0, -2), word.slice(0, -1)];
  return /[^s]s$/.test(word) ? [word.slice(0, -1)] : [];
}

function capital(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}
