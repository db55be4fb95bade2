/**
 * Looks for forgotten dependents while a stream is read: each collection beside the plan's comes by once, and refers to what of the
 * selection is known by then. For a parent that comes later, or of which more comes later, it says that it did not look.
 */
import { bytesOf, type WholeDocuments } from '../../backup/backup.ts';
import { BsonFault } from '../../bson/elements.ts';
import type { KnownParent, Onlooker, PassingDocuments } from '../../selection/read-backup.ts';
import type { SelectionManifest } from '../../selection/selection.ts';
import { MOST_BYTES, MOST_IDS, ReferenceCount, SAMPLE_BYTES } from './reference-count.ts';
import type { Parent } from './reference-search.ts';
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

interface Counting {
  bytesLeft(): number;
  counted(count: ReferenceCount, bytes: number): void;
}

/** One member: its beginning is kept until it shows which fields may refer. */
class PassingCollection implements PassingDocuments {
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
