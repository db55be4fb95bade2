/** What a target holds under the `_id`s of documents that it is asked for. */
import { canonicalKey } from '../bson/canonical-bytes.ts';
import type { Documents } from '../bson/documents.ts';
import type { MergeFields } from '../bson/merge-fields.ts';
import { holdsSymbol, holdsText } from '../bson/storable.ts';
import type { Answer, DocumentBatch, Presence, TargetCollection, TargetReader } from './target.ts';

const SAME = 1;
const OTHER = 2;
const OTHER_ID = 3;
const PRESENCES: readonly Presence[] = ['absent', 'same', 'other', 'otherId'];

/** Of each document, by its position, what the target has under its `_id`. */
export class Existing {
  readonly #documents: Documents;
  readonly #presences: Uint8Array;
  readonly #others: Map<number, Buffer> | undefined;
  readonly #fields: MergeFields | undefined;

  /**
   * `keepsOthers`: the documents that are other than ours are wanted, not only that they are there. They may be far larger. `fields`:
   * these alone are compared; a document that has the same ones is kept all the same, as it is another one.
   */
  constructor(
    documents: Documents,
    {
      keepsOthers = false,
      fields,
    }: { readonly keepsOthers?: boolean; readonly fields?: MergeFields | undefined } = {},
  ) {
    this.#documents = documents;
    this.#presences = new Uint8Array(documents.length);
    this.#others = keepsOthers ? new Map() : undefined;
    this.#fields = fields;
  }

  /** Of the document at this position; `absent` also for a position that was not asked for. */
  presence(position: number): Presence {
    return PRESENCES[this.#presences[position] ?? 0] as Presence;
  }

  /** The target's document where it is another one, be it by fields that do not count or under another `_id`, and kept. */
  other(position: number): Buffer | undefined {
    return this.#others?.get(position);
  }

  /** Document `i` of `found` has the `_id` of the document at this position. */
  mark(position: number, found: Documents, i: number): void {
    if (this.#documents.equals(position, found, i)) this.markSame(position);
    else if (this.#presences[position] !== SAME) {
      const other = found.document(i);
      this.#presences[position] = this.#fields?.holds(other, this.#documents.document(position))
        ? SAME
        : OTHER;
      this.#others?.set(position, other);
    }
  }

  /** `document` stands where the one at this position would, under another `_id`. */
  markOtherId(position: number, document: Buffer): void {
    this.#presences[position] = OTHER_ID;
    this.#others?.set(position, document);
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

/** Where documents are looked up. */
interface LookedAt {
  readonly reader: TargetReader;
  readonly collection: Pick<TargetCollection, 'name' | 'collated'>;
}

/** The documents of the batch are in stored form: `_id` first. `known`: what is known of others; what is found is added to it. */
export async function findExisting(
  at: LookedAt,
  batch: DocumentBatch,
  known: Existing = new Existing(batch.documents),
): Promise<Existing> {
  const { asked } = sortOutSymbols(at.collection, batch);
  for await (const answer of at.reader.lookUp(at.collection.name, batch.documents, asked)) {
    await pair(at, { ...answer, documents: batch.documents }, known);
  }
  return known;
}

/** A collection with a collation stores no symbol in an `_id`, and fails at a query for one: such documents are absent. */
function sortOutSymbols(
  collection: LookedAt['collection'],
  { documents, positions }: DocumentBatch,
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
  at: LookedAt,
  batch: DocumentBatch,
  fields?: MergeFields,
): AsyncGenerator<ExistingPart, void, undefined> {
  const { documents } = batch;
  const { asked, symbols } = sortOutSymbols(at.collection, batch);
  let positions: number[] = [];
  let absent = 0;
  let there = new Existing(documents, { keepsOthers: true, fields });
  let held = 0;
  for await (const answer of at.reader.lookUp(at.collection.name, documents, asked)) {
    await pair(at, { ...answer, documents }, there);
    for (const position of answer.positions) {
      while ((symbols[absent] ?? position) < position) positions.push(symbols[absent++] as number);
      positions.push(position);
    }
    held += answer.found.bytes.length;
    if (held < BYTES_HELD) continue;
    yield { positions, there };
    positions = [];
    there = new Existing(documents, { keepsOthers: true, fields });
    held = 0;
  }
  positions.push(...symbols.slice(absent));
  if (positions.length > 0) yield { positions, there };
}

async function pair(at: LookedAt, answer: Answer & DocumentBatch, existing: Existing): Promise<void> {
  new Pairing(answer.documents, answer.positions, existing).add(answer.found);
  pairRepeats(answer, existing);
  if (at.collection.collated && answer.found.length > 0) await findOtherIds(at, answer, existing);
}

/** A backup may repeat an `_id`; the server answers once for all of them. */
function pairRepeats({ documents, positions, found }: Answer & DocumentBatch, existing: Existing): void {
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
 * then a comparison of memory is all it costs. Anything else is found by its key.
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
      const place = this.#placeOf(found, i);
      if (place === undefined) this.unpaired++;
      else {
        this.#next = place + 1;
        this.#existing.mark(this.#positions[place] as number, found, i);
      }
    }
  }

  #placeOf(found: Documents, i: number): number | undefined {
    const expected = this.#positions[this.#next];
    if (expected !== undefined && this.#documents.hasIdOf(expected, found, i)) return this.#next;
    this.#byKey ??= new Map(
      this.#positions.map((position, place) => [canonicalKey(this.#documents.id(position)), place]),
    );
    return this.#byKey.get(canonicalKey(found.id(i)));
  }
}

/**
 * Under a collation the server finds `abc` for `ABC`, once for both where both are asked for. What no key accounts for is asked again
 * alone, in ever smaller parts (tenths) as long as something is found: which of them it is, shows where only one is left.
 */
async function findOtherIds(at: LookedAt, batch: DocumentBatch, existing: Existing): Promise<void> {
  const { documents } = batch;
  const isOpen = (position: number): boolean =>
    existing.presence(position) === 'absent' && holdsText(documents.id(position));
  const open = batch.positions.filter(isOpen);
  const groups = open.length === 0 ? [] : [open];
  for (let group = groups.pop(); group !== undefined; group = groups.pop()) {
    for await (const { positions: asked, found } of at.reader.lookUp(at.collection.name, documents, group)) {
      const [position] = asked;
      if (found.length === 0 || position === undefined) continue;
      if (asked.length > 1) {
        const size = Math.ceil(asked.length / 10);
        for (let from = 0; from < asked.length; from += size) groups.push(asked.slice(from, from + size));
        continue;
      }
      const key = canonicalKey(documents.id(position));
      const own = found.offsets.findIndex((_, i) => canonicalKey(found.id(i)) === key);
      if (own >= 0) existing.mark(position, found, own);
      else existing.markOtherId(position, found.document(0));
    }
  }
}
