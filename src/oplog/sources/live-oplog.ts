/**
 * The oplog of a running replica set: `local.oplog.rs` of a member.
 *
 * The server leaves out what cannot matter, so that of two million entries only those of the wanted collections travel. A reading whose
 * beginning the server has lost would begin later without a word: the oldest entry is looked at before and after.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Binary } from 'bson';
import type { Collection, Document, FindOptions, MongoClient } from 'mongodb';
import type { WholeDocuments } from '../../backup/backup.ts';
import {
  connectLive,
  type DescribedCollection,
  describedNow,
  describeLive,
  field,
  isUnauthorized,
  listCollections,
  liveFault,
} from '../../backup/live/live-backup.ts';
import { findElement } from '../../bson/elements.ts';
import { BSON } from '../../bson/types.ts';
import { RestorePlanError } from '../../errors.ts';
import { asBuffer } from '../../mongo/raw-messages.ts';
import type { Run } from '../../run.ts';
import type { Secret } from '../../secret.ts';
import { type Cut, isBehind, type Moment, momentOf, OplogEntry, type Timestamp } from '../entry.ts';
import { oplogError } from '../faults.ts';
import {
  type CollectionFacts,
  type EntryRange,
  type EntrySource,
  type OplogRoom,
  requireEntriesFrom,
} from './entry-source.ts';
import { anyOf, fetchedBy, filterFor, isLastBehind, placeOfCut, startOf, timestamp } from './live-batches.ts';

/** Entries fetched with one request; the server ends a batch at 16 MiB. */
const BATCH_ENTRIES = 10_000;

/** The server overwrote what was still to be read. */
const POSITION_LOST = 136;

/** A primary looks every ten seconds whether anything was written since it last did, and makes an entry if not: after twenty at the latest. */
const IDLE_MS = 22_000;
const CAPPED = Buffer.from('capped');
const ASKED_EACH_MS = 250;

/** How an oplog is meant by whoever names it. */
export interface LiveMeaning {
  /** Where its connection string is named, for messages: `source.oplog.mongodb`. */
  readonly named: string;
  /** A shard of a cluster will do: it has a part of the documents, and so of the changes. */
  readonly mayBeShard: boolean;
}

const IN_A_PLAN: LiveMeaning = { named: 'source.oplog.mongodb', mayBeShard: false };

export class LiveOplog implements EntrySource {
  /** For messages and the manifest; no credentials. */
  readonly origin: string;
  readonly isLoose = false;
  readonly notes: readonly string[] = [];
  readonly #entries: Collection;
  readonly #client: MongoClient;
  readonly #named: string;
  readonly #run: Run;
  /** The replica set's own name. */
  #setName = '';

  private constructor(
    run: Run,
    client: MongoClient,
    { hosts, named }: { readonly hosts: string; readonly named: string },
  ) {
    this.origin = `the oplog of ${hosts}`;
    this.#entries = client.db('local').collection('oplog.rs', { readConcern: { level: 'majority' } });
    this.#client = client;
    this.#named = named;
    this.#run = run;
  }

  /** Throws RestorePlanError BACKUP where it cannot be reached, or the user may not read the oplog. */
  static async open(run: Run, uri: Secret | undefined, meaning: LiveMeaning = IN_A_PLAN): Promise<LiveOplog> {
    const { named } = meaning;
    const { client, hosts } = await connectLive(run, uri, named);
    const oplog = new LiveOplog(run, client, { hosts, named });
    try {
      const hello = await oplog.#asking('asking what it is', () => client.db('admin').command({ hello: 1 }));
      refuseOthers(hello, meaning);
      oplog.#setName = String(hello['setName']);
      return oplog;
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  get setName(): string {
    return this.#setName;
  }

  /** The oldest entry that the server still has. */
  first(): Promise<Moment> {
    return this.#first({ sort: { $natural: 1 } });
  }

  /** The newest entry that most members of the set have. */
  last(): Promise<Moment> {
    return this.#first({ sort: { $natural: -1 } });
  }

  /**
   * Of the range, the entry with which it begins, those that may matter for the collections, and the first that does not count; then those behind
   * it that may matter, and the newest there is. That nothing was overwritten is known before the first that does not count is given.
   */
  async *entries({ from, cut, ...wanted }: EntryRange): AsyncGenerator<WholeDocuments> {
    const begin = from ?? (await this.first());
    await this.#refuseGap(begin);
    const matters = filterFor(wanted);
    if (cut === 'end') {
      yield* this.#from(begin, matters);
      await this.#refuseGap(begin);
      return;
    }
    await this.#reached(cut);
    // In one pass: a search for the cut alone costs the server as much as the reading.
    const behind = 'ts' in cut ? { ts: { $gte: timestamp(cut.ts) } } : { wall: { $gte: new Date(cut.wall) } };
    const either = matters.length === 0 ? [] : [...matters, behind];
    let end: Moment | undefined;
    for await (const batch of this.#from(begin, either, (each) => isLastBehind(each, cut))) {
      const last = placeOfCut(batch, cut);
      if (last === batch.count) {
        yield batch;
        continue;
      }
      await this.#refuseGap(begin);
      end = momentOf(new OplogEntry().read(batch.bytes, batch.starts[last] as number));
      yield { ...batch, count: last + 1 };
      break;
    }
    // What happens until the cut may still be written.
    if (end === undefined) await this.#refuseGap(begin);
    else {
      const newest = { ts: timestamp(await this.last()) };
      const either = matters.length === 0 ? [] : [...matters, newest];
      yield* this.#read({ ts: { $gt: timestamp(end) }, ...anyOf(either) });
    }
  }

  /** Waits for the entry that shows that all before the cut is there, where the server's clock says that one must come. */
  async #reached(cut: Exclude<Cut, 'end'>): Promise<void> {
    if (isBehind(await this.last(), cut)) return;
    const { localTime } = await this.#asking('asking for its time', () =>
      this.#client.db('admin').command({ hello: 1 }),
    );
    if (Number(localTime) < ('ts' in cut ? cut.ts.seconds * 1000 : cut.wall)) return;
    const { now, signal } = this.#run;
    const end = now() + IDLE_MS;
    while (now() < end && !isBehind(await this.last(), cut))
      await delay(ASKED_EACH_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  }

  /** The entry of a moment, and those behind it that match any of `filters`; all where there are none. */
  async *#from(
    begin: Timestamp,
    filters: readonly Document[],
    isEnd?: (batch: WholeDocuments) => boolean,
  ): AsyncGenerator<WholeDocuments> {
    // By itself, for the server goes to it at once: as a further filter it would be held against every entry.
    yield* this.#read({ ts: timestamp(begin) });
    yield* this.#read({ ts: { $gt: timestamp(begin) }, ...anyOf(filters) }, isEnd);
  }

  async describe(database: string): Promise<ReadonlyMap<string, CollectionFacts> | undefined> {
    return this.#ifAllowed('asking for its collections', async () => {
      const db = this.#client.db(database);
      const facts = new Map<string, CollectionFacts>();
      for (const each of await listCollections(db)) {
        if (each.type !== 'collection') continue;
        const options = field(each.raw, 'options');
        const capped = options && findElement(options.bytes, options.start, CAPPED);
        facts.set(each.name, {
          capped: capped?.type === BSON.BOOL && capped.bytes[capped.start] === 1,
          metadata: (await describeLive(db, each)).text,
        });
      }
      return facts;
    });
  }

  describeOne(database: string, collection: string): Promise<DescribedCollection | undefined> {
    return this.#ifAllowed('asking for it', () => describedNow(this.#client.db(database), collection));
  }

  async uuids(database: string): Promise<ReadonlyMap<string, string> | undefined> {
    return this.#ifAllowed('asking for its collections', async () => {
      const found = await this.#client.db(database).listCollections().toArray();
      return new Map(
        found.flatMap(({ name, ...rest }): [string, string][] => {
          const uuid = (rest as Document)['info']?.['uuid'] as Binary | undefined;
          return uuid === undefined ? [] : [[name, Buffer.from(uuid.buffer).toString('hex')]];
        }),
      );
    });
  }

  async databasesBut(database: string): Promise<readonly string[] | undefined> {
    const ofDatabase = { $regex: startOf(database) };
    const named = { $or: [{ ns: ofDatabase }, { 'o.applyOps.ns': ofDatabase }] };
    if ((await this.#find(named, {})) !== undefined) return undefined;
    const inner = { $cond: [{ $isArray: '$o.applyOps.ns' }, '$o.applyOps.ns', []] };
    const names = { $concatArrays: [['$ns'], inner] };
    const pipeline = [
      { $project: { ns: { $setUnion: [names] } } },
      { $unwind: '$ns' },
      { $group: { _id: { $first: { $split: ['$ns', '.'] } } } },
    ];
    const found = await this.#asking('looking for the databases in it', () =>
      this.#entries.aggregate(pipeline).toArray(),
    );
    return found.map(({ _id }) => String(_id)).filter((name) => !INTERNAL.has(name));
  }

  async room(): Promise<OplogRoom | undefined> {
    return this.#ifAllowed('asking for its size', async () => {
      const [stats] = await this.#entries
        .aggregate([{ $collStats: { storageStats: {} } }], { readConcern: { level: 'local' } })
        .toArray();
      const { size, maxSize } = (stats?.['storageStats'] ?? {}) as { size?: unknown; maxSize?: unknown };
      return typeof maxSize === 'undefined' ? undefined : { bytes: Number(size), maxBytes: Number(maxSize) };
    });
  }

  #refuseGap(from: Timestamp): Promise<void> {
    const way =
      'What lies between is lost on this member. Another member may have a longer oplog; or take a newer backup.';
    return requireEntriesFrom(this, from, way);
  }

  /** `isEnd`: what lies behind such a batch is hardly wanted, and not asked for before somebody wants it. */
  async *#read(
    filter: Document,
    isEnd: (batch: WholeDocuments) => boolean = () => false,
  ): AsyncGenerator<WholeDocuments> {
    const options: FindOptions = {
      raw: true,
      batchSize: BATCH_ENTRIES,
      noCursorTimeout: true,
      sort: { $natural: 1 },
    };
    const cursor = this.#entries.find(filter, options);
    try {
      const more = (): Promise<boolean> => this.#asking('reading it', () => cursor.hasNext());
      for (let isThere = await more(); isThere; ) {
        const batch = fetchedBy(cursor);
        // The server looks for the next ones while somebody works on these.
        const next = isEnd(batch) ? undefined : more();
        next?.catch(() => undefined);
        yield batch;
        isThere = await (next ?? more());
      }
    } finally {
      await cursor.close().catch(() => undefined);
    }
  }

  async #first(options: FindOptions): Promise<Moment> {
    const moment = await this.#find({}, options);
    if (moment === undefined)
      throw oplogError(
        this.origin,
        'it is empty',
        'Name the members of the replica set that the backup was taken of.',
      );
    return moment;
  }

  async #find(filter: Document, options: FindOptions): Promise<Moment | undefined> {
    const find = { raw: true, limit: 1, projection: { ts: 1, wall: 1 }, ...options };
    const [found] = await this.#asking('looking at its times', () =>
      this.#entries.find(filter, find).toArray(),
    );
    if (found === undefined) return undefined;
    return momentOf(new OplogEntry().read(asBuffer(found), 0));
  }

  /** Undefined where the user may not ask. */
  async #ifAllowed<T>(doing: string, ask: () => Promise<T>): Promise<T | undefined> {
    try {
      return await ask();
    } catch (cause) {
      if (isUnauthorized(cause)) return undefined;
      throw liveFault(cause, doing, this.#named);
    }
  }

  async #asking<T>(doing: string, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (cause) {
      if (isUnauthorized(cause)) throw notAllowed(this.#named, cause);
      if ((cause as { code?: unknown }).code === POSITION_LOST) {
        throw oplogError(
          this.origin,
          'the server overwrote entries while they were read',
          'Run again at once; if it happens again, its oplog is too small for what is needed. Another member may have a longer one.',
          cause,
        );
      }
      throw liveFault(cause, doing, this.#named);
    }
  }
}

const INTERNAL: ReadonlySet<string> = new Set(['', 'admin', 'config', 'local']);

function notAllowed(named: string, cause: unknown): RestorePlanError {
  return new RestorePlanError('BACKUP', `The user of ${named} may not read the oplog (local.oplog.rs).`, {
    hint:
      'Grant it a role with the privilege { resource: { db: "local", collection: "oplog.rs" }, actions: ["find"] }; the role "read" on the ' +
      'database local, "backup" and "clusterMonitor" have it, too.',
    cause,
  });
}

/** Throws where a server is no member of a replica set of its own. */
function refuseOthers(hello: Document, { named, mayBeShard }: LiveMeaning): void {
  const way = 'For a replica set, name its members.';
  if (hello['msg'] === 'isdbgrid')
    throw new RestorePlanError('BACKUP', `${named} names a mongos, which has no oplog.`, {
      hint: `${way} ${EACH_SHARD}`,
    });
  // Shards alone say this, to anybody, since 5.0. Each has a part of the documents, and so of the changes.
  if ('isImplicitDefaultMajorityWC' in hello && !mayBeShard)
    throw new RestorePlanError(
      'BACKUP',
      `${named} names a shard of a sharded cluster (${hello['setName']}), whose oplog holds only what happened on that shard.`,
      { hint: EACH_SHARD },
    );
  if (hello['setName'] === undefined)
    throw new RestorePlanError(
      'BACKUP',
      `${named} names a server that is no member of a replica set, and has no oplog.`,
      { hint: way },
    );
}

const EACH_SHARD =
  'For a sharded cluster, name each shard in source.oplog.shards, by the folder of the backup that holds its dump.';
