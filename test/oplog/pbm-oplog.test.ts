/** The slices of Percona Backup for MongoDB: a backup that was taken under load, and point-in-time recovery beside it. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as zlib from 'node:zlib';
import { Binary, Timestamp as BsonTimestamp, type Document, deserialize, Long, serialize } from 'bson';
import * as assert from 'uvu/assert';
import { openBackup } from '../../src/backup/open-backup.ts';
import { canonicalKey } from '../../src/bson/canonical-bytes.ts';
import { findId } from '../../src/bson/documents.ts';
import { RestorePlanError } from '../../src/errors.ts';
import { compareTimestamps, OP, OplogEntry, type Timestamp } from '../../src/oplog/entry.ts';
import { type RolledForward, rollForward } from '../../src/oplog/roll-forward.ts';
import { rollShards } from '../../src/oplog/shards/roll-shards.ts';
import type { Source } from '../../src/plan/plan.ts';
import type { OplogPlan, SetOplog, ShardOplogs } from '../../src/plan/sources/oplog.ts';
import { Secret } from '../../src/secret.ts';
import { layOutPbm } from '../backup/pbm-layout.ts';
import { inBucket, onDisk, useCredentials } from '../backup/reading.ts';
import { test } from '../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { type ReplicaSet, startReplicaSet } from '../lab/replica-set.ts';
import { packS2 } from '../lab/s2.ts';
import { mongodump } from '../lab/tools.ts';
import { QUIET } from '../quiet-run.ts';
import { fill, underLoad } from './write-load.ts';

const DOCUMENTS = 1000;
const NAME = '2026-11-22T08:00:00Z';
const SLICES = 8;

let set: ReplicaSet;
let lab: Lab;
let folder: TemporaryFolder;
let at: Date;
let expected: Map<string, Buffer>;
/** When the backup was begun and finished, as PBM asks the server for it. */
let begin: Timestamp;
let end: Timestamp;
let entries: { readonly ts: Timestamp; readonly bytes: Buffer; readonly isNoop: boolean }[];

test.before(
  async () => {
    folder = temporaryFolder('pbm-oplog');
    lab = await openLab();
    useCredentials(lab.s3);
    set = await startReplicaSet();
    await fill(set.client, 'shop', DOCUMENTS);
    await underLoad(set, 'shop', DOCUMENTS, async () => {
      begin = await newest();
      await mongodump(set.uri, ['--db', 'shop', '--out', join(folder.path, 'dumped')]);
      end = await newest();
    });
    await pause(1200);
    expected = await stateOf();
    at = new Date();
    await pause(1200);
    await set.client.db('shop').collection('a').deleteMany({});
    await pause(1200);
    await set.client.db('shop').collection('b').deleteMany({});
    await mongodump(set.uri, ['-d', 'local', '-c', 'oplog.rs', '--out', join(folder.path, 'saved')]);
    entries = entriesIn(readFileSync(join(folder.path, 'saved/local/oplog.rs.bson')));
  },
  { deadlineMs: 240_000 },
);
test.after(async () => {
  await Promise.all([set?.stop(), lab?.close()]);
  folder.remove();
});

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function newest(): Promise<Timestamp> {
  const [last] = await set.client
    .db('local')
    .collection('oplog.rs')
    .find({}, { sort: { $natural: -1 }, limit: 1 })
    .toArray();
  return { seconds: last?.['ts'].t, ordinal: last?.['ts'].i };
}

async function stateOf(): Promise<Map<string, Buffer>> {
  const state = new Map<string, Buffer>();
  for (const name of ['a', 'b'])
    for (const each of await set.client.db('shop').collection(name).find({}, { raw: true }).toArray())
      state.set(...keyed(name, Buffer.from(each as unknown as Uint8Array)));
  return state;
}

function keyed(name: string, document: Buffer): [string, Buffer] {
  const id = findId(document);
  return [`${name} ${id === undefined ? '' : canonicalKey(id)}`, document];
}

function entriesIn(bytes: Buffer): typeof entries {
  const found: typeof entries = [];
  const entry = new OplogEntry();
  for (let start = 0; start < bytes.length; start = entry.end) {
    const { seconds, ordinal, op, end: stop } = entry.read(bytes, start);
    found.push({ ts: { seconds, ordinal }, bytes: bytes.subarray(start, stop), isNoop: op === OP.NOOP });
  }
  return found;
}

/** As PBM names a slice, without what follows it. */
function nameOf(from: Timestamp, till: Timestamp): string {
  const time = ({ seconds, ordinal }: Timestamp): string =>
    `${new Date(seconds * 1000).toISOString().replaceAll(/[-:T]|\..*$/g, '')}-${ordinal}`;
  return `${time(from)}.${time(till)}`;
}

/** What PBM writes of a stretch, both ends inclusive: entries back to back, those without content left out. */
function sliceOf(from: Timestamp, till: Timestamp): Buffer {
  const inside = entries.filter(
    ({ ts, isNoop }) => !isNoop && compareTimestamps(ts, from) >= 0 && compareTimestamps(ts, till) <= 0,
  );
  return Buffer.concat(inside.map(({ bytes }) => bytes));
}

interface Packing {
  readonly extension: string;
  readonly pack: (bytes: Buffer) => Buffer;
  readonly isRecent?: boolean;
}
const PLAIN: Packing = { extension: '', pack: (bytes) => bytes };
const { zstdCompressSync } = zlib as { zstdCompressSync?: (bytes: Buffer, options: object) => Buffer };
const ZSTD_CHECKSUM_FLAG = 201;
const ZSTD: Packing = {
  extension: '.zst',
  pack: (bytes) =>
    // With a checksum, as PBM's encoder does. What a zstd stream begins with, for a Node.js that has none.
    zstdCompressSync?.(bytes, { params: { [ZSTD_CHECKSUM_FLAG]: 1 } }) ??
    Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), bytes]),
};
const PACKINGS: readonly Packing[] = [
  { ...PLAIN, isRecent: true },
  { extension: '.gz', pack: (bytes) => zlib.gzipSync(bytes) },
  { extension: '.s2', pack: (bytes) => packS2(bytes) },
  { extension: '.snappy', pack: (bytes) => packS2(bytes, 'snappy') },
  ...(zstdCompressSync === undefined ? [] : [ZSTD]),
];

/** Lays a backup and its slices out beneath a folder of its own, which is returned; the slices of recovery in order as well. */
function layOut(place: string, { extension, pack, isRecent = false }: Packing): string[] {
  const root = join(folder.path, place);
  const dumped = join(folder.path, 'dumped/shop');
  layOutPbm(join(root, NAME), { dumped, database: 'shop', extension, compress: pack, isRecent });
  const own = join(root, NAME, 'rs0/oplog');
  rmSync(own, { recursive: true });
  mkdirSync(own);
  writeFileSync(join(own, `${nameOf(begin, end)}${extension}`), pack(sliceOf(begin, end)));
  // Recovery goes on while a backup is taken: its slices begin before the end of that.
  const ended = entries.findIndex(({ ts }) => compareTimestamps(ts, end) === 0);
  const begun = entries.findIndex(({ ts }) => compareTimestamps(ts, begin) === 0);
  const rest = (entries.length - 1 - ended) / (SLICES - 1);
  const bounds = [
    (begun + ended) / 2,
    ...Array.from({ length: SLICES }, (_, i) => ended + (i + 0.5) * rest),
  ].map((i) => (entries[Math.min(Math.round(i), entries.length - 1)] as (typeof entries)[number]).ts);
  return Array.from({ length: SLICES }, (_, i) => {
    const [from, till] = [bounds[i] as Timestamp, bounds[i + 1] as Timestamp];
    const day = new Date(from.seconds * 1000).toISOString().slice(0, 10).replaceAll('-', '');
    const path = join(root, 'pbmPitr/rs0', day, `${nameOf(from, till)}.oplog${extension}`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, pack(sliceOf(from, till)));
    return path;
  });
}

const PBM: SetOplog = { kind: 'pbm', begins: undefined };

async function rolled<T>(
  place: string | Source,
  look: (rolled: RolledForward) => Promise<T>,
  oplog: OplogPlan = PBM,
): Promise<T> {
  const moment = { epochMs: at.getTime(), text: at.toISOString() };
  const named = typeof place === 'string' ? onDisk(join(folder.path, place)) : place;
  const source = { ...named, at: named.at ?? moment, database: 'shop', oplog };
  const wanted = new Set(['a', 'b']);
  const backup = await openBackup(QUIET, source, { wanted });
  try {
    const spillPath = join(folder.path, 'spill-');
    const order = { source, backup, wanted, spillPath };
    return await look(
      oplog.kind === 'shards'
        ? await rollShards(QUIET, { ...order, oplog })
        : await rollForward(QUIET, { ...order, oplog }),
    );
  } finally {
    await backup.close();
  }
}

async function isExact({ backup }: RolledForward, wanted = expected): Promise<void> {
  const documents = new Map<string, Buffer>();
  for await (const piece of backup.read(new Set(['a', 'b']))) {
    if (piece.type !== 'documents') continue;
    for (let i = 0; i < piece.count; i++) {
      const document = Buffer.from(piece.bytes.subarray(piece.starts[i], piece.starts[i + 1]));
      documents.set(...keyed(piece.member.collection, document));
    }
  }
  const wrong = [...wanted].filter(([key, document]) => documents.get(key)?.equals(document) !== true);
  assert.is(wrong.length, 0, `${wrong.length} of ${wanted.size} differ`);
  assert.is(documents.size, wanted.size);
}

test('whatever it is compressed with, the documents are those of the moment, and the sum that of the live oplog', async () => {
  const live: SetOplog = { kind: 'mongodb', uri: new Secret(set.uri), begins: undefined };
  const sums = new Set<string>();
  for (const packing of PACKINGS) {
    const place = `good${packing.extension}`;
    layOut(place, packing);
    for (const named of [`${place}/${NAME}/`, `${place}/${NAME}/rs0/`])
      await rolled(named, async (result) => {
        await isExact(result);
        const { record } = result;
        assert.is(record.beginSaid, 'dump');
        assert.equal(record.begin, [begin.seconds, begin.ordinal]);
        assert.match(record.source, /^the slices of rs0 in and beside /);
        sums.add(`${record.entries} ${record.sha256}`);
      });
  }
  await rolled(`good/${NAME}/`, async ({ record }) => sums.add(`${record.entries} ${record.sha256}`), live);
  assert.is(sums.size, 1, [...sums].join('\n'));
});

test('a timestamp cuts the slices as it cuts the live oplog, though no entry may bear it', async () => {
  layOut('cut-by-ts', PLAIN);
  const cut = entries.find(({ ts }) => ts.seconds >= Math.ceil(at.getTime() / 1000) - 1)?.ts as Timestamp;
  const ts = { ...cut, ordinal: cut.ordinal + 1000 };
  const moment = { epochMs: ts.seconds * 1000, text: 'a timestamp', ts };
  const live: SetOplog = { kind: 'mongodb', uri: new Secret(set.uri), begins: undefined };
  const told: string[] = [];
  for (const oplog of [PBM, live])
    await rolled(
      { ...onDisk(join(folder.path, 'cut-by-ts', NAME, '/')), at: moment },
      async ({ record: { source: _, laterUntil: __, ...record } }) => told.push(JSON.stringify(record)),
      oplog,
    );
  assert.is(told[0], told[1]);
  assert.match(told[0] as string, new RegExp(`"cut":\\[${ts.seconds},${ts.ordinal}\\]`));
});

test('a bucket is read in the same way', async () => {
  layOut('bucket', PACKINGS[2] as Packing);
  const bucket = await lab.bucket('pbm');
  const root = join(folder.path, 'bucket');
  for (const file of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(file.parentPath, file.name);
    if (file.isFile()) await bucket.put(`pbm/${path.slice(root.length + 1)}`, readFileSync(path));
  }
  await rolled(inBucket(lab.s3, bucket, `pbm/${NAME}/`), isExact);
});

async function refused(place: string, message: RegExp, oplog?: OplogPlan): Promise<void> {
  const error = await rolled(`${place}/${NAME}/`, async () => undefined, oplog).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.instance(error, RestorePlanError, `not refused: ${message}`);
  assert.is((error as RestorePlanError).code, 'BACKUP');
  assert.match(`${(error as RestorePlanError).message} ${(error as RestorePlanError).hint}`, message);
}

test('a missing slice is named, with what lies beside the hole and the moment that can do without it', async () => {
  const [, second, third] = layOut('hole', PLAIN);
  renameSync(second as string, join(folder.path, 'second'));
  await refused(
    'hole',
    new RegExp(
      `nothing covers what lies between \\d+,\\d+ \\(\\S+Z\\), where \\S+ ends, and \\d+,\\d+ \\(\\S+Z\\), where ${third} begins.*A source\\.at no later than \\d+,\\d+ `,
      's',
    ),
  );
});

test('a slice that was cut off is named', async () => {
  const slices = layOut('cut', PLAIN);
  const [, second = ''] = slices;
  const whole = readFileSync(second);
  writeFileSync(second, whole.subarray(0, -7));
  await refused(
    'cut',
    /behind the entry \d+,\d+ .*the last \d+ bytes are not a whole document.*A source\.at no later/s,
  );
  const inside = entriesIn(whole);
  writeFileSync(second, whole.subarray(0, -(inside.at(-1)?.bytes.length as number)));
  await refused(
    'cut',
    /is cut off: its name says that it reaches to|has an entry .* that \S+, which covers that moment, has not/,
  );
});

test('so is one that was cut off as it is compressed, whatever it is compressed with', async () => {
  for (const packing of PACKINGS.slice(1)) {
    const place = `cut${packing.extension}`;
    const [, second = ''] = layOut(place, packing);
    const whole = readFileSync(second);
    for (const left of [whole.length - 3, Math.floor(whole.length / 2)]) {
      writeFileSync(second, whole.subarray(0, left));
      await refused(place, new RegExp(`${second}.*A source\\.at no later than \\d+,\\d+ `, 's'));
    }
  }
});

test('so is one of which a bit was flipped, whatever it is compressed with', async () => {
  for (const packing of PACKINGS.slice(1)) {
    const place = `flipped${packing.extension}`;
    const [, second = ''] = layOut(place, packing);
    const whole = readFileSync(second);
    // Of S2: in the checksum of the first block, and in its first literal. Else in what stands behind the data.
    for (const at of /s2|snappy/.test(packing.extension) ? [14, 30] : [whole.length - 3]) {
      const bytes = Buffer.from(whole);
      bytes[at] = (bytes[at] as number) ^ 1;
      writeFileSync(second, bytes);
      await refused(place, new RegExp(`${second}.* damaged `));
    }
  }
});

test('so are entries out of order in a slice, one of a newer server and one of another set', async () => {
  const [, second = ''] = layOut('odd', PLAIN);
  const inside = entriesIn(readFileSync(second)).map(({ bytes }) => Buffer.from(bytes));
  const [first, next, ...more] = inside as [Buffer, Buffer, ...Buffer[]];
  const stored = (...pieces: readonly Buffer[]): void => writeFileSync(second, Buffer.concat(pieces));
  const until = /A source\.at no later than \d+,\d+ /;
  stored(next, first, ...more);
  await refused('odd', new RegExp(`(timestamps rise|has an entry).*${until.source}`, 's'));
  const middle = more.length >> 1;
  stored(first, next, ...more.slice(0, middle), more[middle + 1] as Buffer, more[middle] as Buffer);
  await refused('odd', new RegExp(`(timestamps rise|has an entry|is cut off).*${until.source}`, 's'));
  const newer = deserialize(more[middle] as Buffer, { promoteValues: false });
  const like = (change: Document): void =>
    stored(
      first,
      next,
      ...more.slice(0, middle),
      Buffer.from(serialize({ ...newer, ...change })),
      ...more.slice(middle + 1),
    );
  like({ v: Long.fromNumber(3) });
  await refused('odd', new RegExp(`an entry of version 3.*${until.source}`, 's'));
  like({ op: 'xx' });
  await refused('odd', new RegExp(`operation "xx" that is not known here.*${until.source}`, 's'));
  like({ op: 'i', ns: 'shop.a', ui: new Binary(Buffer.alloc(16, 7), Binary.SUBTYPE_UUID) });
  await refused('odd', /entries for shop\.a belong to a collection with the UUID 0707/);
});

test('what cannot be inflated here is told by name', async () => {
  if (zstdCompressSync === undefined) {
    layOut('good.zst', ZSTD);
    await refused('good.zst', /compressed with zstd, which this Node\.js cannot read/);
  }
  const magic = Buffer.from([0x04, 0x22, 0x4d, 0x18]);
  layOut('good.lz4', { extension: '.lz4', pack: (bytes) => Buffer.concat([magic, bytes]) });
  await refused('good.lz4', /compressed with lz4/);
});

test('of a cluster, each shard takes the slices of its own replica set alone', async () => {
  layOut('cluster', PLAIN);
  // Shards have a collection by one UUID.
  const { uuid } = JSON.parse(readFileSync(join(folder.path, 'dumped/shop/a.metadata.json'), 'utf8'));
  const [last] = entries.slice(-1) as typeof entries;
  const ts = { ...end, ordinal: end.ordinal + 1000 };
  const entry = serialize({
    ...{ op: 'i', ns: 'shop.a', ui: new Binary(Buffer.from(uuid, 'hex'), Binary.SUBTYPE_UUID) },
    ...{ o: { _id: 'of rs1' }, o2: { _id: 'of rs1' }, v: Long.fromNumber(2), t: Long.ONE },
    ...{ ts: new BsonTimestamp({ t: ts.seconds, i: ts.ordinal }), wall: new Date(ts.seconds * 1000) },
  });
  const metadata = JSON.stringify({ indexes: [], uuid, collectionName: 'a', type: 'collection' });
  const zero = { $numberLong: '0' };
  const namespace = { db: 'shop', collection: 'a', metadata, type: 'collection', crc: zero, size: zero };
  const recovery = `pbmPitr/rs1/20261122/${nameOf(end, (last as (typeof entries)[number]).ts)}.oplog`;
  for (const [path, bytes] of [
    [`${NAME}/rs1/metadata.json`, JSON.stringify({ namespaces: [namespace] })],
    [`${NAME}/rs1/oplog/${nameOf(begin, end)}`, ''],
    [recovery, entry],
  ] as const) {
    mkdirSync(dirname(join(folder.path, 'cluster', path)), { recursive: true });
    writeFileSync(join(folder.path, 'cluster', path), bytes);
  }
  const shards = (...folders: string[]): ShardOplogs => ({
    kind: 'shards',
    shards: folders.map((one) => ({ folder: one, oplog: PBM })),
  });
  await rolled('cluster/', async () => undefined, shards(`${NAME}/rs0`, `${NAME}/rs1`));
  const own = [keyed('a', Buffer.from(serialize({ _id: 'of rs1' })))] as const;
  await rolled(
    `cluster/${NAME}/`,
    async (result) => {
      await isExact(result, new Map([...expected, ...own]));
      const [first, second] = result.record.shards ?? [];
      assert.match(String(first?.source), /^the slices of rs0 in and beside rs0 of /);
      assert.match(String(second?.source), /^the slices of rs1 in and beside rs1 of /);
      assert.is(second?.entries, 1);
    },
    shards('rs0', 'rs1'),
  );
  rmSync(join(folder.path, 'cluster', NAME, 'rs1/oplog'), { recursive: true });
  await refused('cluster', /rs1 of \S+ has no slices of an oplog \(oplog\/ of rs1\)/, shards('rs0', 'rs1'));
});

test('slices that do not reach to the moment, or are not there, are refused', async () => {
  for (const path of layOut('short', PLAIN)) rmSync(path);
  await refused('short', /its newest entry is \d+,\d+ .*, before source\.at/);
  layOut('bare', PLAIN);
  rmSync(join(folder.path, 'bare', NAME, 'rs0/oplog'), { recursive: true });
  await refused('bare', /has no slices of an oplog \(oplog\/ of rs0\)/);
  const plain = await rolled('dumped/', async () => undefined).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.match((plain as Error).message, /is no backup of Percona Backup for MongoDB/);
});

test.run();
