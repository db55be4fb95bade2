/**
 * What a running server keeps of the past of a database: history for snapshot reads, and pre-images of documents that were changed or deleted.
 *
 * Alone because: it asks how far they reach and reads no document; those who read them need no more than what is there.
 */
import { Timestamp } from 'bson';
import type { Document, MongoClient } from 'mongodb';
import { RestorePlanError } from '../../errors.ts';
import type { Source } from '../../plan/plan.ts';
import type { SnapshotLocation } from '../../plan/sources/mongodb.ts';
import type { Run } from '../../run.ts';
import type { Secret } from '../../secret.ts';
import { connectLive, isUnauthorized, liveFault } from './live-backup.ts';
import { openSnapshot } from './snapshot-backup.ts';

export interface KeptSnapshot {
  /** Why the snapshot cannot be read; undefined: it can, now. */
  readonly refusal: RestorePlanError | undefined;
  /** Of the wanted collections, those that are in it. */
  readonly holds: readonly string[];
  /** What is not exact about it, a sentence each. */
  readonly warnings: readonly string[];
}

/** Whether the database can be read as it was at `source.at`. Throws BACKUP where the server is no such server, cannot be reached, or refuses the user. */
export async function askSnapshot(
  run: Run,
  source: Source & { readonly location: SnapshotLocation },
  wanted: ReadonlySet<string>,
): Promise<KeptSnapshot> {
  const backup = await openSnapshot(run, source, wanted);
  try {
    const known = await backup.collections();
    if (known === undefined)
      return { refusal: await refusalOf(() => backup.read(wanted)), holds: [], warnings: [] };
    const holds = [...wanted].filter((name) => backup.holds(name));
    const warnings: string[] = [];
    for await (const piece of backup.read(new Set()))
      if (piece.type === 'finished') warnings.push(...piece.summary.warnings);
    return { refusal: undefined, holds, warnings };
  } finally {
    await backup.close();
  }
}

async function refusalOf(read: () => unknown): Promise<RestorePlanError> {
  try {
    await read();
  } catch (error) {
    if (error instanceof RestorePlanError) return error;
    throw error;
  }
  throw new TypeError('a snapshot without collections can be read');
}

/** Where a server is named, and for messages the key of the plan or the option that names it. */
export interface NamedServer {
  readonly uri: Secret;
  readonly named: string;
}

/** Rights that a user lacks, as a privilege to grant. */
export type MissingRight = string;

export interface KeptHistory {
  /** `host:port,host:port`; no credentials. */
  readonly hosts: string;
  /** The server's clock, UTC milliseconds. */
  readonly serverTime: number;
  /** minSnapshotHistoryWindowInSeconds, milliseconds; undefined: the user may not ask. */
  readonly windowMs: number | undefined;
  readonly preImages: KeptPreImages;
  readonly missing: readonly MissingRight[];
}

interface KeptPreImages {
  /** By name, those that exist; undefined: the user may not ask. */
  readonly enabled: ReadonlyMap<string, boolean> | undefined;
  /** How long they are kept beside the oplog's own time; `off`: as long as the oplog; undefined: the user may not ask, or the server does not know it. */
  readonly expireAfterMs: number | 'off' | undefined;
  /** Of the oldest one of those collections, UTC milliseconds; undefined: there is none, or the user may not look. */
  readonly oldest: number | undefined;
}

/** `wanted`: the collections that count; undefined: all of the database. Throws BACKUP where the server cannot be reached. */
export async function askHistory(
  run: Run,
  { uri, named }: NamedServer,
  { database, wanted }: { readonly database: string; readonly wanted: ReadonlySet<string> | undefined },
): Promise<KeptHistory> {
  const { client, hosts } = await connectLive(run, uri, named);
  const missing: MissingRight[] = [];
  /** Undefined where the user lacks the right, or the server does not know the question. */
  const ask = async (
    right: MissingRight,
    question: () => Promise<Document>,
  ): Promise<Document | undefined> => {
    try {
      return await question();
    } catch (cause) {
      if ((cause as { code?: unknown }).code === undefined)
        throw liveFault(cause, 'asking what it keeps', named);
      if (isUnauthorized(cause) && !missing.includes(right)) missing.push(right);
      return undefined;
    }
  };
  try {
    const hello = await ask('', () => client.db('admin').command({ hello: 1 }));
    const key = 'minSnapshotHistoryWindowInSeconds';
    const window = await ask('getParameter on the cluster (the role clusterMonitor has it)', () =>
      client.db('admin').command({ getParameter: 1, [key]: 1 }),
    );
    const preImages = await askPreImages(client, {
      database,
      wanted,
      ask,
      isMongos: hello?.['msg'] === 'isdbgrid',
    });
    return {
      ...{ hosts, preImages, missing },
      serverTime: Number(hello?.['localTime'] ?? run.now()),
      windowMs: window === undefined ? undefined : Number(window[key]) * 1000,
    };
  } finally {
    await client.close();
  }
}

interface Asking {
  readonly database: string;
  readonly wanted: ReadonlySet<string> | undefined;
  readonly isMongos: boolean;
  ask(right: MissingRight, question: () => Promise<Document>): Promise<Document | undefined>;
}

async function askPreImages(
  client: MongoClient,
  { database, wanted, isMongos, ask }: Asking,
): Promise<KeptPreImages> {
  const listed = await ask(`listCollections on ${database} (the role read has it)`, async () => ({
    collections: await client.db(database).listCollections().toArray(),
  }));
  if (listed === undefined) return { enabled: undefined, expireAfterMs: undefined, oldest: undefined };
  const collections = (listed['collections'] as Document[]).filter(
    ({ name, type }) => type === 'collection' && (wanted?.has(name) ?? !String(name).startsWith('system.')),
  );
  const isOn = ({ options }: Document): boolean =>
    options?.['changeStreamPreAndPostImages']?.['enabled'] === true;
  const enabled = new Map(collections.map((each) => [each['name'] as string, isOn(each)]));
  const kept = collections.filter(isOn);
  if (kept.length === 0) return { enabled, expireAfterMs: undefined, oldest: undefined };
  const parameter = await ask('getClusterParameter on the cluster', () =>
    client.db('admin').command({ getClusterParameter: 'changeStreamOptions' }),
  );
  const expires = parameter?.['clusterParameters']?.[0]?.['preAndPostImages']?.[
    'expireAfterSeconds'
  ] as unknown;
  const expireAfterMs =
    expires === undefined ? undefined : expires === 'off' ? ('off' as const) : Number(expires) * 1000;
  // Those of a cluster lie on its shards, which a mongos does not show.
  const oldest = isMongos ? undefined : await oldestOf(client, kept, ask);
  return { enabled, expireAfterMs, oldest };
}

/** They are clustered by collection and time: the first of each is the oldest. */
async function oldestOf(
  client: MongoClient,
  collections: readonly Document[],
  ask: Asking['ask'],
): Promise<number | undefined> {
  const preImages = client.db('config').collection('system.preimages');
  const times: number[] = [];
  for (const { info } of collections) {
    const bound = (t: number): Document => ({
      nsUUID: info['uuid'],
      ts: new Timestamp({ t, i: 0 }),
      applyOpsIndex: 0,
    });
    const _id = { $gte: bound(0), $lte: bound(0xffff_ffff) };
    const found = await ask('find on config.system.preimages', async () => ({
      first: await preImages.findOne({ _id } as Document, {
        sort: { _id: 1 },
        projection: { operationTime: 1 },
      }),
    }));
    if (found === undefined) return undefined;
    if (found['first'] !== null) times.push(Number(found['first']['operationTime']));
  }
  return times.length === 0 ? undefined : Math.min(...times);
}
