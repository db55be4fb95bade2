/**
 * Every order of what happens to documents that move between shards: dumps of the one shard and of the other, the beginning of a migration,
 * its end, the removal of what it left behind, and writes that change documents, their shard key on one shard or across two, or delete them.
 *
 * All documents go through the same events, each with its own writes before and after them. All shards are dumped between any two events, and
 * every choice of dumps is rolled forward to moments behind them.
 */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, deserialize, type Timestamp } from 'bson';
import * as assert from 'uvu/assert';
import type { Backup } from '../../src/backup/backup.ts';
import { test } from '../harness.ts';
import { type FailPoint, setFailPoint } from '../lab/failpoint.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Random, seededRandom } from '../lab/random.ts';
import type { ReplicaSet } from '../lab/replica-set.ts';
import { type ShardedCluster, startShardedCluster } from '../lab/sharded-cluster.ts';
import { mongodump } from '../lab/tools.ts';
import {
  cleanAtOnce,
  isExactly,
  liveOplogs,
  nothingLeftBehind,
  now,
  readTogether,
  rolledShards,
  type State,
  stateAt,
  until,
} from './shards-together.ts';

const DATABASE = 'shop';
/** A chunk of `away` goes to the second shard, one of `onward` to the second, the third and back to the first. */
const NAMES = ['away', 'onward'] as const;
type Name = (typeof NAMES)[number];
const DOCUMENTS = Number(process.env['SHARD_DOCUMENTS'] ?? 200);
const SEED = Number(process.env['SHARD_SEED'] ?? 11);
/** How many choices of dumps are rolled forward. */
const CHOICES = Number(process.env['SHARD_CHOICES'] ?? 16);

/** Here two documents on two shards have one `_id`, which no server prevents. */
const TWICE = 'twice';
/** Keys from 0 on are those of the chunk that moves; behind it come a chunk that stays on each shard. */
const CHUNK = 1000;
const SHARDS = 3;
const DUPLICATE_KEY = 11_000;

let cluster: ShardedCluster;
let folder: TemporaryFolder;
let begins: Date;
/** What the cluster had behind the writes before and behind those after each dump. */
const moments: { readonly at: Timestamp; readonly state: State }[] = [];

const writtenTwice: Timestamp[] = [];

const admin = (command: Document): Promise<Document> => cluster.client.db('admin').command(command);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const shard = (number: number): ReplicaSet => cluster.shards[number] as ReplicaSet;
const collection = (name: Name | typeof TWICE) => cluster.client.db(DATABASE).collection<Document>(name);

/** The shard key: of `onward` inside a document, and with a second field. */
const KEYS = { away: { k: 1 }, onward: { 'at.k': 1, h: 1 }, [TWICE]: { k: 1 } } as const;
const keyed = (name: Name, k: number): Document => (name === 'away' ? { k } : { at: { k }, h: 1 });
const asked = (name: Name, k: number): Document => (name === 'away' ? { k } : { 'at.k': k, h: 1 });
const bound = (name: Name | typeof TWICE, k: number): Document =>
  name === 'onward' ? { 'at.k': k, h: 0 } : { k };

/** What a document goes through. */
interface Life {
  readonly name: Name;
  readonly id: number;
  /** By number of the moment at which it is done. */
  readonly writes: ReadonlyMap<number, Write>;
  k: number;
}

/** Changed; another key within the chunk, of a chunk of each shard, the first one again; deleted; deleted and inserted anew. */
const WRITES = ['update', 'within', 'to0', 'to1', 'to2', 'back', 'delete', 'anew'] as const;
type Write = (typeof WRITES)[number];

const lives: Life[] = [];
/** Another shard key and then a change, behind the migration of each collection: it is the last write that names another key than what is left behind. */
const KEY_THEN_CHANGE = new Map<number, Write>([
  [2, 'within'],
  [3, 'update'],
  [8, 'within'],
  [9, 'update'],
]);
/** After another key while it was copied, as it was before: to take that over changes nothing of the copy, and no entry tells. */
const THERE_AND_BACK = new Map<number, Write>([[4, 'back']]);
const KNOWN = new Map([
  [0, KEY_THEN_CHANGE],
  [19, THERE_AND_BACK],
]);

test.before(
  async () => {
    folder = temporaryFolder('shard-orders');
    cluster = await startShardedCluster({ shards: SHARDS });
    await cleanAtOnce(cluster);
    await admin({ balancerStop: 1 });
    await admin({ enableSharding: DATABASE, primaryShard: 'shard0' });
    for (const name of [...NAMES, TWICE] as const) await place(name);
    for (const name of NAMES) await fill(name);
    await collection(TWICE).insertMany([1, 2].map((number) => ({ _id: 'one' as never, k: number * CHUNK })));
    begins = new Date(Date.now() + 1000);
    await pause(2100);
    await goThrough();
  },
  { deadlineMs: 240_000 },
);
test.after(async () => {
  await cluster?.stop();
  folder.remove();
});

/** Makes the collection and its chunks. */
async function place(name: Name | typeof TWICE): Promise<void> {
  const namespace = `${DATABASE}.${name}`;
  await admin({ shardCollection: namespace, key: KEYS[name] });
  for (const k of [0, 1, 2, 3]) await admin({ split: namespace, middle: bound(name, k * CHUNK) });
  for (const number of [1, 2]) await move(name, (number + 1) * CHUNK, number);
}

async function fill(name: Name): Promise<void> {
  const random = seededRandom(SEED);
  for (let id = 0; id < DOCUMENTS; id++) {
    const writes = new Map<number, Write>();
    for (let i = 0; i <= id % 4; i++)
      writes.set(random.integer(0, 2 * EVENTS.length + 1), random.pick(WRITES));
    lives.push({ name, id, writes: KNOWN.get(id) ?? writes, k: id % (CHUNK / 2) });
  }
  const own = lives.filter((life) => life.name === name);
  await collection(name).insertMany(own.map(({ id, k }) => ({ _id: id as never, ...keyed(name, k), n: 0 })));
}

const move = (name: Name | typeof TWICE, min: number, to: number, waitForDelete = true): Promise<Document> =>
  admin({ moveRange: `${DATABASE}.${name}`, min: bound(name, min), toShard: shard(to).name, waitForDelete });

/** Set while the first shard keeps what migrations leave behind; while a migration is held. */
let keeps: FailPoint;
let cloned: FailPoint;
let caughtUp: FailPoint;
let moving: Promise<Document>;

const hold = (number: number, name: string, data?: Document): Promise<FailPoint> =>
  setFailPoint(shard(number).client, { name, mode: 'alwaysOn', ...(data && { data }) });

async function reached(failPoint: FailPoint): Promise<void> {
  while ((await failPoint.timesFired()) === 0) await pause(20);
}

const EVENTS: readonly (() => Promise<void>)[] = [
  async () => {
    keeps = await hold(0, 'suspendRangeDeletion');
    await move('onward', 0, 1, false);
  },
  async () => {
    // What was read on the first shard is inserted on the second when the first has something newer, which waits there from now on.
    const read = await hold(1, 'hangDuringBatchInsert', { nss: `${DATABASE}.away` });
    [cloned, caughtUp] = [await hold(1, 'migrateThreadHangAtStep4'), await hold(0, 'moveChunkHangAtStep4')];
    moving = move('away', 0, 1, false);
    await reached(read);
    for (const life of lives.filter(({ name, id }) => name === 'away' && id % 10 === 9))
      await writeTo(life, (['update', 'within', 'delete'] as const)[life.id % 3] as Write);
    await read.off();
    await reached(cloned);
  },
  async () => {
    await cloned.off();
    await reached(caughtUp);
  },
  async () => {
    await caughtUp.off();
    await moving;
  },
  async () => void (await move('onward', 0, 2)),
  async () => {
    await keeps.off();
    await nothingLeftBehind(shard(0));
  },
  async () => void (await move('onward', 0, 0, false)),
];

/** All events, with writes and a dump between any two of them. */
async function goThrough(): Promise<void> {
  for (let number = 0; number <= EVENTS.length; number++) {
    if (number > 0) await EVENTS[number - 1]?.();
    await write(2 * number);
    await Promise.all(
      cluster.shards.map(({ uri, name }) =>
        mongodump(uri, ['--quiet', '--db', DATABASE, '--out', join(folder.path, `dump${number}`, name)]),
      ),
    );
    await write(2 * number + 1);
  }
  for (const number of [1, 2, 1]) {
    await collection(TWICE).updateOne({ k: number * CHUNK }, { $inc: { n: 1 } });
    writtenTwice.push(await now(cluster));
  }
  // No oplog has to be waited for until its server writes to it again by itself.
  await admin({ appendOplogNote: 1, data: { msg: 'later than all of it' } });
}

/** Does what is due, a few at a time, and keeps what the cluster has then. */
async function write(number: number): Promise<void> {
  const due = lives.filter(({ writes }) => writes.has(number));
  const work = async (): Promise<void> => {
    for (let life = due.pop(); life !== undefined; life = due.pop())
      await writeTo(life, life.writes.get(number) as Write).catch((error: unknown) => {
        // A document cannot go to a shard that still has a copy of it.
        if ((error as { code?: unknown }).code !== DUPLICATE_KEY) throw error;
      });
  };
  await Promise.all(Array.from({ length: 8 }, work));
  const at = await now(cluster);
  moments.push({ at, state: await stateAt(cluster, { database: DATABASE, names: NAMES }, at) });
}

async function writeTo(life: Life, kind: Write): Promise<void> {
  const { name, id, k } = life;
  const documents = collection(name);
  const there = { _id: id as never, ...asked(name, k) };
  if (kind === 'update') {
    await documents.updateOne(there, { $inc: { n: 1 } });
  } else if (kind === 'delete' || kind === 'anew') {
    await documents.deleteOne(there);
    if (kind === 'anew') await documents.insertOne({ _id: id as never, ...keyed(name, k), anew: true });
  } else {
    const first = id % (CHUNK / 2);
    const other = { within: first + CHUNK / 2, back: first }[kind as string];
    const next = other ?? (Number(kind.slice(2)) + 1) * CHUNK + first;
    const change = { $set: asked(name, next) };
    await cluster.client.withSession((session) =>
      session.withTransaction(() => documents.updateOne(there, change, { session })),
    );
    life.k = next;
  }
}

/** One dump of each shard, and a moment behind all of them. */
interface Choice {
  readonly dumps: readonly number[];
  readonly moment: number;
}

function choices(random: Random): Choice[] {
  return Array.from({ length: CHOICES }, () => {
    const moment = random.integer(1, moments.length - 1);
    const last = Math.floor((moment - 1) / 2);
    return { dumps: Array.from({ length: SHARDS }, () => random.integer(0, last)), moment };
  });
}

/** What rolls those dumps forward. */
function orderOf(dumps: readonly number[], names: readonly string[]) {
  const path = join(folder.path, `of-${dumps.join('-')}`);
  for (const [number, dump] of dumps.entries()) {
    const { name } = shard(number);
    cpSync(join(folder.path, `dump${dump}`, name), join(path, name), { recursive: true });
  }
  return { path, database: DATABASE, names, oplog: liveOplogs(cluster, begins), spillPath: `${path}-spill-` };
}

/** Throws where that choice of dumps, rolled forward to that moment, is not what the cluster had then; returns what is said of it. */
async function holds({ dumps, moment }: Choice): Promise<readonly string[]> {
  const { at, state } = moments[moment] as (typeof moments)[number];
  return rolledShards({ ...orderOf(dumps, NAMES), at: until(at) }, async ({ backup }) => {
    const { state: ours, summary } = await readTogether(backup, NAMES);
    isExactly(ours, state);
    return summary.warnings;
  });
}

async function allOf(backup: Backup, name: string): Promise<Document[]> {
  const all: Document[] = [];
  for await (const piece of backup.read(new Set([name])))
    if (piece.type === 'documents')
      for (let i = 0; i < piece.count; i++)
        all.push(deserialize(piece.bytes.subarray(piece.starts[i], piece.starts[i + 1])));
  return all;
}

test('whatever comes first, all documents are those that the cluster had, byte for byte', async () => {
  let leftOut = 0;
  for (const choice of choices(seededRandom(SEED + 1))) {
    const warnings = await holds(choice).catch((error: Error) => {
      throw new Error(`dumps ${choice.dumps}, moment ${choice.moment}: ${error.message}`, { cause: error });
    });
    if (warnings.some((each) => each.includes('(orphans)'))) leftOut++;
  }
  assert.ok(leftOut > CHOICES / 2, `copies were left out ${leftOut} times`);
});

test('a copy that was left behind is known, and one that was copied is kept, though the owner gave the document another shard key', async () => {
  for (const moment of [3, 9, 13]) await holds({ dumps: [0, 0, 0], moment });
});

test('two documents with one _id are both given, whichever was written last', async () => {
  for (const at of writtenTwice) {
    const order = { ...orderOf([0, 0, 0], [TWICE]), at: until(at) };
    const given = await rolledShards(order, ({ backup }) => allOf(backup, TWICE));
    assert.equal(given.map(({ k }) => k).sort(), [CHUNK, 2 * CHUNK]);
  }
});

test.run();
