/**
 * Documents that are left out of one run by decision. They lie beside its record in parts of their own, because there may be more
 * of them than one document holds:
 *
 * `<journal key>.accepted:…` what `plan accept` wrote down, until it is withdrawn;
 * `<journal key>.applied:…` what the last apply left out, for the plan's exceptions and for what was accepted, with dependents.
 *
 * Both sort before `<journal key>:…`, so that nobody takes them for entries.
 */
import { createHash } from 'node:crypto';
import { Binary, deserialize, serialize } from 'bson';
import type { RawValue } from '../bson/types.ts';
import { IndexSet } from '../selection/finish-collection.ts';
import type { Commands } from '../target/commands.ts';
import type { TargetReader } from '../target/target.ts';
import { packOrdinals, packValues, readBinary, readOrdinals } from './journal-entry.ts';
import {
  damaged,
  deleteFromLedger,
  JOURNAL,
  journalKeyOf,
  LEDGER_FORMAT,
  literal,
  type RunKey,
  requireKnownFormat,
  updateLedger,
} from './layout.ts';
import { type Actor, type Deed, isDeed } from './run-record.ts';
import { deedNow } from './runs.ts';

/** Why: its own class, because the plan names it, or because all its parents are left out. */
export const LEFT_OUT_AS = ['conflict', 'refused', 'different', 'named', 'dependent'] as const;
export type LeftOutAs = (typeof LEFT_OUT_AS)[number];

/** What one part tells of its documents. */
export interface AcceptedGroup {
  /** Name in the backup. */
  readonly collection: string;
  readonly as: LeftOutAs;
  /** As the operator or the plan gives it. */
  readonly reason: string;
}

/** Some of them, as many as one part holds. */
export interface AcceptedPart extends AcceptedGroup {
  readonly ids: readonly RawValue[];
  /** Places in the selection's collection, in the order of `ids`. */
  readonly ordinals: readonly number[];
}

export type AcceptedKind = 'accepted' | 'applied';

/** Documents of one part: some 2 MB where their `_id`s are ObjectIds. */
export const ACCEPTED_TOGETHER = 100_000;

export interface AcceptedPlace {
  readonly kind: AcceptedKind;
  readonly key: RunKey;
  /** Of the lock under which it is written; no two writings have the same. */
  readonly fencing: number;
  readonly actor: Actor;
}

/** Writes parts one by one. To be done under the lock. Repeatable after a lost reply. */
export class AcceptedWrites {
  readonly #commands: Commands;

  constructor(commands: Commands) {
    this.#commands = commands;
  }

  /** `part` numbers those of one writing, from 0. */
  async write(
    { kind, key, fencing, actor }: AcceptedPlace,
    part: number,
    given: AcceptedPart,
  ): Promise<void> {
    const { collection, as, reason, ids, ordinals } = given;
    const number = `${String(fencing).padStart(10, '0')}:${String(part).padStart(5, '0')}`;
    await updateLedger(this.#commands, {
      collection: JOURNAL,
      filter: { _id: `${prefixOf(kind, key)}:${number}` },
      upsert: true,
      pipeline: [
        {
          $set: {
            format: LEDGER_FORMAT,
            fencing,
            collection: literal(collection),
            as,
            reason: literal(reason),
            count: ids.length,
            ids: literal(new Binary(packValues(ids))),
            ordinals: literal(new Binary(packOrdinals(ordinals))),
            by: { $ifNull: ['$by', deedNow(actor)] },
          },
        },
      ],
    });
  }

  /** Takes back what was accepted. It stays readable, with who took it back. */
  async withdraw({ key, actor }: Pick<AcceptedPlace, 'key' | 'actor'>): Promise<void> {
    await updateLedger(this.#commands, {
      collection: JOURNAL,
      filter: { _id: rangeOf('accepted', key), withdrawn: { $exists: false } },
      pipeline: [{ $set: { withdrawn: deedNow(actor) } }],
      multi: true,
    });
  }

  /** What an earlier apply left out, once a later one has written down what it does. */
  async dropAppliedBefore(key: RunKey, fencing: number): Promise<void> {
    await deleteFromLedger(this.#commands, JOURNAL, {
      _id: rangeOf('applied', key),
      fencing: { $lt: fencing },
    });
  }
}

/** One group as the ledger has it, summed up over its parts. */
export interface AcceptedSum extends AcceptedGroup {
  readonly kind: AcceptedKind;
  readonly count: number;
  readonly by: Deed;
}

/** Which documents are left out by decision in one target. Memory: a bit for each place in the selection. */
export class AcceptedDocuments {
  readonly #of: Record<AcceptedKind, Map<string, IndexSet>> = { accepted: new Map(), applied: new Map() };
  readonly #sums = new Map<string, AcceptedSum>();

  /** Whether the document at this place of its collection's file in the selection is left out, for whichever reason. */
  has(collection: string, ordinal: number): boolean {
    return this.isAccepted(collection, ordinal) || this.#of.applied.get(collection)?.has(ordinal) === true;
  }

  /** Whether `plan accept` wrote it down. */
  isAccepted(collection: string, ordinal: number): boolean {
    return this.#of.accepted.get(collection)?.has(ordinal) === true;
  }

  /** How many `plan accept` wrote down. */
  get accepted(): number {
    return [...this.#of.accepted.values()].reduce((sum, { size }) => sum + size, 0);
  }

  get isEmpty(): boolean {
    return this.#sums.size === 0;
  }

  /** For pages, the oldest first. */
  get sums(): readonly AcceptedSum[] {
    return [...this.#sums.values()];
  }

  /** sha256, hex, of what `plan accept` wrote down: collections and places, whoever did it and for whichever reason. Undefined for nothing. */
  get digest(): string | undefined {
    const sets = [...this.#of.accepted]
      .filter(([, { size }]) => size > 0)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    if (sets.length === 0) return undefined;
    const hash = createHash('sha256');
    for (const [collection, ordinals] of sets) {
      hash.update(`${JSON.stringify(collection)}\n`);
      for (const ordinal of ordinals.values()) hash.update(`${ordinal}\n`);
    }
    return hash.digest('hex');
  }

  /** One more, by `plan accept`. */
  accept(collection: string, ordinal: number): void {
    this.#setOf('accepted', collection).add(ordinal);
  }

  #setOf(kind: AcceptedKind, collection: string): IndexSet {
    const set = this.#of[kind].get(collection) ?? new IndexSet();
    this.#of[kind].set(collection, set);
    return set;
  }

  add(sum: AcceptedSum, ordinals: Iterable<number>): void {
    const { kind, collection, as, reason, by } = sum;
    const set = this.#setOf(kind, collection);
    for (const ordinal of ordinals) set.add(ordinal);
    const name = JSON.stringify([kind, collection, as, reason, by.user, by.host]);
    const known = this.#sums.get(name);
    this.#sums.set(name, known === undefined ? sum : { ...known, count: known.count + sum.count });
  }
}

/**
 * What is left out of one run in the reader's target. Of what was applied, only what the last apply wrote. Throws
 * RestorePlanError TARGET where a part is newer than this version or damaged.
 */
export async function readAccepted(
  reader: Pick<TargetReader, 'find'>,
  key: RunKey,
): Promise<AcceptedDocuments> {
  const documents = new AcceptedDocuments();
  for (const kind of ['accepted', 'applied'] as const) {
    const parts = (await reader.find(JOURNAL, rawRange(kind, key), { limit: MOST_PARTS })).map(readPart);
    const newest = parts.reduce((most, { fencing }) => Math.max(most, fencing), 0);
    for (const { fencing, isWithdrawn, ordinals, ...sum } of parts) {
      if (isWithdrawn || (kind === 'applied' && fencing !== newest)) continue;
      documents.add({ ...sum, kind }, ordinals);
    }
  }
  return documents;
}

const MOST_PARTS = 100_000;

function readPart(raw: Buffer): Omit<AcceptedSum, 'kind'> & {
  readonly fencing: number;
  readonly isWithdrawn: boolean;
  readonly ordinals: Uint32Array;
} {
  const part = deserialize(raw) as Record<string, unknown>;
  requireKnownFormat(JOURNAL, part);
  const text = (field: string): string => {
    if (typeof part[field] !== 'string') throw damaged(JOURNAL, part, field);
    return part[field];
  };
  const as = LEFT_OUT_AS.find((each) => each === part['as']);
  if (as === undefined) throw damaged(JOURNAL, part, 'as');
  const { fencing } = part;
  if (!Number.isSafeInteger(fencing)) throw damaged(JOURNAL, part, 'fencing');
  const ordinals = readOrdinals(readBinary(part, 'ordinals'));
  if (ordinals === undefined || ordinals.length !== part['count']) throw damaged(JOURNAL, part, 'ordinals');
  const { by } = part;
  if (!isDeed(by)) throw damaged(JOURNAL, part, 'by');
  return {
    collection: text('collection'),
    as,
    reason: text('reason'),
    count: ordinals.length,
    by,
    fencing: fencing as number,
    isWithdrawn: part['withdrawn'] !== undefined,
    ordinals,
  };
}

function prefixOf(kind: AcceptedKind, key: RunKey): string {
  return `${journalKeyOf(key)}.${kind}`;
}

function rangeOf(kind: AcceptedKind, key: RunKey): { readonly $gte: string; readonly $lt: string } {
  const prefix = prefixOf(kind, key);
  return { $gte: `${prefix}:`, $lt: `${prefix};` };
}

function rawRange(kind: AcceptedKind, key: RunKey): Buffer {
  return Buffer.from(serialize({ _id: rangeOf(kind, key) }));
}
