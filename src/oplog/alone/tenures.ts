/**
 * Which collection had a name at a moment, by an oplog alone. Collections are told apart by their UUIDs, and here no backup says them.
 *
 * What an oplog holds the creation of began empty: it holds that collection whole. Of another one only what happened to is known.
 */
import type { CollectionMetadata } from '../../backup/backup.ts';
import { type DescribedCollection, metadataOf } from '../../backup/live/live-backup.ts';
import { elements, findElement, keyOf } from '../../bson/elements.ts';
import { showDocument, showText, showValue } from '../../bson/show.ts';
import { BSON } from '../../bson/types.ts';
import type { Run } from '../../run.ts';
import { type Cut, isBehind, type Moment, momentOf, OplogEntry, type Timestamp } from '../entry.ts';
import { following, OplogFault } from '../faults.ts';
import { Operations, WaitingTransactions } from '../operations.ts';
import { RecordLog } from '../record-log.ts';
import type { EntrySource } from '../sources/entry-source.ts';
import { databaseOf, textIn } from '../wanted.ts';

/** A collection, for as long as it had a name. */
export interface Tenure {
  /** 32 hex digits. */
  readonly uuid: string;
  /** When it took the name; undefined: before the first entry that tells of it. */
  readonly from: Moment | undefined;
  until: Moment | undefined;
}

interface IndexChange {
  readonly name: string;
  /** Extended JSON; undefined: it was dropped. */
  readonly made: string | undefined;
  /** Of one that was dropped, as far as the entry says. */
  readonly was: string | undefined;
  readonly at: Moment;
}

/** What is known of a collection, whatever its names were. */
interface Known {
  /** Undefined: before the oplog. */
  readonly created: Moment | undefined;
  /** With which it was created, Extended JSON; undefined: with none, or before the oplog. */
  readonly options: string | undefined;
  readonly indexes: IndexChange[];
}

const UUID_BYTES = 16;

/** Reads an oplog from `from` on for the collections that had some names, `database.collection`. Throws RestorePlanError BACKUP. */
export async function readTenures(
  run: Run,
  entries: EntrySource,
  wanted: {
    readonly namespaces: ReadonlySet<string>;
    readonly database: string;
    readonly from: Timestamp;
    readonly cut: Exclude<Cut, 'end'>;
    /** Path with which the names of temporary files begin. */
    readonly spillPath: string;
  },
): Promise<Tenures> {
  const { namespaces, database, from, cut, spillPath } = wanted;
  const tenures = new Tenures(namespaces);
  const transactions = new WaitingTransactions(new RecordLog(`${spillPath}tenures`));
  const nobody = { operation: () => {}, use: () => {} };
  const operations = new Operations({ wanted: tenures, commands: tenures, transactions }, nobody);
  const entry = new OplogEntry();
  const collections = [...namespaces].map((namespace) => ({ collection: '', namespace, uuid: '' }));
  try {
    for await (const { bytes, starts, count } of entries.entries({ from, cut, collections, database })) {
      run.signal.throwIfAborted();
      for (let i = 0; i < count; i++) {
        following(entries.origin, {}, () => tenures.at(entry.read(bytes, starts[i] as number)));
        if (isBehind(entry, cut)) return tenures;
        try {
          operations.follow(entry);
        } catch (fault) {
          // Whoever replays it refuses what cannot be followed, where it matters.
          if (!(fault instanceof OplogFault)) throw fault;
        }
      }
    }
    return tenures;
  } finally {
    transactions.close();
  }
}

/** Follows names; no operation is any of its collections', for their documents are of no concern here. */
export class Tenures {
  readonly #namespaces: ReadonlySet<string>;
  readonly #tenures = new Map<string, Tenure[]>();
  readonly #known = new Map<string, Known>();
  #now: Moment = { seconds: 0, ordinal: 0, wall: Number.NaN };
  /** The UUID that was asked for last. */
  readonly #latest = Buffer.alloc(UUID_BYTES);

  constructor(namespaces: ReadonlySet<string>) {
    this.#namespaces = namespaces;
  }

  /** The entry that is followed next. */
  at(entry: Moment): void {
    this.#now = momentOf(entry);
  }

  find(bytes: Buffer, at: number, { ns }: { readonly ns: string }): number {
    // Neighbours are mostly of one collection.
    if (this.#latest.compare(bytes, at, at + UUID_BYTES) === 0) return -1;
    bytes.copy(this.#latest, 0, at, at + UUID_BYTES);
    this.#seen(ns, this.#latest.toString('hex'));
    return -1;
  }

  named(): number {
    return -1;
  }

  follow(entry: OplogEntry, command: string): void {
    const { uuid } = entry;
    this.#latest.fill(0);
    const namespace = `${databaseOf(entry)}.${textIn(entry, command)}`;
    switch (command) {
      case 'create':
        this.#known.set(uuid, { created: this.#now, options: optionsOf(entry), indexes: [] });
        this.#takes(namespace, uuid);
        return;
      case 'renameCollection': {
        this.#loses(textIn(entry, 'renameCollection'), uuid);
        const to = textIn(entry, 'to');
        this.#loses(to);
        this.#takes(to, uuid);
        return;
      }
      case 'drop':
        this.#loses(namespace, uuid);
        if (!this.#isNamed(uuid)) this.#known.delete(uuid);
        return;
      case 'dropDatabase':
        for (const each of this.#namespaces) if (each.startsWith(namespaceOf(entry))) this.#loses(each);
        return;
      default:
        if (uuid === '') return;
        this.#seen(namespace, uuid);
        this.#known.get(uuid)?.indexes.push(...indexChanges(entry, command, this.#now));
    }
  }

  /** The collection that had the name at a moment; where there was none, the next one that took it. */
  tenureAt(
    namespace: string,
    moment: Exclude<Cut, 'end'>,
  ): { readonly tenure: Tenure; readonly isThere: boolean } | undefined {
    const tenures = this.#tenures.get(namespace) ?? [];
    const later = tenures.filter(({ until }) => until === undefined || isBehind(until, moment));
    const [tenure] = later;
    if (tenure === undefined) return undefined;
    return { tenure, isThere: tenure.from === undefined || !isBehind(tenure.from, moment) };
  }

  /** When it was created; undefined: before the oplog. */
  createdAt({ uuid }: Tenure): Moment | undefined {
    return this.#known.get(uuid)?.created;
  }

  /** What a dump would say of a collection at a moment; `now`: what its server says of it. */
  metadataAt(
    name: string,
    { uuid }: Tenure,
    { now, moment }: { readonly now: DescribedCollection | undefined; readonly moment: Exclude<Cut, 'end'> },
  ): CollectionMetadata {
    const known = this.#known.get(uuid);
    const changes = known?.indexes ?? [];
    const first = new Map<string, IndexChange>();
    for (const each of changes) if (!first.has(each.name)) first.set(each.name, each);
    const indexes = new Map<string, string>();
    for (const each of now?.indexes ?? [])
      if (first.get(each.name)?.made === undefined) indexes.set(each.name, each.text);
    for (const { name: index, was } of first.values()) if (was !== undefined) indexes.set(index, was);
    for (const { name: index, made, at } of changes) {
      if (isBehind(at, moment)) break;
      if (made === undefined) indexes.delete(index);
      else indexes.set(index, made);
    }
    const options = known?.created === undefined ? now?.options : known.options;
    return metadataOf(name, 'collection', { options, indexes: [...indexes.values()], uuid });
  }

  #isNamed(uuid: string): boolean {
    return [...this.#tenures.values()].some((tenures) => tenures.some((each) => each.uuid === uuid));
  }

  /** A collection has the name now: since when is not known, unless another one had it before. */
  #seen(namespace: string, uuid: string): void {
    if (!this.#namespaces.has(namespace)) return;
    const tenures = this.#tenures.get(namespace) ?? [];
    const last = tenures.at(-1);
    if (last?.uuid === uuid && last.until === undefined) return;
    this.#begin(namespace, { uuid, from: last === undefined ? undefined : this.#now, until: undefined });
  }

  #takes(namespace: string, uuid: string): void {
    if (this.#namespaces.has(namespace)) this.#begin(namespace, { uuid, from: this.#now, until: undefined });
  }

  #begin(namespace: string, tenure: Tenure): void {
    const tenures = this.#tenures.get(namespace) ?? [];
    const last = tenures.at(-1);
    if (last !== undefined) last.until ??= this.#now;
    this.#tenures.set(namespace, [...tenures, tenure]);
    if (!this.#known.has(tenure.uuid))
      this.#known.set(tenure.uuid, { created: undefined, options: undefined, indexes: [] });
  }

  /** The name is free; `uuid`: of the collection that had it, where the entry says so. */
  #loses(namespace: string, uuid?: string): void {
    if (!this.#namespaces.has(namespace)) return;
    if (uuid !== undefined && uuid !== '') this.#seen(namespace, uuid);
    const last = this.#tenures.get(namespace)?.at(-1);
    if (last !== undefined) last.until ??= this.#now;
  }
}

const namespaceOf = (entry: OplogEntry): string => `${databaseOf(entry)}.`;

/** What `create` was given, but for what is no option; undefined: nothing. */
function optionsOf({ bytes, o }: OplogEntry): string | undefined {
  const options = [...elements(bytes, o)]
    .filter((each) => !['create', 'idIndex'].includes(keyOf(each)))
    .map((each) => `${showText(keyOf(each))}:${showValue(each)}`);
  return options.length === 0 ? undefined : `{${options.join(',')}}`;
}

function indexChanges(entry: OplogEntry, command: string, at: Moment): IndexChange[] {
  const { bytes, o, o2 } = entry;
  const made = (start: number, without: readonly string[]): IndexChange => {
    const fields = [...elements(bytes, start)].filter((each) => !without.includes(keyOf(each)));
    const text = fields.map((each) => `${showText(keyOf(each))}:${showValue(each)}`).join(',');
    return { name: nameIn(bytes, start), made: `{${text}}`, was: undefined, at };
  };
  if (command === 'createIndexes') return [made(o, [command])];
  if (command === 'commitIndexBuild') {
    const list = findElement(bytes, o, Buffer.from('indexes'));
    if (list?.type !== BSON.ARRAY) return [];
    return [...elements(bytes, list.start)].flatMap(({ type, start }) =>
      type === BSON.OBJECT ? [made(start, [])] : [],
    );
  }
  if (!/^(?:drop|delete)Index(?:es)?$/.test(command)) return [];
  const was =
    o2 >= 0 && findElement(bytes, o2, Buffer.from('key')) !== undefined ? showDocument(bytes, o2) : undefined;
  return [{ name: textIn(entry, 'index'), made: undefined, was, at }];
}

function nameIn(bytes: Buffer, start: number): string {
  const name = findElement(bytes, start, Buffer.from('name'));
  return name?.type === BSON.STRING ? bytes.toString('utf8', name.start + 4, name.end - 1) : '';
}
