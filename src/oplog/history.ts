/**
 * What an oplog says happened to collections, as runs: operations of one kind, of one origin, that follow each other closely.
 *
 * What nobody did on purpose is told apart as far as the entries and what is known of the collection go: expiry by a TTL index, overruns of a
 * capped collection, migrations of chunks, copies that the server makes for itself. A deletion holds only an `_id`: where the document's
 * date is not known, it may have been expiry, and that is what is said.
 */
import { createHash } from 'node:crypto';
import { findId } from '../bson/documents.ts';
import { elements, findElement, keyOf } from '../bson/elements.ts';
import { showValue } from '../bson/show.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { isOfLedger } from '../plan/ledger-names.ts';
import { showCounted } from '../text/quantities.ts';
import { OP, type OplogEntry, timeOf } from './entry.ts';
import {
  addId,
  countField,
  type HistoryRun,
  HistoryRuns,
  PAUSE_MS,
  type RunKind,
  type RunOrigin,
  type RunTraits,
  Timeline,
  wantsIds,
} from './history-runs.ts';
import { grown, IdTable } from './id-table.ts';
import type { TakesOperations } from './operations.ts';
import { requireSaved, type SavedScope } from './saved-scope.ts';
import type { CollectionFacts } from './sources/entry-source.ts';
import { updateKind } from './updates/update.ts';
import { copyOf, DROP_TARGET, databaseOf, numRecords, textIn } from './wanted.ts';
import { TtlIndexes } from './windows/ttl-indexes.ts';

const FIRST_CAPACITY = 64;
/** What is known of single documents, of all collections together: a million ObjectIds and more. */
const MOST_ID_BYTES = 64 * 1024 * 1024;
/** Bytes; a longer one is not told. */
const LONGEST_ID_SHOWN = 1_000;
const NOBODY = createHash('sha256').digest('hex');

export interface HistoryScope {
  readonly database: string;
  /** Undefined: all of the database, but for what this program keeps there for itself. */
  readonly collections: readonly string[] | undefined;
  /** UTC milliseconds; runs of [since, until) are told. */
  readonly since: number;
  readonly until: number;
  /** Moments that no run reaches across. */
  readonly breaks?: readonly number[] | undefined;
  /** By name; undefined where a collection is not known. */
  readonly facts: (collection: string) => CollectionFacts | undefined;
}

/** Collects runs from operations; stands where a replay's wanted collections and commands stand. */
export class History implements TakesOperations {
  readonly timeline = new Timeline();
  readonly #runs: HistoryRuns;
  readonly #scope: HistoryScope;
  readonly #collections: Watched[] = [];
  readonly #byName = new Map<string, number>();
  /** Bytes of what is known of single documents. */
  #idBytes = 0;
  /** Documents of which nothing more could be kept. */
  #notKept = 0;

  constructor(scope: HistoryScope) {
    this.#scope = scope;
    this.#runs = new HistoryRuns(scope.breaks);
  }

  /** As of WantedCollections: the place of the collection that an entry names. */
  find(_bytes: Buffer, _at: number, { ns }: { readonly ns: string }): number {
    return this.named(ns);
  }

  named(namespace: string): number {
    const known = this.#byName.get(namespace);
    if (known !== undefined) return known;
    const { database, collections, facts } = this.#scope;
    const name = namespace.startsWith(`${database}.`) ? namespace.slice(database.length + 1) : undefined;
    const isWanted =
      name !== undefined && name !== '$cmd' && (collections?.includes(name) ?? !isOfLedger(name));
    const index = isWanted ? this.#collections.push(new Watched(namespace, facts(name))) - 1 : -1;
    this.#byName.set(namespace, index);
    return index;
  }

  use(): void {}

  saved(scope: SavedScope): void {
    const { database, collections } = this.#scope;
    for (const name of collections ?? ['']) requireSaved(scope, `${database}.${name}`);
  }

  operation(index: number, operation: OplogEntry, container: OplogEntry): void {
    const collection = this.#collections[index] as Watched;
    const { bytes, op, o, o2 } = operation;
    const wall = timeOf(container);
    const id = findId(bytes, op === OP.UPDATE && o2 >= 0 ? o2 : o);
    const kind =
      op === OP.INSERT
        ? 'inserts'
        : op === OP.DELETE
          ? 'deletes'
          : updateKind(bytes, o) === 'whole'
            ? 'replacements'
            : 'updates';
    const how =
      operation === container
        ? 'one'
        : container.hasSession && container.multiOpType === 0
          ? 'transaction'
          : 'many';
    const origin = originOf(collection, { operation, container, id, kind });
    if (id !== undefined && kind !== 'deletes' && collection.expires && this.#mayKeep())
      this.#idBytes += collection.lives(id, operation, kind);
    if (id !== undefined && kind === 'inserts') {
      const deleted = collection.takeDeleted(id);
      if (deleted !== undefined) this.#runs.at(deleted).cameBack++;
    }
    if (wall < this.#scope.since || wall >= this.#scope.until) return;
    const isLoss = kind === 'deletes';
    const about = { namespace: collection.namespace, kind, origin, how, isLoss } as const;
    const run = this.#runs.of({ ...about, user: userOf(container), detail: undefined }, wall);
    run.count = (run.count ?? 0) + 1;
    if (id !== undefined) {
      if (wantsIds(run) && id.end - id.start <= LONGEST_ID_SHOWN) addId(run, showValue(id));
      if (isLoss && this.#mayKeep()) this.#idBytes += collection.deleted(id, run.number);
    }
    if (kind === 'updates')
      eachField(operation, (path, isOdd) => {
        countField(run, path);
        run.hasOddFields ||= isOdd;
      });
    this.timeline.add(collection.namespace, wall);
  }

  /** In the order in which they began. */
  get runs(): readonly HistoryRun[] {
    return this.#runs.all;
  }

  /** What could not be told, or only coarsely, a sentence each without its end. */
  *notes(): Generator<string> {
    yield* this.#runs.notes();
    if (this.#notKept > 0)
      yield `${showCounted(this.#notKept, 'document')} of very many could not be kept in mind: how many of the deleted are there again, and which had expired, is not known of all`;
  }

  #mayKeep(): boolean {
    if (this.#idBytes < MOST_ID_BYTES) return true;
    this.#notKept++;
    return false;
  }

  /** As of CollectionCommands. */
  follow(entry: OplogEntry, name: string): void {
    const wall = timeOf(entry);
    if (wall < this.#scope.since || wall >= this.#scope.until) return;
    const database = databaseOf(entry);
    const text = (key: string): string => textIn(entry, key);
    if (name === 'renameCollection') {
      const [from, to] = [text('renameCollection'), text('to')];
      if (this.named(from) < 0 && this.named(to) < 0) return;
      const replaces = findElement(entry.bytes, entry.o, DROP_TARGET)?.type === BSON.BINARY;
      const copy = copyOf(from);
      if (copy === 'convertToCapped') {
        this.#command(to, 'command', { wall, isLoss: false, detail: `${to} was made capped (${copy})` });
        return;
      }
      this.#command(to, copy === '$out' ? '$out' : 'rename', {
        ...{ wall, isLoss: replaces },
        detail: `${from} was renamed to ${to}${replaces ? ', which was there and is gone' : ''}`,
      });
    } else if (name === 'drop' || name === 'emptycapped' || name === 'convertToCapped') {
      const namespace = `${database}.${text(name)}`;
      if (this.named(namespace) < 0) return;
      this.#command(namespace, name === 'drop' ? 'drop' : 'command', {
        ...{ wall, isLoss: name === 'drop' },
        detail: `${namespace} was ${name === 'drop' ? 'dropped' : `emptied (${name})`}`,
        count: numRecords(entry),
      });
    } else if (name === 'dropDatabase' && database === this.#scope.database) {
      const detail = `the database ${database} was dropped`;
      this.#command(database, 'drop', { wall, isLoss: false, detail });
    }
  }

  #command(
    namespace: string,
    kind: RunKind,
    { wall, count, ...told }: Pick<RunTraits, 'isLoss'> & CommandTold,
  ): void {
    const about = { namespace, kind, ...told, user: undefined, ...({ origin: 'user', how: 'one' } as const) };
    this.#runs.command(about, wall, count);
  }
}

/**
 * The runs in which documents were lost together with those that `namespace` lost within `span`, these among them: no longer after one of its own
 * losses, or before it, than the pause that ends a run, or than that from one of these. Those that nobody did on purpose are not among them.
 * `runs`: none reaches across an end of the span.
 */
export function lostWith(
  runs: readonly HistoryRun[],
  namespace: string,
  { from, until }: { readonly from: number; readonly until: number },
): HistoryRun[] {
  const losses = runs.filter(
    (run) =>
      run.isLoss && (run.origin === 'user' || run.origin === 'maybeExpired') && !isInternal(run.namespace),
  );
  const groups: HistoryRun[][] = [];
  let end = Number.NEGATIVE_INFINITY;
  for (const run of losses.sort((a, b) => a.first - b.first)) {
    if (run.first - end > PAUSE_MS) groups.push([]);
    groups.at(-1)?.push(run);
    end = Math.max(end, run.last);
  }
  const isOwn = (run: HistoryRun): boolean =>
    run.namespace === namespace && run.first >= from && run.first < until;
  return groups.filter((group) => group.some(isOwn)).flat();
}

interface CommandTold {
  readonly wall: number;
  readonly detail: string;
  readonly count?: number | undefined;
}

/** One collection: what was deleted in which run, and dates by which documents expire. */
class Watched {
  readonly namespace: string;
  readonly facts: CollectionFacts | undefined;
  /** By what its documents expire: as its server has it now. */
  readonly ttl: TtlIndexes;
  readonly expires: boolean;
  readonly #ids = new IdTable();
  /** By number of the `_id`: place of the run that deleted it plus one; 0: it is there. */
  #deletedBy = new Uint32Array(FIRST_CAPACITY);
  /** By number: when it expires, UTC milliseconds; Infinity: never, NaN: not known. Empty without a TTL index. */
  #expires: Float64Array;

  constructor(namespace: string, facts: CollectionFacts | undefined) {
    this.namespace = namespace;
    this.facts = facts;
    this.ttl = new TtlIndexes(facts?.metadata);
    this.expires = this.ttl.areThere;
    this.#expires = new Float64Array(this.expires ? FIRST_CAPACITY : 0).fill(Number.NaN);
  }

  /** It was inserted, replaced or updated. Returns by how many bytes more is kept now. */
  lives(id: RawValue, { bytes, o }: OplogEntry, kind: RunKind): number {
    if (kind === 'updates') {
      // An update does not hold the whole document: what it may have moved is not known any more.
      const known = this.#ids.find(id);
      if (known >= 0 && this.ttl.mayMove(bytes, o)) this.#expires[known] = Number.NaN;
      return 0;
    }
    const before = this.#bytes;
    const number = this.#numberOf(id);
    this.#expires[number] = this.ttl.expiresAt(bytes, o);
    return this.#bytes - before;
  }

  /** The same. */
  deleted(id: RawValue, run: number): number {
    const before = this.#bytes;
    const number = this.#numberOf(id);
    this.#deletedBy[number] = run + 1;
    return this.#bytes - before;
  }

  takeDeleted(id: RawValue): number | undefined {
    const number = this.#ids.find(id);
    if (number < 0) return undefined;
    const run = this.#deletedBy[number] as number;
    this.#deletedBy[number] = 0;
    return run === 0 ? undefined : run - 1;
  }

  /** When the document expires that an entry deletes; NaN: not known. */
  expiryOf(id: RawValue, { bytes, o }: OplogEntry): number {
    const number = this.#ids.find(id);
    const known = number < 0 ? Number.NaN : (this.#expires[number] as number);
    if (!Number.isNaN(known)) return known;
    // Of a clustered collection the _id says it.
    const byId = this.ttl.expiresAt(bytes, o);
    return byId === Number.POSITIVE_INFINITY ? Number.NaN : byId;
  }

  get #bytes(): number {
    return this.#ids.bytes + this.#deletedBy.byteLength + this.#expires.byteLength;
  }

  #numberOf(id: RawValue): number {
    const number = this.#ids.numberOf(id);
    if (number === this.#deletedBy.length) {
      this.#deletedBy = grown(this.#deletedBy, new Uint32Array(number * 2));
      if (this.expires) this.#expires = grown(this.#expires, new Float64Array(number * 2).fill(Number.NaN));
    }
    return number;
  }
}

interface Deed {
  readonly operation: OplogEntry;
  readonly container: OplogEntry;
  readonly id: RawValue | undefined;
  readonly kind: RunKind;
}

function originOf(collection: Watched, { operation, container, id, kind }: Deed): RunOrigin {
  if (isInternal(collection.namespace)) return 'internal';
  if (operation.fromMigrate) return 'migration';
  if (kind !== 'deletes' || container.lsid >= 0) return 'user';
  if (collection.facts?.capped) return 'overrun';
  if (!collection.expires) return 'user';
  const expires = id === undefined ? Number.NaN : collection.expiryOf(id, operation);
  if (Number.isNaN(expires)) return 'maybeExpired';
  return expires <= timeOf(container) ? 'expired' : 'user';
}

/** The server makes it for itself. */
function isInternal(namespace: string): boolean {
  return copyOf(namespace) !== undefined;
}

/** Of a session without a login it is the hash of nothing. */
function userOf({ bytes, lsid }: OplogEntry): string | undefined {
  if (lsid < 0) return undefined;
  const uid = findElement(bytes, lsid, UID);
  if (uid?.type !== BSON.BINARY) return undefined;
  const hash = bytes.toString('hex', uid.start + 5, uid.end);
  return hash === NOBODY ? undefined : hash;
}

/** Who a hash may be of: `user@database`. */
export function userHash(name: string): string {
  return createHash('sha256').update(name).digest('hex');
}

const UID = Buffer.from('uid');
const DIFF = Buffer.from('diff');

/** `isOdd`: another field than the one that is meant is reached by that path, or none. */
type TakeField = (path: string, isOdd: boolean) => void;

/** Names the fields that a diff or modifiers change; of what lies in an array, the array. */
function eachField({ bytes, o }: OplogEntry, take: TakeField): void {
  const diff = findElement(bytes, o, DIFF);
  if (diff?.type === BSON.OBJECT) {
    eachOfDiff(bytes, diff.start, { path: undefined, isOdd: false }, take);
    return;
  }
  for (const modifier of elements(bytes, o)) {
    if (modifier.type !== BSON.OBJECT) continue;
    for (const field of elements(bytes, modifier.start))
      take(keyOf(field).replace(/\.\d+(?:\..*)?$/, ''), false);
  }
}

/** What a diff is about; without a path: the document. */
interface DiffPath {
  readonly path: string | undefined;
  readonly isOdd: boolean;
}

function eachOfDiff(bytes: Buffer, start: number, at: DiffPath, take: TakeField): void {
  const tell = ({ path = '', isOdd }: DiffPath): void => take(path, isOdd);
  for (const section of elements(bytes, start)) {
    const key = keyOf(section);
    // An array's diff says so first.
    if (key === 'a' && section.type === BSON.BOOL) {
      tell(at);
      return;
    }
    if (key.startsWith('s')) eachOfDiff(bytes, section.start, below(at, key.slice(1)), take);
    else if (section.type === BSON.OBJECT)
      for (const field of elements(bytes, section.start)) tell(below(at, keyOf(field)));
  }
}

function below({ path, isOdd }: DiffPath, name: string): DiffPath {
  return {
    path: path === undefined ? name : `${path}.${name}`,
    isOdd: isOdd || name === '' || name.includes('.'),
  };
}
