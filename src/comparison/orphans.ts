/**
 * Dependents that would be orphans: a parent of theirs cannot be written or is left out, and none, by any of the plan's keys, is in the
 * target or among the documents that are written.
 *
 * Only keys of such parents are held, and of the children that refer to them; the selection is read again for the rest. So a night on
 * which everything can be written pays nothing, and one document that cannot costs some readings of the collections around it.
 */
import { advice } from '../advice.ts';
import { canonicalKey } from '../bson/canonical-bytes.ts';
import { KeySet } from '../bson/key-set.ts';
import { BSON, copyOf, type RawValue } from '../bson/types.ts';
import { RestorePlanError } from '../errors.ts';
import type { DependentPlan, Plan, RestoredCollection } from '../plan/plan.ts';
import { readInTurn } from '../selection/file-batches.ts';
import { KeyPath } from '../selection/routes.ts';
import { type SelectedCollection, type Selection, selectedOf } from '../selection/selection.ts';
import type { TargetCollection, TargetReader } from '../target/target.ts';
import { inQuery, projectionOf } from './ask-server.ts';
import { existingIds } from './references.ts';

/** Why a parent is not written: its own class, or that of its parent in turn; excepted: by decision. */
export type WhyLost = 'conflict' | 'refused' | 'excepted';

/** One way in which documents of a collection depend on those of another. */
export interface Link {
  /** Collections, by their names in the backup. */
  readonly parent: string;
  /** The child's path to its parent's key. */
  readonly foreign: KeyPath;
  /** The parent's key, as the plan spells it. */
  readonly localKey: string;
  readonly local: KeyPath;
}

/** By the dependent's collection. Where the plan says `orphans: insert` there are none. */
export function linksTo({
  collections,
  source,
}: Pick<Plan, 'collections' | 'source'>): ReadonlyMap<string, readonly Link[]> {
  const links = new Map<string, Map<string, Link>>();
  const add = (parent: RestoredCollection, child: DependentPlan): void => {
    if (child.orphans === 'holdBack') {
      const known = links.get(child.collection) ?? new Map<string, Link>();
      links.set(child.collection, known);
      const { foreignKey, localKey } = child;
      const names = { collection: parent.collection, database: source.database };
      known.set(JSON.stringify([parent.collection, foreignKey, localKey]), {
        parent: parent.collection,
        foreign: new KeyPath(foreignKey, 'foreign', names),
        localKey,
        local: new KeyPath(localKey, 'local'),
      });
    }
    for (const dependent of child.dependents) add(child, dependent);
  };
  for (const root of collections) for (const dependent of root.dependents) add(root, dependent);
  return new Map([...links].map(([collection, known]) => [collection, [...known.values()]]));
}

interface OrphansQuestion {
  readonly selection: Selection;
  readonly reader: TargetReader;
  /** The dependents' collection. */
  readonly selected: SelectedCollection;
  readonly links: readonly Link[];
  readonly signal: AbortSignal;
  /** Undefined for a document that is written, or is in the target. */
  readonly whyLost: (collection: string, ordinal: number) => WhyLost | undefined;
  /** Called for each orphan; `whyLost` gives that from then on. */
  readonly decide: (ordinal: number, why: WhyLost) => void;
}

/** Keys of parents that are held: some 20 to 100 bytes each. */
const MOST_KEYS = 1_000_000;
/** Keys of children that are looked up together. */
const ASKED_TOGETHER = 50_000;

export async function orphansOf(question: OrphansQuestion): Promise<void> {
  const { links, selected } = question;
  const lost = await Promise.all(links.map((link) => LostParents.of(question, link)));
  const isOwnDependent = links.some(({ parent }) => parent === selected.collection);
  // A child that is held back is a parent too. Where parents come first, as mostly in a dump, one round comes to the end of them all.
  while ((await oneRound(question, lost)) && isOwnDependent);
}

/** The keys of the parents of one link that are not written. */
class LostParents {
  readonly link: Link;
  readonly #keys: Record<WhyLost, KeySet> = {
    conflict: new KeySet(),
    refused: new KeySet(),
    excepted: new KeySet(),
  };

  constructor(link: Link) {
    this.link = link;
  }

  static async of({ selection, whyLost, signal }: OrphansQuestion, link: Link): Promise<LostParents> {
    const lost = new LostParents(link);
    await eachDocument({ selection, collection: link.parent, signal }, (bytes, start, ordinal) => {
      const why = whyLost(link.parent, ordinal);
      if (why !== undefined) lost.add(bytes, start, why);
    });
    return lost;
  }

  /** The document at `start`, one of the parent's collection. */
  add(bytes: Buffer, start: number, why: WhyLost): void {
    const keys = this.#keys[why];
    this.link.local.some(bytes, start, (key) => {
      keys.add(key);
      return false;
    });
    if (keys.size > MOST_KEYS) throw tooMany(this.link.parent);
  }

  whyLost(key: RawValue): WhyLost | undefined {
    return RELEASABLE_FIRST.find((why) => this.#keys[why].has(key));
  }
}

/** What may be released later goes before what never is. */
const RELEASABLE_FIRST: readonly WhyLost[] = ['conflict', 'refused', 'excepted'];

function tooMany(collection: string): RestorePlanError {
  return new RestorePlanError(
    'CONFLICTS',
    `more than ${MOST_KEYS} documents of ${collection} cannot be written or are left out, so that their dependents cannot be told`,
    {
      hint: advice`Look at them with ${{ command: 'dry-run' }}, then narrow the query, or make two plans of it.`,
    },
  );
}

/** Whether an orphan was found. */
async function oneRound(question: OrphansQuestion, lost: readonly LostParents[]): Promise<boolean> {
  const { selection, selected, signal, whyLost, decide } = question;
  const { collection, count } = selected;
  let found = false;
  for (let from = 0; from < count; ) {
    const asked = lost.map(({ link }) => new AskedKeys(question, link));
    // Of the collection's own documents: those that may be found lost in this round, so that what hangs on them is asked about too.
    const maybe = lost.map(({ link }) => new LostParents(link));
    let to = count;
    await eachDocument({ selection, collection, signal, from }, (bytes, start, ordinal) => {
      if (whyLost(collection, ordinal) !== undefined) return undefined;
      if (!refersTo(lost, bytes, start) && !refersTo(maybe, bytes, start)) return undefined;
      for (const keys of asked) keys.ask(bytes, start);
      for (const each of maybe) if (each.link.parent === collection) each.add(bytes, start, 'excepted');
      if (asked.every(({ size }) => size < ASKED_TOGETHER)) return undefined;
      to = ordinal + 1;
      return 'stop';
    });
    if (asked.some(({ size }) => size > 0)) {
      for (const keys of asked) await keys.look();
      await eachDocument({ selection, collection, signal, from }, (bytes, start, ordinal) => {
        if (ordinal >= to) return 'stop';
        if (whyLost(collection, ordinal) !== undefined || !refersTo(lost, bytes, start)) return undefined;
        if (asked.some((keys, i) => keys.isAnyThere(bytes, start, lost[i] as LostParents))) return undefined;
        const why = firstReason(lost, bytes, start);
        decide(ordinal, why);
        for (const each of lost) if (each.link.parent === collection) each.add(bytes, start, why);
        found = true;
        return undefined;
      });
    }
    from = to;
  }
  return found;
}

function refersTo(lost: readonly LostParents[], bytes: Buffer, start: number): boolean {
  return lost.some((each) => each.link.foreign.some(bytes, start, (key) => each.whyLost(key) !== undefined));
}

/** Of several lost parents, the one that may be there some day decides. */
function firstReason(lost: readonly LostParents[], bytes: Buffer, start: number): WhyLost {
  const reasons = new Set<WhyLost>();
  for (const each of lost) {
    each.link.foreign.some(bytes, start, (key) => {
      const why = each.whyLost(key);
      if (why !== undefined) reasons.add(why);
      return false;
    });
  }
  return RELEASABLE_FIRST.find((why) => reasons.has(why)) as WhyLost;
}

/** Keys of children, by one link, and whether a parent of them is in the target or is written. */
class AskedKeys {
  readonly #question: OrphansQuestion;
  readonly #link: Link;
  readonly #asked = new KeySet();
  readonly #values: RawValue[] = [];
  readonly #inTarget = new KeySet();
  readonly #written = new KeySet();

  constructor(question: OrphansQuestion, link: Link) {
    this.#question = question;
    this.#link = link;
  }

  get size(): number {
    return this.#values.length;
  }

  /** The child at `start`. */
  ask(bytes: Buffer, start: number): void {
    this.#link.foreign.some(bytes, start, (key) => {
      if (this.#asked.add(key)) this.#values.push(copyOf(key));
      return false;
    });
  }

  async look(): Promise<void> {
    if (this.size === 0) return;
    const { selection, reader, whyLost, signal } = this.#question;
    const { parent, local } = this.#link;
    const note = (set: KeySet, bytes: Buffer, start: number): void => {
      local.some(bytes, start, (key) => {
        if (this.#asked.has(key)) set.add(key);
        return false;
      });
    };
    await eachDocument({ selection, collection: parent, signal }, (bytes, start, ordinal) => {
      if (whyLost(parent, ordinal) === undefined) note(this.#written, bytes, start);
    });
    const into = selectedOf(selection.manifest, parent)?.into ?? parent;
    const there = await reader.collection(into);
    if (there === undefined) return;
    if (local.isId) {
      const ids = await existingIds(reader, there, this.#values);
      for (const value of this.#values) if (ids.has(canonicalKey(value))) this.#inTarget.add(value);
      return;
    }
    await this.#lookByKey(reader, there, (document) => note(this.#inTarget, document, 0));
  }

  /** Whether a parent of the child at `start` is there, or will be. */
  isAnyThere(bytes: Buffer, start: number, lost: LostParents): boolean {
    const { foreign, local } = this.#link;
    return foreign.some(bytes, start, (key) => {
      if (this.#inTarget.has(key)) return true;
      // Nothing else has its `_id`, so it may have been lost since; other keys are settled by the next round.
      return this.#written.has(key) && !(local.isId && lost.whyLost(key) !== undefined);
    });
  }

  async #lookByKey(
    reader: TargetReader,
    { name }: TargetCollection,
    take: (document: Buffer) => void,
  ): Promise<void> {
    const { localKey } = this.#link;
    const projection = projectionOf([localKey.split('.')[0] as string]);
    // A regular expression would be run as one, and no document has one as its key.
    const values = this.#values.filter(({ type }) => type !== BSON.REGEX);
    const ask = async (some: readonly RawValue[]): Promise<void> => {
      const found = await reader.find(name, inQuery(localKey, some), { limit: MOST_FOUND, projection });
      for (const document of found) take(document);
      // One key may be that of many documents, which leave no room for those of the others.
      if (found.length < MOST_FOUND || some.length === 1) return;
      const half = Math.ceil(some.length / 2);
      await ask(some.slice(0, half));
      await ask(some.slice(half));
    };
    for (let at = 0; at < values.length; at += KEYS_PER_QUERY)
      await ask(values.slice(at, at + KEYS_PER_QUERY));
  }
}

const KEYS_PER_QUERY = 2_000;
const MOST_FOUND = 10_000;

interface Reading {
  readonly selection: Selection;
  readonly collection: string;
  readonly signal: AbortSignal;
  /** Ordinal of the first document that is shown. */
  readonly from?: number;
}

/** Shows the documents of a selected collection in their order, until `see` says stop. None where the selection has no such collection. */
export async function eachDocument(
  { selection, collection, signal, from = 0 }: Reading,
  see: (bytes: Buffer, start: number, ordinal: number) => 'stop' | undefined,
): Promise<void> {
  if (selectedOf(selection.manifest, collection) === undefined) return;
  for await (const { bytes, offsets, first } of readInTurn(selection, collection)) {
    signal.throwIfAborted();
    for (let i = Math.max(0, from - first); i < offsets.length; i++) {
      if (see(bytes, offsets[i] as number, first + i) === 'stop') return;
    }
  }
}
