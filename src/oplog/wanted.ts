import { elements, findElement, keyOf } from '../bson/elements.ts';
import { showIsoDate } from '../bson/extended-json-types.ts';
import { BSON } from '../bson/types.ts';
import { type OplogEntry, showTimestamp } from './entry.ts';
import { NEWER_SERVER, OplogFault } from './faults.ts';

/** A collection that an oplog is read for. */
export interface WantedCollection {
  /** As the backup names it. */
  readonly collection: string;
  /** `database.collection` on the server that the backup was taken of. */
  readonly namespace: string;
  /** Of the collection in the backup, 32 hex digits. */
  readonly uuid: string;
  /** What a dump says of it, Extended JSON. */
  readonly metadata?: string | undefined;
}

const UUID_BYTES = 16;
/** As many bytes as a number holds exactly; the rest is compared. */
const HEAD_BYTES = 6;

/** In place of the name of a collection that is gone. */
const GONE = '';

interface KnownUuid {
  readonly bytes: Buffer;
  index: number;
}

/**
 * Tells by its UUID which collection an entry belongs to, and follows the names: a collection keeps its UUID when it is renamed, and one that is
 * dropped and made again gets another one.
 */
export class WantedCollections {
  readonly #known = new Map<number, KnownUuid[]>();
  /** The one that was found last. */
  #latest: KnownUuid = { bytes: Buffer.alloc(UUID_BYTES), index: -1 };
  /** The name that each collection has now. */
  readonly #names: string[];
  /** Collections that have the name of a wanted one and another UUID; by that name. */
  readonly #strangers = new Map<string, string>();
  readonly #collections: readonly WantedCollection[];

  constructor(collections: readonly WantedCollection[]) {
    this.#collections = collections;
    this.#names = collections.map(({ namespace }) => namespace);
    for (const [index, { uuid }] of collections.entries()) this.#learn(Buffer.from(uuid, 'hex'), index);
  }

  /** Position of the wanted collection whose UUID starts at `at`; -1: another one, which `nameOf` gives the name of. */
  find(bytes: Buffer, at: number, nameOf: { readonly ns: string }): number {
    // Neighbours are mostly of one collection, and looking it up costs as much as reading an entry.
    if (isUuid(this.#latest.bytes, bytes, at)) return this.#latest.index;
    for (const each of this.#known.get(bytes.readUIntLE(at, HEAD_BYTES)) ?? [])
      if (isUuid(each.bytes, bytes, at)) {
        this.#latest = each;
        return each.index;
      }
    const uuid = Buffer.from(bytes.subarray(at, at + UUID_BYTES));
    this.#learn(uuid, -1);
    if (this.named(nameOf.ns) >= 0) this.#strangers.set(nameOf.ns, uuid.toString('hex'));
    return -1;
  }

  /** Position of the wanted collection that has this name now; -1: none. */
  named(namespace: string): number {
    return namespace === GONE ? -1 : this.#names.indexOf(namespace);
  }

  /** The name that the wanted collection has now. */
  nameOf(index: number): string {
    return this.#names[index] as string;
  }

  /** A wanted collection has this name from now on; whatever had it before is another matter. */
  takesName(index: number, namespace: string): void {
    this.#names[index] = namespace;
    this.#strangers.delete(namespace);
  }

  /** The wanted collection is gone: whatever has its name from now on is another one. */
  losesName(index: number): void {
    this.#strangers.delete(this.nameOf(index));
    this.#names[index] = GONE;
  }

  /** A collection that is made empty, in the place of a wanted one that is gone, is followed as that one, whose position it is; -1: none. Its UUID starts at `at`. */
  succeeds(namespace: string, bytes: Buffer, at: number): number {
    const index = this.#collections.findIndex(
      (each, i) => each.namespace === namespace && this.nameOf(i) === GONE,
    );
    if (index < 0) return -1;
    this.find(bytes, at, { ns: '' });
    // It was asked for last, and is one of those that are not wanted.
    for (const each of this.#known.get(bytes.readUIntLE(at, HEAD_BYTES)) ?? [])
      if (isUuid(each.bytes, bytes, at)) each.index = index;
    this.#names[index] = namespace;
    return index;
  }

  /** The names that wanted collections of this database have now. */
  inDatabase(database: string): readonly number[] {
    return [...this.#names.keys()].filter((index) => this.nameOf(index).startsWith(`${database}.`));
  }

  /** Throws where entries of a wanted name belong to another collection, and nothing in the oplog explains it. */
  refuseStrangers(): void {
    for (const [namespace, uuid] of this.#strangers) {
      const wanted = this.#collections[this.named(namespace)];
      throw new OplogFault(
        `its entries for ${namespace} belong to a collection with the UUID ${uuid}, and that of the backup is ${wanted?.uuid}`,
        'Either this is the oplog of another replica set, or the collection was made anew between the backup and what the oplog still holds. Name the oplog of the replica set that the backup was taken of.',
      );
    }
  }

  #learn(bytes: Buffer, index: number): void {
    const head = bytes.readUIntLE(0, HEAD_BYTES);
    this.#known.set(head, [...(this.#known.get(head) ?? []), { bytes, index }]);
  }
}

/** A loop: for so few bytes `Buffer.compare` takes ten times as long. */
function isUuid(uuid: Buffer, bytes: Buffer, at: number): boolean {
  for (let i = 0; i < UUID_BYTES; i++) if (uuid[i] !== bytes[at + i]) return false;
  return true;
}

// What the commands of an oplog (`op: c`) mean for the documents of a collection.

/**
 * - operations: it holds operations on documents, or begins or ends a transaction
 * - nothing: it changes no document
 * - settings: it changes no document, but what a collection is; worth telling
 * - indexes: it changes no document, but the indexes of a collection; worth telling, once for each
 * - empties: every document of the collection is gone afterwards, without an entry for each
 * - named: a collection comes to be, or gets another name
 * - elsewhere: documents change, and what they become does not stand in the oplog
 */
type CommandMeaning = 'operations' | 'nothing' | 'settings' | 'indexes' | 'empties' | 'named' | 'elsewhere';

const COMMANDS = new Map<string, CommandMeaning>([
  ['applyOps', 'operations'],
  ['commitTransaction', 'operations'],
  ['abortTransaction', 'operations'],
  ['create', 'named'],
  ['renameCollection', 'named'],
  ['collMod', 'settings'],
  ['drop', 'empties'],
  ['dropDatabase', 'empties'],
  ['emptycapped', 'empties'],
  ['convertToCapped', 'empties'],
  ['importCollection', 'elsewhere'],
  ['upgradeDowngradeViewlessTimeseries', 'elsewhere'],
  ['truncateRange', 'elsewhere'],
  ...['commitIndexBuild', 'createIndexes', 'deleteIndex', 'deleteIndexes', 'dropIndex', 'dropIndexes'].map(
    (name) => [name, 'indexes'] as const,
  ),
  ...[
    'abortIndexBuild',
    'cloneCollectionAsCapped',
    'createDatabaseMetadata',
    'dbCheck',
    'dropDatabaseMetadata',
    'dropIdent',
    'modifyCollectionShardingIndexCatalog',
    'setMultikeyMetadata',
    'startIndexBuild',
  ].map((name) => [name, 'nothing'] as const),
]);

/** Undefined for a command that is not known here. */
export function meaningOf(command: string): CommandMeaning | undefined {
  return COMMANDS.get(command);
}

/** The command's name: the first key of its document. */
export function commandOf({ bytes, o }: OplogEntry): string {
  if (o < 0) throw new OplogFault('it has no "o"');
  for (const element of elements(bytes, o)) return keyOf(element);
  return '';
}

/** Is told of commands on wanted collections that would else be a fault, or mean nothing. */
export interface CommandWatch {
  /** No document of it is left. False: that is a fault here. */
  gone(index: number, entry: OplogEntry, end: CollectionEnd): boolean;
  /** A command that may have changed its indexes, or by which it, or another one in its place, was made. */
  indexes(index: number, entry: OplogEntry, command: string): void;
}

/** What became of a collection. */
export interface CollectionEnd {
  /** In words, after its name. */
  readonly what: string;
  /** The namespace of the collection that took its place. */
  readonly by?: string;
}

/** Follows wanted collections through the commands that are about a whole collection. */
export class CollectionCommands {
  readonly #wanted: WantedCollections;
  /** Where things worth telling are added. */
  readonly #notes: Set<string>;
  readonly #watch: CommandWatch | undefined;
  /** Collections whose indexes were changed. */
  readonly #reindexed = new Set<number>();

  constructor(wanted: WantedCollections, notes: Set<string>, watch?: CommandWatch) {
    this.#wanted = wanted;
    this.#notes = notes;
    this.#watch = watch;
  }

  /** Throws OplogFault where no documents are left, or nobody knows which. */
  follow(entry: OplogEntry, name: string): void {
    const index = entry.ui < 0 ? -1 : this.#wanted.find(entry.bytes, entry.ui, entry);
    switch (meaningOf(name)) {
      case 'nothing':
        if (index >= 0) this.#watch?.indexes(index, entry, name);
        return;
      case 'indexes':
        if (index < 0) return;
        this.#watch?.indexes(index, entry, name);
        if (!this.#reindexed.has(index))
          this.#notes.add(
            `${this.#wanted.nameOf(index)} was given other indexes (${name}) at ${momentText(entry)}`,
          );
        this.#reindexed.add(index);
        return;
      case 'settings':
        if (index >= 0) this.#watch?.indexes(index, entry, name);
        if (index >= 0)
          this.#notes.add(
            `${this.#wanted.nameOf(index)} was given other options (${name}) at ${momentText(entry)}`,
          );
        return;
      case 'named':
        if (name === 'create') this.#created(entry, index);
        else this.#renamed(entry, index);
        return;
      case 'empties':
        this.#emptied(entry, name, index);
        return;
      default:
        // Also what is not known here: harmless where it is about another collection.
        if (entry.ui >= 0 && index < 0) return;
        throw new OplogFault(`it is a command ${JSON.stringify(name)} that cannot be followed`, NEWER_SERVER);
    }
  }

  #created(entry: OplogEntry, index: number): void {
    const namespace = `${databaseOf(entry)}.${textIn(entry, 'create')}`;
    if (index >= 0) this.#wanted.takesName(index, namespace);
    const made = index < 0 && entry.ui >= 0 ? this.#wanted.succeeds(namespace, entry.bytes, entry.ui) : index;
    if (made >= 0) this.#watch?.indexes(made, entry, 'create');
  }

  #renamed(entry: OplogEntry, index: number): void {
    const { bytes } = entry;
    const to = textIn(entry, 'to');
    const target = findElement(bytes, entry.o, DROP_TARGET);
    const lost =
      target?.type === BSON.BINARY
        ? this.#wanted.find(bytes, target.start + 5, { ns: '' })
        : target?.type === BSON.BOOL && bytes[target.start] === 1
          ? this.#wanted.named(to)
          : -1;
    const from = textIn(entry, 'renameCollection');
    if (lost >= 0) this.#lose(entry, lost, { what: `was replaced by ${from}`, by: from });
    if (index < 0) return;
    this.#notes.add(
      `${this.#wanted.nameOf(index)} was renamed to ${to} at ${momentText(entry)}; it is followed by its UUID`,
    );
    this.#wanted.takesName(index, to);
  }

  #emptied(entry: OplogEntry, name: string, index: number): void {
    if (name === 'dropDatabase') {
      // Servers drop the collections one by one before; this is for those that do not say so.
      const [first] = this.#wanted.inDatabase(databaseOf(entry));
      if (first !== undefined) this.#lose(entry, first, { what: 'was dropped with its database' });
      return;
    }
    const gone = entry.ui >= 0 ? index : this.#wanted.named(`${databaseOf(entry)}.${textIn(entry, name)}`);
    if (gone >= 0)
      this.#lose(entry, gone, { what: name === 'drop' ? 'was dropped' : `was emptied (${name})` });
  }

  #lose(entry: OplogEntry, index: number, end: CollectionEnd): void {
    if (this.#watch?.gone(index, entry, end)) {
      this.#wanted.losesName(index);
      return;
    }
    const held = numRecords(entry);
    const count = held === undefined ? '' : ` with ${held} documents`;
    throw new OplogFault(
      `${this.#wanted.nameOf(index)} ${end.what}${count} at ${momentText(entry)}: afterwards it has no documents that could be restored`,
      `Let source.at${this.#watch === undefined ? '' : ', and the end of every window,'} be no later than ${Number.isNaN(entry.wall) ? 'that' : showIsoDate(entry.wall)}. ` +
        'One that was made under its name since is not of this backup: a live or saved oplog gives what happened to it without a backup.',
    );
  }
}

/** The server's own copies, by which a collection is made capped or goes to another database: some servers put its name behind. */
const COPY = /^tmp.{5}\.(renameCollection|convertToCapped)(?:\.|$)/;

/** Whether the server made the collection `database.name` for itself, and which command did. */
export function copyOf(namespace: string): '$out' | 'renameCollection' | 'convertToCapped' | undefined {
  const name = namespace.slice(namespace.indexOf('.') + 1);
  if (name.startsWith('tmp.agg_out.')) return '$out';
  return COPY.exec(name)?.[1] as 'renameCollection' | 'convertToCapped' | undefined;
}

export const DROP_TARGET = Buffer.from('dropTarget');
const NUM_RECORDS = Buffer.from('numRecords');

export function databaseOf({ ns }: OplogEntry): string {
  return ns.slice(0, ns.indexOf('.'));
}

/** The text under a key of the command. */
export function textIn({ bytes, o }: OplogEntry, key: string): string {
  const value = findElement(bytes, o, Buffer.from(key));
  return value?.type === BSON.STRING ? bytes.toString('utf8', value.start + 4, value.end - 1) : '';
}

/** How many documents a collection had when it was dropped; undefined where the entry does not say. */
export function numRecords({ bytes, o2 }: OplogEntry): number | undefined {
  const value = o2 < 0 ? undefined : findElement(bytes, o2, NUM_RECORDS);
  if (value === undefined) return undefined;
  if (value.type === BSON.INT32) return bytes.readInt32LE(value.start);
  if (value.type === BSON.INT64) return Number(bytes.readBigInt64LE(value.start));
  return value.type === BSON.DOUBLE ? bytes.readDoubleLE(value.start) : undefined;
}

/** When the entry was written, for messages. */
export function momentText(entry: OplogEntry): string {
  const wall = Number.isNaN(entry.wall) ? undefined : showIsoDate(entry.wall);
  return wall === undefined ? showTimestamp(entry) : `${wall} (${showTimestamp(entry)})`;
}
