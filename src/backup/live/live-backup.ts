/**
 * A running database as the source, for instance a staging copy that still has the data. Its server answers the
 * queries; documents come as raw bytes, in the order of `_id`.
 *
 * Each collection is read at its own moment, as mongodump reads it. What was read once is not expected to be there
 * again: every run selects anew, and the digest of the selection tells whether the documents are the same.
 */
import type {
  Db,
  Document,
  FindCursor,
  FindOptions,
  MongoClient,
  MongoClientOptions,
  RunCommandCursor,
} from 'mongodb';
import { findElement } from '../../bson/elements.ts';
import { showDocument, showText, showValue } from '../../bson/show.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import { RestorePlanError } from '../../errors.ts';
import { leaveOutCompressors, loginFailure, parseConnectionString } from '../../mongo/connection-string.ts';
import type { ConnectionString } from '../../mongo/connection-url.ts';
import { asBuffer, rawDocument } from '../../mongo/raw-messages.ts';
import type { Source } from '../../plan/plan.ts';
import type { MongodbLocation } from '../../plan/sources/mongodb.ts';
import type { Run } from '../../run.ts';
import { Secret } from '../../secret.ts';
import type {
  Backup,
  BackupIdentity,
  BackupPiece,
  CollectionMetadata,
  MemberInfo,
  MemberRead,
  ReadOptions,
} from '../backup.ts';
import { wholeMember } from '../readers/member.ts';
import { noSuchDatabase, notDocuments } from '../readers/refusals.ts';

/** Documents fetched with one request; the server ends a batch at 16 MiB. */
export const BATCH_DOCUMENTS = 10_000;

/** Throws RestorePlanError BACKUP when it cannot be reached or has no such database. */
export async function openLive(run: Run, { uri }: MongodbLocation, { database }: Source): Promise<Backup> {
  const connection = await connectLive(run, uri);
  const { client, hosts } = connection;
  try {
    const db = client.db(database);
    const collections = await asking('listing collections', () => listCollections(db));
    const location = `mongodb (live) ${hosts}/${database}`;
    if (collections.length === 0) throw noSuchDatabase(database, await databasesOf(connection), location);
    const { localTime } = await asking('reading its time', () => db.command({ hello: 1 }));
    const identity: BackupIdentity = {
      location,
      kind: 'live database',
      time: undefined,
      localTime: undefined,
      modified: undefined,
      size: undefined,
      fingerprint: `live:${hosts}/${database}@${Number(localTime)}`,
    };
    return new LiveBackup({
      identity,
      collections,
      describe: (one) => asking('listing indexes', () => describeLive(db, one)),
      documents: (collection, filter) => readDocuments(db, collection, filter),
      close: () => client.close(),
    });
  } catch (error) {
    await client.close();
    throw error;
  }
}

interface LiveBackupParts {
  readonly identity: BackupIdentity;
  /** What the operator should know of the documents. */
  readonly warnings?: readonly string[];
  readonly collections: readonly LiveCollection[];
  describe(collection: LiveCollection): Promise<CollectionMetadata>;
  /** Batches of whole documents, in the order of `_id`. A raw filter goes to the server byte for byte. */
  documents(collection: string, filter: Buffer | undefined): AsyncIterable<Buffer[]>;
  close(): Promise<void>;
}

export class LiveBackup implements Backup {
  readonly access = 'random';
  readonly identity: BackupIdentity;
  readonly #parts: LiveBackupParts;

  constructor(parts: LiveBackupParts) {
    this.identity = parts.identity;
    this.#parts = parts;
  }

  holds(collection: string): boolean | undefined {
    return this.#parts.collections.some(({ name }) => name === collection);
  }

  collections(): Promise<readonly CollectionMetadata[] | undefined> {
    const { collections } = this.#parts;
    return Promise.all(collections.map((one) => this.#parts.describe(one)));
  }

  /** How much a query finds, only asking it would tell. */
  storedBytes(): undefined {
    return undefined;
  }

  async *read(
    wanted: ReadonlySet<string>,
    { filterOf, stored }: ReadOptions = {},
  ): AsyncGenerator<BackupPiece> {
    const { collections, identity, warnings = [] } = this.#parts;
    const members: MemberRead[] = [];
    for (const collection of collections) {
      const { name, type } = collection;
      if (!wanted.has(name)) continue;
      if (type !== 'collection') throw notDocuments(name, type, identity.location);
      const metadata = await this.#parts.describe(collection);
      yield { type: 'metadata', metadata };
      const member: MemberInfo = {
        collection: name,
        path: `${identity.location}!${name}`,
        id: members.length,
      };
      const documents = counted(this.#parts.documents(name, filterOf?.(name)), stored);
      members.push(yield* wholeMember(member, documents));
    }
    const bytesRead = members.reduce((sum, { bytes }) => sum + bytes, 0);
    yield { type: 'finished', summary: { bytesRead, readToEnd: true, members, warnings } };
  }

  close(): Promise<void> {
    return this.#parts.close();
  }
}

/** Of a source whose documents come from somewhere else. */
export async function* noDocuments(): AsyncGenerator<Buffer[]> {}

async function* counted(
  batches: AsyncIterable<Buffer[]>,
  stored: ReadOptions['stored'],
): AsyncGenerator<Buffer[]> {
  for await (const batch of batches) {
    stored?.(batch.reduce((sum, { length }) => sum + length, 0));
    yield batch;
  }
}

function readDocuments(db: Db, collection: string, filter: Buffer | undefined): AsyncGenerator<Buffer[]> {
  const cursor = db.collection(collection).find(wantedBy(filter), {
    ...RAW,
    ...READING,
    batchSize: BATCH_DOCUMENTS,
  });
  return batchesOf(cursor, (ask) => asking(`reading ${collection}`, ask));
}

export function wantedBy(filter: Buffer | undefined): Document {
  return filter === undefined ? {} : { $and: [rawDocument(filter)] };
}

export const READING = {
  sort: { _id: 1 },
  allowDiskUse: true,
  // Equality as in a backup: a collation of the collection would call different strings equal.
  collation: { locale: 'simple' },
} as const;

/** What a cursor over raw documents gives, a reply at a time. */
export async function* batchesOf(
  cursor: FindCursor | RunCommandCursor,
  asking: <T>(ask: () => Promise<T>) => Promise<T>,
): AsyncGenerator<Buffer[]> {
  try {
    while (await asking(() => cursor.hasNext())) {
      const documents: unknown[] = cursor.readBufferedDocuments();
      yield documents.map(asBuffer);
    }
  } finally {
    await cursor.close().catch(() => undefined);
  }
}

const RAW: FindOptions = { raw: true };

async function databasesOf({ client }: LiveConnection): Promise<string[]> {
  // Not every user may list databases; the message is poorer then, nothing else.
  const listed = await client
    .db('admin')
    .command({ listDatabases: 1, nameOnly: true })
    .catch(() => undefined);
  const databases = (listed?.['databases'] ?? []) as readonly { readonly name: string }[];
  return databases.map(({ name }) => name).filter((name) => !['admin', 'config', 'local'].includes(name));
}

/** Turns what the driver throws into an error about the source. */
async function asking<T>(doing: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw liveFault(error, doing);
  }
}

// Collections are described as mongodump would: the same text in the same form.

export interface LiveCollection {
  readonly name: string;
  readonly type: CollectionMetadata['type'];
  /** The server's own description, raw. */
  readonly raw: Buffer;
}

/** Everything that is not internal to the server. */
export async function listCollections(db: Db): Promise<LiveCollection[]> {
  const listed = await db.listCollections({}, { raw: true } as object).toArray();
  const collections = (listed as unknown[]).map((document): LiveCollection => {
    const raw = asBuffer(document);
    const type = textOf(field(raw, 'type'));
    return {
      name: textOf(field(raw, 'name')),
      type: type === 'view' || type === 'timeseries' ? type : 'collection',
      raw,
    };
  });
  return collections.filter(({ name }) => !name.startsWith('system.'));
}

/** By its indexes as they are now. */
export async function describeLive(db: Db, collection: LiveCollection): Promise<CollectionMetadata> {
  const { name, type } = collection;
  const { indexes, ...rest } = await describedLive(db, collection);
  return metadataOf(name, type, { ...rest, indexes: indexes.map(({ text }) => text) });
}

/** What a server says of a collection as it is now. */
export interface DescribedCollection {
  /** 32 hex digits. */
  readonly uuid: string | undefined;
  /** Extended JSON; undefined where it has none. */
  readonly options: string | undefined;
  readonly indexes: readonly { readonly name: string; readonly text: string }[];
}

/** Undefined where there is no such collection. */
export async function describedNow(db: Db, collection: string): Promise<DescribedCollection | undefined> {
  const found = (await listCollections(db)).find(({ name }) => name === collection);
  return found && describedLive(db, found);
}

async function describedLive(db: Db, { name, type, raw }: LiveCollection): Promise<DescribedCollection> {
  const indexes =
    type === 'view'
      ? []
      : await db
          .collection(name)
          .listIndexes({ raw: true } as object)
          .toArray();
  const options = field(raw, 'options');
  const info = field(raw, 'info');
  const uuid = info && findElement(info.bytes, info.start, Buffer.from('uuid'));
  return {
    options: options === undefined || options.end - options.start <= 5 ? undefined : showValue(options),
    indexes: (indexes as unknown[]).map((each) => {
      const index = asBuffer(each);
      return { name: textOf(field(index, 'name')), text: showDocument(index) };
    }),
    uuid: uuid?.type === BSON.BINARY ? uuidText(uuid) : undefined,
  };
}

/** 32 hex digits. */
export function uuidText({ bytes, start, end }: RawValue): string {
  return bytes.toString('hex', start + 5, end);
}

/** Canonical Extended JSON of what is known of a collection. */
interface Described {
  /** Undefined where it has none. */
  readonly options: string | undefined;
  readonly indexes: readonly string[];
  /** As `uuidText` gives it. */
  readonly uuid: string | undefined;
}

export function metadataOf(
  name: string,
  type: CollectionMetadata['type'],
  { options, indexes, uuid }: Described,
): CollectionMetadata {
  const parts = [
    ...(options === undefined ? [] : [`"options":${options}`]),
    `"indexes":[${indexes.join(',')}]`,
    ...(uuid === undefined ? [] : [`"uuid":"${uuid}"`]),
    `"collectionName":${showText(name)}`,
    `"type":"${type}"`,
  ];
  return { collection: name, text: `{${parts.join(',')}}`, type };
}

export function field(document: Buffer, key: string): RawValue | undefined {
  return findElement(document, 0, Buffer.from(key));
}

function textOf(value: RawValue | undefined): string {
  return value?.type === BSON.STRING ? value.bytes.toString('utf8', value.start + 4, value.end - 1) : '';
}

// Connects to the database that `source.mongodb` names.

/** How long to look for a server, milliseconds; an election takes up to 12 s. */
const SELECTION_MS = 15_000;

export interface LiveConnection {
  readonly client: MongoClient;
  /** `host:port,host:port`; no credentials. */
  readonly hosts: string;
}

const SOURCE = 'source.mongodb';

/**
 * `named`: where the connection string stands in the plan, without `.uri`; undefined where its variable is not set. Throws RestorePlanError
 * BACKUP for that, and when it cannot be reached or refuses the user, or the signal's reason.
 */
export async function connectLive(
  { emit, signal }: Run,
  uri: Secret | undefined,
  named = SOURCE,
): Promise<LiveConnection> {
  if (uri === undefined)
    throw new RestorePlanError('BACKUP', `The connection string of ${named} is not set.`, {
      hint: `Set the variable that the plan names in ${named}.uri, then run again.`,
    });
  const parsed = parse(uri, named);
  const { hosts, searchParams } = parsed;
  const leftOut = leaveOutCompressors(parsed);
  if (leftOut !== undefined) emit({ type: 'warning', message: `${named}: ${leftOut}` });
  const settings: MongoClientOptions = {
    appName: 'restore-plan',
    ...(searchParams.has('serverSelectionTimeoutMS') ? {} : { serverSelectionTimeoutMS: SELECTION_MS }),
    readConcernLevel: 'majority',
    retryReads: true,
  };
  const { connectClient } = await import('../../mongo/driver.ts');
  try {
    return {
      client: await connectClient(new Secret(parsed.toString()).reveal(), settings, signal),
      hosts: hosts.join(','),
    };
  } catch (cause) {
    signal.throwIfAborted();
    throw liveFault(cause, 'connecting', named);
  }
}

function parse(uri: Secret, named: string): ConnectionString {
  const parsed = parseConnectionString(uri);
  if (parsed !== undefined) return parsed;
  throw new RestorePlanError('BACKUP', `${named}.uri is not a valid MongoDB connection string.`, {
    hint: 'It must look like mongodb://host:27017/?replicaSet=name or mongodb+srv://host/.',
  });
}

const UNAUTHORIZED = 13;

/** The user lacks the right to ask it. */
export function isUnauthorized(cause: unknown): boolean {
  return (cause as { code?: unknown }).code === UNAUTHORIZED;
}

/** What the driver threw, as a sentence about the source; goes by codes and classes, shows no message of a server. */
export function liveFault(cause: unknown, doing: string, named = SOURCE): RestorePlanError {
  const { codeName, name } = cause as { codeName?: unknown; name?: unknown };
  // The driver's own words when it finds no server: they name the host and the reason, never the connection string.
  const isNobody = name === 'MongoServerSelectionError' && cause instanceof Error;
  const reason = isNobody ? cause.message : String(codeName ?? name ?? 'unknown error');
  if (isUnauthorized(cause)) {
    return new RestorePlanError('BACKUP', `The user of ${named} may not read it (${doing}).`, {
      hint: 'Grant it the role "read" on source.database, then run again.',
      cause,
    });
  }
  const login = loginFailure(cause);
  if (login !== undefined)
    return new RestorePlanError('BACKUP', `${named}: ${login.what}.`, { hint: login.hint, cause });
  return new RestorePlanError('BACKUP', `${named} cannot be read (${doing}: ${reason}).`, {
    hint: 'Check that its servers are up and that this machine may connect to them, then run again.',
    cause,
  });
}
