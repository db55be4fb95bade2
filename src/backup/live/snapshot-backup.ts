/**
 * `source.snapshot`: a running database as it was at `source.at`, out of the history that a replica set keeps for
 * `minSnapshotHistoryWindowInSeconds` (300 s where nobody changed it). Dropped collections are in it.
 *
 * Reads name `atClusterTime` in the command itself: the driver's own option `readConcern` passes on the level alone, and the server then reads the
 * present without a word. A namespace that did not exist at that time gives no document and no error, too. So each collection is looked up in the
 * catalog of that time first (`$listCatalog`, which the role `read` allows; servers from 7.0 on keep the history of the catalog).
 */
import { Timestamp } from 'bson';
import type { Db, Document, MongoClient } from 'mongodb';
import { elements, keyOf } from '../../bson/elements.ts';
import { showText, showValue } from '../../bson/show.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import { RestorePlanError } from '../../errors.ts';
import { asBuffer } from '../../mongo/raw-messages.ts';
import type { Instant } from '../../plan/instant.ts';
import type { Source } from '../../plan/plan.ts';
import type { SnapshotLocation } from '../../plan/sources/mongodb.ts';
import type { Run } from '../../run.ts';
import { around, type Backup, type BackupIdentity, type CollectionMetadata } from '../backup.ts';
import {
  BATCH_DOCUMENTS,
  batchesOf,
  connectLive,
  field,
  isUnauthorized,
  LiveBackup,
  type LiveCollection,
  listCollections,
  liveFault,
  metadataOf,
  READING,
  uuidText,
  wantedBy,
} from './live-backup.ts';

const NAMED = 'source.snapshot';

/** MongoDB 7.0, the first that can read a dropped collection. */
const OLDEST_WIRE_VERSION = 21;

const SNAPSHOT_TOO_OLD = 239;
const SNAPSHOT_UNAVAILABLE = 246;

const OTHERWISE = 'Restore from a backup that source.oplog rolls forward to source.at.';

/**
 * `wanted`: the collections that are looked for although the database may have lost them. Throws RestorePlanError BACKUP where the server cannot
 * be reached, keeps no history, or `source.at` is still to come. That the history no longer reaches back is thrown by `read`: a selection
 * made in time is used without it.
 */
export async function openSnapshot(
  run: Run,
  source: Source & { readonly location: SnapshotLocation },
  wanted: ReadonlySet<string>,
): Promise<Backup> {
  const { uri } = source.location;
  const at = source.at as Instant;
  const { client, hosts } = await connectLive(run, uri, NAMED);
  try {
    const hello = await asking('asking what it is', () => client.db('admin').command({ hello: 1 }));
    refuseOthers(hello);
    const moment = await momentOf(client, at, hello);
    const db = client.db(source.database);
    const place = `${hosts}/${source.database}`;
    const identity: BackupIdentity = {
      location: `mongodb (snapshot at ${at.text}) ${place}`,
      kind: 'snapshot',
      time: undefined,
      localTime: undefined,
      modified: undefined,
      size: undefined,
      // Not the server's time: what was selected while there was still history is found by this when there is none any more.
      fingerprint: `snapshot:${place}@${at.ts ? at.text : at.epochMs}${moment.warnings.length === 0 ? '' : ' (second)'}`,
    };
    const snapshot = new Snapshot(db, { at, time: moment.time, isMongos: hello['msg'] === 'isdbgrid' });
    const close = (): Promise<void> => client.close();
    try {
      const collections = await snapshot.collections(wanted);
      return new LiveBackup({
        identity,
        collections,
        warnings: moment.warnings,
        describe: async (one) => describe(one),
        documents: (collection, filter) => snapshot.documents(collection, filter),
        close,
      });
    } catch (error) {
      if (!(error instanceof HistoryLost)) throw error;
      return unreadable(identity, error, close);
    }
  } catch (error) {
    await client.close();
    throw error;
  }
}

/** The history does not reach back to the moment. */
class HistoryLost extends RestorePlanError {}

function unreadable(identity: BackupIdentity, error: HistoryLost, close: () => Promise<void>): Backup {
  const nothing = new LiveBackup({
    identity,
    collections: [],
    describe: () => Promise.reject(error),
    documents: () => {
      throw error;
    },
    close,
  });
  return around(nothing, {
    holds: () => undefined,
    collections: () => Promise.resolve(undefined),
    read: () => {
      throw error;
    },
    close,
  });
}

/** Throws BACKUP for a server that has no history of the whole database. */
function refuseOthers(hello: Document): void {
  const refuse = (what: string, hint: string): never => {
    throw new RestorePlanError('BACKUP', `${NAMED} names ${what}.`, { hint });
  };
  const isMongos = hello['msg'] === 'isdbgrid';
  if (!isMongos && hello['setName'] === undefined)
    refuse(
      'a server that is no member of a replica set, and keeps no history of its documents',
      'Restore from a backup.',
    );
  // Shards alone say this, to anybody, since 5.0.
  if (!isMongos && 'isImplicitDefaultMajorityWC' in hello)
    refuse(
      `a shard of a sharded cluster (${hello['setName']}), which has only a part of the documents`,
      'Name a mongos of the cluster.',
    );
  if (Number(hello['maxWireVersion']) < OLDEST_WIRE_VERSION)
    refuse('a server older than MongoDB 7.0, which forgets collections that were dropped', OTHERWISE);
}

interface SnapshotMoment {
  /** Everything up to it, itself included, is in the snapshot. */
  readonly time: Timestamp;
  /** What is not exact about it. */
  readonly warnings: readonly string[];
}

/**
 * The last cluster time before `at`. Only the oplog knows the wall clock of an entry; where it cannot be read, the beginning of the second
 * of `at` is taken.
 */
async function momentOf(client: MongoClient, at: Instant, hello: Document): Promise<SnapshotMoment> {
  const now = (hello['$clusterTime'] as { clusterTime: Timestamp } | undefined)?.clusterTime;
  const server = (hello['localTime'] as Date).getTime();
  // A cluster that nobody writes to has a time before its clock's: nothing happened in between.
  const within = (time: Timestamp): Timestamp => (now?.lessThan(time) === true ? now : time);
  if (at.ts === undefined ? at.epochMs > server : now?.lessThan(timestamp(at.ts.seconds, 0)) === true) {
    throw new RestorePlanError(
      'BACKUP',
      `source.at ${at.text} is still to come by the clock of ${NAMED}, ${new Date(server).toISOString()}.`,
      { hint: 'Write the last moment at which the data was known to be good.' },
    );
  }
  if (at.ts !== undefined) {
    const { seconds, ordinal } = at.ts;
    const before = ordinal > 0 ? timestamp(seconds, ordinal - 1) : timestamp(seconds - 1, 0xffff_ffff);
    return { time: within(before), warnings: [] };
  }
  const second = Math.floor(at.epochMs / 1000);
  const whole = within(timestamp(second, 0));
  if (hello['msg'] !== 'isdbgrid') {
    const last = await lastBefore(client, at.epochMs);
    if (last !== 'unreadable') return { time: last ?? whole, warnings: [] };
  }
  const why =
    hello['msg'] === 'isdbgrid'
      ? 'a mongos has no oplog'
      : 'the user may not read the oplog (find on local.oplog.rs)';
  const text = new Date(second * 1000).toISOString().replace('.000Z', 'Z');
  const warning = `${NAMED}: ${why}, so the documents are as they were at the beginning of the second, ${text}; what was written later in that second is not in them`;
  return { time: whole, warnings: [warning] };
}

/** The newest entry of the oplog whose wall clock is before it; undefined where the oplog begins later. */
async function lastBefore(
  client: MongoClient,
  epochMs: number,
): Promise<Timestamp | 'unreadable' | undefined> {
  try {
    const [entry] = await client
      .db('local')
      .collection('oplog.rs')
      .find({ wall: { $lt: new Date(epochMs) } }, { sort: { $natural: -1 }, limit: 1, projection: { ts: 1 } })
      .toArray();
    return entry?.['ts'] as Timestamp | undefined;
  } catch (cause) {
    if (isUnauthorized(cause)) return 'unreadable';
    throw liveFault(cause, 'looking into its oplog', NAMED);
  }
}

function timestamp(seconds: number, ordinal: number): Timestamp {
  return new Timestamp({ t: seconds, i: ordinal });
}

interface Seen {
  readonly at: Instant;
  readonly time: Timestamp;
  readonly isMongos: boolean;
}

/** A database at a cluster time. */
class Snapshot {
  readonly #db: Db;
  readonly #at: Instant;
  readonly #isMongos: boolean;
  readonly #readConcern: Document;

  constructor(db: Db, { at, time, isMongos }: Seen) {
    this.#db = db;
    this.#at = at;
    this.#isMongos = isMongos;
    this.#readConcern = { level: 'snapshot', atClusterTime: time };
  }

  /** Those that are there now, and the wanted ones, as far as they existed. `raw` is their entry in the catalog, but for views and time series. */
  async collections(wanted: ReadonlySet<string>): Promise<LiveCollection[]> {
    const present = new Map(
      (await asking('listing collections', () => listCollections(this.#db))).map((one) => [one.name, one]),
    );
    const names = [...new Set([...present.keys(), ...wanted])].sort();
    const found = await Promise.all(
      names.map(async (name): Promise<LiveCollection | undefined> => {
        const now = present.get(name);
        // A view is a query of the present.
        if (now !== undefined && now.type !== 'collection') return now;
        const raw = await this.#catalogEntry(name, wanted.has(name));
        if (raw === undefined) return undefined;
        if (this.#isMongos && wanted.has(name))
          refuseReplaced(name, uuidOf(now?.raw, 'info'), uuidOf(raw, 'md'));
        return { name, type: 'collection', raw };
      }),
    );
    return found.filter((one) => one !== undefined);
  }

  async *documents(collection: string, filter: Buffer | undefined): AsyncGenerator<Buffer[]> {
    const cursor = this.#run({
      find: collection,
      filter: wantedBy(filter),
      ...READING,
      batchSize: BATCH_DOCUMENTS,
    }).setBatchSize(BATCH_DOCUMENTS);
    yield* batchesOf(cursor, (ask) => this.#asking(`reading ${collection}`, ask));
  }

  async #catalogEntry(collection: string, isWanted: boolean): Promise<Buffer | undefined> {
    const command = { aggregate: collection, pipeline: [{ $listCatalog: {} }], cursor: {} };
    const [entry] = await this.#asking(`looking for ${collection}`, async () => {
      try {
        return await this.#run(command).toArray();
      } catch (cause) {
        // Of what the plan does not name, it only means that nothing is known.
        if (!isWanted && (cause as { code?: unknown }).code === SNAPSHOT_UNAVAILABLE) return [];
        throw cause;
      }
    });
    return entry === undefined ? undefined : asBuffer(entry);
  }

  #run(command: Document): ReturnType<Db['runCursorCommand']> {
    return this.#db.runCursorCommand({ ...command, readConcern: this.#readConcern }, {
      raw: true,
    } as object);
  }

  async #asking<T>(doing: string, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (cause) {
      const { code } = cause as { code?: unknown };
      if (code === SNAPSHOT_TOO_OLD) throw await this.#tooOld(cause);
      if (code !== SNAPSHOT_UNAVAILABLE) throw liveFault(cause, doing, NAMED);
      const why = this.#isMongos
        ? 'what was dropped, made anew or moved since, a mongos no longer finds'
        : 'a server that became a member later does not know what was before';
      throw new HistoryLost(
        'BACKUP',
        `${NAMED} has no snapshot at ${this.#at.text} (${doing}: SnapshotUnavailable): ${why}.`,
        { hint: this.#isMongos ? OTHERWISE : `Name another member of the replica set. ${OTHERWISE}`, cause },
      );
    }
  }

  async #tooOld(cause: unknown): Promise<RestorePlanError> {
    const key = 'minSnapshotHistoryWindowInSeconds';
    // Not every user may ask.
    const asked: Document | undefined = await this.#db.client
      .db('admin')
      .command({ getParameter: 1, [key]: 1 })
      .catch(() => undefined);
    const seconds: unknown = asked?.[key];
    const window =
      seconds === undefined ? `300 s unless its ${key} says otherwise` : `${Number(seconds)} s (${key})`;
    return new HistoryLost(
      'BACKUP',
      `${NAMED} does not reach back to source.at ${this.#at.text} (SnapshotTooOld): the server keeps history for ${window}.`,
      { hint: OTHERWISE, cause },
    );
  }
}

async function asking<T>(doing: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    throw liveFault(cause, doing, NAMED);
  }
}

/** A mongos asks the shards that have a collection now: of one that was dropped, renamed or made anew since, parts would be missing without a word. */
function refuseReplaced(name: string, now: string | undefined, then: string | undefined): void {
  if (now !== undefined && now === then) return;
  throw new RestorePlanError(
    'BACKUP',
    `${name} was dropped, renamed, moved or made anew since source.at: a mongos no longer finds what it held.`,
    { hint: OTHERWISE },
  );
}

function uuidOf(raw: Buffer | undefined, inside: 'info' | 'md'): string | undefined {
  const outer = raw && field(raw, inside);
  if (outer === undefined) return undefined;
  const options = inside === 'info' ? outer : inner(outer, 'options');
  const uuid = options && inner(options, 'uuid');
  return uuid?.type === BSON.BINARY ? uuidText(uuid) : undefined;
}

function inner(value: RawValue, key: string): RawValue | undefined {
  return field(value.bytes.subarray(value.start, value.end), key);
}

/** In the same words as of a live database; its indexes are those of the catalog of that time. */
function describe({ name, type, raw }: LiveCollection): CollectionMetadata {
  const md = field(raw, 'md');
  if (md === undefined) return metadataOf(name, type, { options: undefined, indexes: [], uuid: undefined });
  const options = inner(md, 'options');
  const shown =
    options === undefined
      ? []
      : [...elements(options.bytes, options.start)]
          .filter((each) => keyOf(each) !== 'uuid')
          .map((each) => `${showText(keyOf(each))}:${showValue(each)}`);
  const indexes = inner(md, 'indexes');
  const ready =
    indexes === undefined
      ? []
      : [...elements(indexes.bytes, indexes.start)].flatMap((index) => {
          const spec = inner(index, 'spec');
          const isReady = inner(index, 'ready');
          if (spec === undefined || isReady?.bytes[isReady.start] === 0) return [];
          return [indexText(spec)];
        });
  return metadataOf(name, type, {
    options: shown.length === 0 ? undefined : `{${shown.join(',')}}`,
    indexes: ready,
    uuid: uuidOf(raw, 'md'),
  });
}

/** The catalog has the fields as they were given; `listIndexes`, and so a dump, puts these first. */
function indexText(spec: RawValue): string {
  const shown = new Map([...elements(spec.bytes, spec.start)].map((each) => [keyOf(each), showValue(each)]));
  const first = ['v', 'key', 'name'].filter((key) => shown.has(key));
  const others = [...shown.keys()].filter((key) => !first.includes(key));
  return `{${[...first, ...others].map((key) => `${showText(key)}:${shown.get(key)}`).join(',')}}`;
}
