/** TargetReader over raw commands. Reads are repeated while faults are transient; all are at majority, from the primary. Who the server is stands at the end. */
import { deserialize, type ObjectId } from 'bson';
import { Documents } from '../bson/documents.ts';
import { idRefusal } from '../bson/storable.ts';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import {
  asBuffer,
  type CursorReply,
  type Reply,
  rawDocument,
  readBatch,
  readCursor,
} from '../mongo/raw-messages.ts';
import type { TargetPlan } from '../plan/plan.ts';
import { CommandFailure } from './command-failure.ts';
import { type Command, type Commands, retry } from './commands.ts';
import { describeCollection } from './describe-collection.ts';
import { idFilter } from './statements.ts';
import type { Answer, FindOptions, ServerIdentity, TargetCollection, TargetReader } from './target.ts';

/** Limits of one lookup: a reply holds at most 16 MiB, and a longer `$in` gains no speed. */
const LOOKUP_COUNT = 4_000;
const LOOKUP_BYTES = 12 * 1024 * 1024;

/** Documents of one `_id`: each shard may have one. */
const MOST_OF_ONE_ID = 1_000;

const READ_CONCERN = { level: 'majority' } as const;

/** Stages that would turn an aggregation into a write. */
const WRITING_STAGES: readonly string[] = ['$out', '$merge'];

export class MongoReader implements TargetReader {
  readonly name: TargetName;
  readonly plan: TargetPlan;
  readonly identity: ServerIdentity;
  readonly #commands: Commands;

  constructor(plan: TargetPlan, identity: ServerIdentity, commands: Commands) {
    this.name = commands.target;
    this.plan = plan;
    this.identity = identity;
    this.#commands = commands;
    // What a reader says opens production: its answers may not be replaced.
    Object.freeze(this);
  }

  /** True for a reader as `connectTarget` made it; an heir of one, which could answer what it likes, is none. */
  static isGenuine(value: object): value is MongoReader {
    return #commands in value;
  }

  identityNow(): Promise<ServerIdentity> {
    return readServerIdentity(this.name, this.#commands);
  }

  get database(): string {
    return this.#commands.database;
  }

  collection(name: string): Promise<TargetCollection | undefined> {
    return describeCollection(this.#commands, this.identity, name);
  }

  async authenticatedUser(): Promise<string | undefined> {
    return (await readAuthenticatedUsers(this.#commands)) || undefined;
  }

  serverTime(): Promise<number> {
    return readServerTime(this.#commands);
  }

  async databaseNames(): Promise<readonly string[] | undefined> {
    const what = 'listing the databases';
    const command = { listDatabases: 1, nameOnly: true };
    try {
      const { databases } = await this.#commands.runPatiently(what, command, 'admin');
      if (!Array.isArray(databases)) return undefined;
      return databases.map((raw) => String(deserialize(asBuffer(raw))['name']));
    } catch (error) {
      if (error instanceof CommandFailure && error.lacksPrivilege) return undefined;
      throw error;
    }
  }

  async *lookUp(
    collection: string,
    documents: Documents,
    positions: readonly number[],
  ): AsyncGenerator<Answer, void, undefined> {
    let asked: number[] = [];
    let bytes = 0;
    for (const position of positions) {
      const size = documents.size(position);
      if (asked.length > 0 && (asked.length >= LOOKUP_COUNT || bytes + size > LOOKUP_BYTES)) {
        yield* this.#lookUp(collection, documents, asked);
        asked = [];
        bytes = 0;
      }
      asked.push(position);
      bytes += size;
    }
    if (asked.length > 0) yield* this.#lookUp(collection, documents, asked);
  }

  /**
   * One `find` whose reply holds everything. The target's documents may be larger than those asked with: when the reply
   * overflows, smaller parts are asked for instead, because a cursor would tie the rest to one server and one connection. Only the
   * documents of a single `_id`, of which a sharded collection may hold several, cannot be parted.
   */
  async *#lookUp(
    collection: string,
    documents: Documents,
    positions: readonly number[],
  ): AsyncGenerator<Answer, void, undefined> {
    // What cannot be stored is absent; to ask for it would mean something else, or fail for all of them.
    const asked = positions.filter((position) => idRefusal(documents.id(position)) === undefined);
    if (asked.length <= 1) {
      const only = { limit: MOST_OF_ONE_ID };
      const found = asked.length === 0 ? [] : await this.find(collection, idFilter(documents, asked), only);
      yield { positions, found: Documents.of(found) };
      return;
    }
    const reply = await this.#commands.runPatiently(`reading ${this.database}.${collection}`, {
      find: collection,
      filter: rawDocument(idFilter(documents, asked)),
      batchSize: asked.length + 1,
      readConcern: READ_CONCERN,
    });
    const { bytes, offsets, id } = readBatch(reply);
    if (id === 0n) {
      yield { positions, found: new Documents(bytes, offsets) };
      return;
    }
    await this.#killCursor(collection, id);
    // As many as fit twice, going by the size of those that came.
    const fit = Math.floor((LOOKUP_BYTES * offsets.length) / (2 * bytes.length));
    const next = Math.max(1, Math.min(Math.ceil(positions.length / 2), fit));
    for (let at = 0; at < positions.length; at += next) {
      yield* this.#lookUp(collection, documents, positions.slice(at, at + next));
    }
  }

  async count(collection: string): Promise<number> {
    const reply = await this.#commands.runPatiently(`counting ${this.database}.${collection}`, {
      count: collection,
    });
    return Number(reply['n']);
  }

  async *scan(collection: string, batch: number): AsyncGenerator<Documents, void, undefined> {
    const read = async (command: Command): Promise<CursorReply> =>
      readBatch(await this.#commands.run({ ...command, batchSize: batch }));
    let reply = await read({ find: collection, hint: { $natural: 1 }, readConcern: READ_CONCERN });
    let next: Promise<CursorReply> | undefined;
    try {
      for (;;) {
        // The server reads the next batch while the caller works on this one.
        if (reply.id !== 0n) next = read({ getMore: reply.id, collection });
        next?.catch(() => undefined); // thrown where it is awaited
        yield new Documents(reply.bytes, reply.offsets);
        if (next === undefined) return;
        reply = await next;
        next = undefined;
      }
    } finally {
      const unused = await next?.catch(() => undefined);
      if (unused !== undefined && unused.id !== 0n) await this.#killCursor(collection, unused.id);
    }
  }

  find(collection: string, query: Buffer, options: FindOptions): Promise<Buffer[]> {
    return this.#readAll(`reading ${this.database}.${collection}`, collection, {
      find: collection,
      filter: rawDocument(query),
      limit: options.limit,
      batchSize: options.limit,
      ...(options.projection && { projection: rawDocument(options.projection) }),
      ...(options.collation && { collation: rawDocument(options.collation) }),
      ...(options.from && { hint: options.from.index, min: rawDocument(options.from.key) }),
      readConcern: READ_CONCERN,
    });
  }

  aggregate(
    collection: string | 1,
    pipeline: readonly Buffer[],
    options: { readonly collation?: Buffer } = {},
  ): Promise<Buffer[]> {
    refuseWritingStages(pipeline);
    const cursorCollection = collection === 1 ? '$cmd.aggregate' : collection;
    return this.#readAll(`aggregating in ${this.database}`, cursorCollection, {
      aggregate: collection,
      pipeline: pipeline.map(rawDocument),
      cursor: { batchSize: 1_000_000 },
      ...(options.collation && { collation: rawDocument(options.collation) }),
      // `aggregate: 1` (a pipeline over $documents) has no collection whose majority snapshot could be read.
      ...(collection === 1 ? {} : { readConcern: READ_CONCERN }),
    });
  }

  /** Follows a cursor to its end; when a fault takes the cursor away, the whole read starts again. */
  #readAll(what: string, collection: string, command: Command): Promise<Buffer[]> {
    return retry(this.#commands.patience, what, async () => {
      let { documents, id } = readCursor(await this.#commands.run(command));
      const all = documents;
      while (id !== 0n) {
        ({ documents, id } = readCursor(await this.#commands.run({ getMore: id, collection })));
        for (const document of documents) all.push(document);
      }
      return all;
    });
  }

  /** A cursor that is left behind costs the server ten minutes of memory, nothing else: failing to kill it is no failure. */
  async #killCursor(collection: string, id: bigint): Promise<void> {
    await this.#commands.run({ killCursors: collection, cursors: [id] }).catch(() => undefined);
  }
}

Object.freeze(MongoReader.prototype);

function refuseWritingStages(pipeline: readonly Buffer[]): void {
  for (const stage of pipeline) {
    const name = stage.toString('utf8', 5, stage.indexOf(0, 5));
    if (WRITING_STAGES.includes(name)) throw new TypeError(`${name} writes; a reader does not`);
  }
}

// Which server this is, in its own words. Connection strings prove nothing: two names can lead to one machine, and one name
// to another machine tomorrow.

/** Throws RestorePlanError TARGET when the server is not one that takes writes. */
export function readServerIdentity(name: TargetName, commands: Commands): Promise<ServerIdentity> {
  return retry(commands.patience, 'asking for the server’s identity', () => identityOf(name, commands));
}

async function identityOf(name: TargetName, commands: Commands): Promise<ServerIdentity> {
  const hello = await commands.run({ hello: 1 }, 'admin');
  refuseReadOnly(name, hello);
  const version = String((await commands.run({ buildInfo: 1 }, 'admin'))['version']);
  const processId = String(topologyVersion(hello)['processId']);
  if (hello['msg'] === 'isdbgrid') {
    const cluster = await readClusterId(commands);
    const members = await readShardHosts(commands);
    return {
      kind: 'sharded cluster',
      id: cluster ?? processId,
      exact: cluster !== undefined,
      members,
      version,
      processId,
    };
  }
  if (typeof hello['setName'] !== 'string') {
    return { kind: 'standalone', id: processId, exact: true, members: [], version, processId };
  }
  const setName = hello['setName'];
  const setId = await readReplicaSetId(commands);
  const members = sorted([
    ...((hello['hosts'] as string[] | undefined) ?? []),
    ...((hello['passives'] as string[] | undefined) ?? []),
    ...((hello['arbiters'] as string[] | undefined) ?? []),
  ]);
  return {
    kind: 'replica set',
    id: setId === undefined ? setName : `${setName}/${setId}`,
    exact: setId !== undefined,
    members,
    version,
    processId,
  };
}

/** `user@database` of all that are authenticated on the connection, joined by commas; empty where no user is. X.509 and AWS principals by their full name. */
export async function readAuthenticatedUsers(commands: Commands): Promise<string> {
  const reply = await commands.runPatiently('asking who is connected', { connectionStatus: 1 }, 'admin');
  const { authenticatedUsers } = deserialize(asBuffer(reply['authInfo'])) as {
    authenticatedUsers: readonly { readonly user: string; readonly db: string }[];
  };
  return authenticatedUsers.map(({ user, db }) => `${user}@${db}`).join(',');
}

/** UTC milliseconds by the server's clock. */
export async function readServerTime(commands: Commands): Promise<number> {
  const hello = await commands.runPatiently('reading the server time', { hello: 1 }, 'admin');
  return (hello['localTime'] as Date).getTime();
}

function refuseReadOnly(name: TargetName, hello: Reply): void {
  if (hello['isWritablePrimary'] === true) return;
  const role =
    hello['secondary'] === true ? 'a secondary' : hello['arbiterOnly'] === true ? 'an arbiter' : 'no primary';
  throw new RestorePlanError('TARGET', `${name}: the server is ${role} and takes no writes`, {
    hint: 'Leave directConnection out of the connection string, or name the primary.',
    facts: { target: name },
  });
}

function topologyVersion(hello: Reply): { readonly processId?: ObjectId } {
  const version = hello['topologyVersion'];
  return version === undefined ? {} : deserialize(asBuffer(version));
}

/** Needs the privilege replSetGetConfig (role clusterMonitor); without it, the set's name and members must do. */
async function readReplicaSetId(commands: Commands): Promise<string | undefined> {
  const reply = await permitted(commands.run({ replSetGetConfig: 1 }, 'admin'));
  if (reply === undefined) return undefined;
  const settings = deserialize(asBuffer(reply['config']))['settings'] as
    | { replicaSetId?: ObjectId }
    | undefined;
  return settings?.replicaSetId?.toHexString();
}

async function readClusterId(commands: Commands): Promise<string | undefined> {
  const reply = await permitted(commands.run({ find: 'version', limit: 1, singleBatch: true }, 'config'));
  const entry = reply && readCursor(reply).documents[0];
  return entry && (deserialize(entry)['clusterId'] as ObjectId | undefined)?.toHexString();
}

/** Hosts of all shards, so that a mongos and a direct connection to one of its shards are seen to be the same cluster. */
async function readShardHosts(commands: Commands): Promise<string[]> {
  const reply = await permitted(commands.run({ find: 'shards', batchSize: 1_000 }, 'config'));
  if (reply === undefined) return [];
  const hosts = readCursor(reply).documents.map((shard) => String(deserialize(shard)['host']));
  return sorted(hosts.flatMap((host) => host.replace(/^.*\//, '').split(',')));
}

/** The reply, or undefined when the user may not ask. */
async function permitted(reply: Promise<Reply>): Promise<Reply | undefined> {
  try {
    return await reply;
  } catch (error) {
    if (error instanceof CommandFailure && !error.transient) return undefined;
    throw error;
  }
}

function sorted(hosts: readonly string[]): string[] {
  return [...new Set(hosts.map((host) => host.toLowerCase()))].sort();
}
