/** What a target holds under the `_id`s of documents. */
import { canonicalKey } from '../bson/canonical-bytes.ts';
import type { Documents } from '../bson/documents.ts';
import { holdsSymbol } from '../bson/storable.ts';
import type { Answer, TargetCollection, TargetReader } from './target.ts';

/** absent: no document of that `_id`. same: one with the same bytes. other: one with other bytes. */
type Presence = 'absent' | 'same' | 'other';

const SAME = 1;
const OTHER = 2;

/** Of each document, by its position, what the target has under its `_id`. */
export class Existing {
  readonly #documents: Documents;
  readonly #presences: Uint8Array;
  readonly #others: Map<number, Buffer> | undefined;

  /** `keepsOthers`: the documents that are other than ours are wanted, not only that they are there. They may be far larger. */
  constructor(documents: Documents, { keepsOthers = false } = {}) {
    this.#documents = documents;
    this.#presences = new Uint8Array(documents.length);
    this.#others = keepsOthers ? new Map() : undefined;
  }

  /** Of the document at this position; `absent` also for a position that was not asked for. */
  presence(position: number): Presence {
    const presence = this.#presences[position];
    return presence === SAME ? 'same' : presence === OTHER ? 'other' : 'absent';
  }

  /** The target's document where it is another one, and kept. */
  other(position: number): Buffer | undefined {
    return this.#others?.get(position);
  }

  /** Document `i` of `found` has the `_id` of the document at this position. */
  mark(position: number, found: Documents, i: number): void {
    if (this.#documents.equals(position, found, i)) this.markSame(position);
    else if (this.#presences[position] !== SAME) {
      this.#presences[position] = OTHER;
      this.#others?.set(position, found.document(i));
    }
  }

  /** Another one is there, which is not kept. */
  markOther(position: number): void {
    this.#presences[position] = OTHER;
  }

  markSame(position: number): void {
    this.#presences[position] = SAME;
    this.#others?.delete(position);
  }
}

interface ExistingQuestion {
  readonly reader: TargetReader;
  readonly collection: Pick<TargetCollection, 'name' | 'collated'>;
  /** In stored form: `_id` first. */
  readonly documents: Documents;
  readonly positions: readonly number[];
  /** Whether `other` shall give the documents: only where they are known to be few or small. */
  readonly keepsOthers?: boolean;
  /** What is known of other positions; what is found is added to it. */
  readonly known?: Existing;
}

export async function findExisting(question: ExistingQuestion): Promise<Existing> {
  const { reader, collection, documents, positions, keepsOthers = false } = question;
  const existing = question.known ?? new Existing(documents, { keepsOthers });
  const { asked } = sortOutSymbols(question, positions);
  for await (const answer of reader.lookUp(collection.name, documents, asked)) {
    await pair(question, answer, existing);
  }
  return existing;
}

/** A collection with a collation stores no symbol in an `_id`, and fails at a query for one: such documents are absent. */
function sortOutSymbols(
  { collection, documents }: Pick<ExistingQuestion, 'collection' | 'documents'>,
  positions: readonly number[],
): { readonly asked: readonly number[]; readonly symbols: readonly number[] } {
  const symbols = collection.collated ? positions.filter((each) => holdsSymbol(documents.id(each))) : [];
  if (symbols.length === 0) return { asked: positions, symbols };
  const absent = new Set(symbols);
  return { asked: positions.filter((each) => !absent.has(each)), symbols };
}

/** Bytes of answers that are held before what they are about is handed on; the last one may come on top. */
const BYTES_HELD = 8 * 1024 * 1024;

export interface ExistingPart {
  readonly positions: readonly number[];
  /** With the documents that are other than ours. */
  readonly there: Existing;
}

/**
 * All of the positions, in parts: the target's documents may be hundreds of times larger than those that they are looked up by.
 * Documents of about the same size come in one part.
 */
export async function* existingInParts(
  question: Omit<ExistingQuestion, 'keepsOthers' | 'known'>,
): AsyncGenerator<ExistingPart, void, undefined> {
  const { reader, collection, documents } = question;
  const { asked, symbols } = sortOutSymbols(question, question.positions);
  let positions: number[] = [];
  let absent = 0;
  let there = new Existing(documents, { keepsOthers: true });
  let held = 0;
  for await (const answer of reader.lookUp(collection.name, documents, asked)) {
    await pair(question, answer, there);
    for (const position of answer.positions) {
      while ((symbols[absent] ?? position) < position) positions.push(symbols[absent++] as number);
      positions.push(position);
    }
    held += answer.found.bytes.length;
    if (held < BYTES_HELD) continue;
    yield { positions, there };
    positions = [];
    there = new Existing(documents, { keepsOthers: true });
    held = 0;
  }
  positions.push(...symbols.slice(absent));
  if (positions.length > 0) yield { positions, there };
}

async function pair(question: ExistingQuestion, answer: Answer, existing: Existing): Promise<void> {
  const pairing = new Pairing(question.documents, answer.positions, existing);
  pairing.add(answer.found);
  // Under a collation the server finds `abc` for `ABC`: what no key accounts for is asked one by one.
  if (pairing.unpaired > 0) await askOneByOne(question, answer.positions, existing);
  else pairRepeats(question.documents, answer, existing);
}

/** A backup may repeat an `_id`; the server answers once for all of them. */
function pairRepeats(documents: Documents, { positions, found }: Answer, existing: Existing): void {
  if (found.length === 0 || found.length === positions.length) return;
  const byKey = new Map(Array.from(found.offsets, (_, i) => [canonicalKey(found.id(i)), i] as const));
  for (const position of positions) {
    if (existing.presence(position) !== 'absent') continue;
    const answer = byKey.get(canonicalKey(documents.id(position)));
    if (answer !== undefined) existing.mark(position, found, answer);
  }
}

/**
 * The server answers in the order of `_id`s, and so do most dumps: the next answer is usually the next document asked for, and
 * then one comparison of memory is all it costs. Anything else is found by its key.
 */
export class Pairing {
  /** Answers that belong to no position by their key. */
  unpaired = 0;
  readonly #documents: Documents;
  readonly #positions: readonly number[];
  readonly #existing: Existing;
  #next = 0;
  #byKey: Map<string, number> | undefined;

  constructor(documents: Documents, positions: readonly number[], existing: Existing) {
    this.#documents = documents;
    this.#positions = positions;
    this.#existing = existing;
  }

  add(found: Documents): void {
    for (let i = 0; i < found.length; i++) {
      const expected = this.#positions[this.#next];
      if (expected !== undefined && this.#documents.equals(expected, found, i)) {
        this.#existing.markSame(expected);
        this.#next++;
        continue;
      }
      this.#byKey ??= new Map(
        this.#positions.map((position, order) => [canonicalKey(this.#documents.id(position)), order]),
      );
      const order = this.#byKey.get(canonicalKey(found.id(i)));
      if (order === undefined) {
        this.unpaired++;
        continue;
      }
      this.#next = order + 1;
      this.#existing.mark(this.#positions[order] as number, found, i);
    }
  }
}

async function askOneByOne(
  { reader, collection, documents }: ExistingQuestion,
  positions: readonly number[],
  existing: Existing,
): Promise<void> {
  for (const position of positions) {
    if (existing.presence(position) !== 'absent') continue;
    for await (const { found } of reader.lookUp(collection.name, documents, [position])) {
      if (found.length > 0) existing.mark(position, found, 0);
    }
  }
}
