/**
 * What rolling documents forward costs: by a live oplog of which few entries matter, by a large file of entries, and the memory that a million
 * touched `_id`s take.
 *
 * A tenth of the sizes that the figures are promised for; OPLOG_BENCH=whole takes all of it (2,000,000 entries, 2 GB, 1,000,000 `_id`s).
 */
import { closeSync, mkdtempSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Binary, Long, ObjectId, serialize, Timestamp } from 'bson';
import type { Db } from 'mongodb';
import { mongodump } from '../lab/tools.ts';
import { writePlan } from './bench-plan.ts';
import { DATABASE, type Grounds } from './grounds.ts';
import { comparePairs, type Measure, type Pair, type Result } from './measure.ts';
import { peakResult } from './memory.ts';
import { planProcess } from './plan-process.ts';
import { runWorker, selectOnce } from './worker.ts';

const SCALE = process.env['OPLOG_BENCH'] === 'whole' ? 1 : 0.1;
const ENTRIES = 2_000_000 * SCALE;
const IN_SCOPE = 50_000 * SCALE;
const BASE_BYTES = 100_000_000 * SCALE;
const FILE_BYTES = 2_000_000_000 * SCALE;
const TOUCHED = 1_000_000 * SCALE;
const OTHERS = 20_000;

export const OPLOG: Measure = {
  name: 'oplog',
  about:
    'rolling forward by a live oplog and by a file of entries, against the bare query and a bare walk over elements',
  run: async (grounds, { pairs, say }) => {
    const base = await prepareBase(grounds, say);
    const live = await pairsOf(pairs, {
      ours: () =>
        selectOnce(grounds, planBy(grounds, base, `mongodb: { uri: "\${PRODUCTION_MONGODB_URI}" }`)),
      reference: () => bareQuery(grounds, base),
    });
    const file = writeOplog(join(grounds.folder.path, 'large.bson'), base, {
      bytes: FILE_BYTES,
      touched: IN_SCOPE,
    });
    const fromFile = await pairsOf(pairs, {
      ours: () => selectOnce(grounds, planBy(grounds, base, `path: ${file}`)),
      reference: () => runWorker(grounds, 'plain-elements', [file]),
    });
    const many = writeOplog(join(grounds.folder.path, 'many.bson'), base, { bytes: 0, touched: TOUCHED });
    const { peakBytes } = await planProcess(grounds, planBy(grounds, base, `path: ${many}`), [
      ...['dry-run', 'plan.yaml', '--target', 'staging'],
    ]);
    const results: Result[] = [
      comparePairs(`${ENTRIES} live entries, ${IN_SCOPE} in scope`, live, 1 / 3),
      comparePairs(`${FILE_BYTES / 1e6} MB of entries from disk`, fromFile, 0.5),
      peakResult(`peak memory: ${TOUCHED} touched _ids`, peakBytes),
    ];
    return results;
  },
};

interface Base {
  /** Folder of a mongodump. */
  readonly dump: string;
  readonly begins: Date;
  readonly at: Date;
  readonly uuid: string;
}

/** A dump of one collection, all documents of which are then updated once among updates of another. */
async function prepareBase(grounds: Grounds, say: (text: string) => void): Promise<Base> {
  const { client, uri } = await grounds.production();
  await client.db('admin').command({ replSetResizeOplog: 1, size: 4000 });
  const db = client.db(DATABASE);
  say(`  filling ${BASE_BYTES / 1e6} MB and ${ENTRIES} entries`);
  await fill(db, 'few', { count: IN_SCOPE, text: 'x'.repeat(BASE_BYTES / IN_SCOPE - 80) });
  await fill(db, 'others', { count: OTHERS, text: '' });
  await pause();
  const begins = new Date();
  await pause();
  const dump = mkdtempSync(join(grounds.folder.path, 'rolled-'));
  await mongodump(uri, ['--db', DATABASE, '--collection', 'few', '--out', dump]);
  for (let entries = IN_SCOPE; entries < ENTRIES; entries += OTHERS)
    await db.collection('others').updateMany({}, { $inc: { n: 1 } });
  await db.collection('few').updateMany({}, { $inc: { n: 1 } });
  await pause();
  const at = new Date();
  await pause();
  await db.collection('others').updateOne({}, { $inc: { n: 1 } });
  const { uuid } = JSON.parse(readFileSync(join(dump, DATABASE, 'few.metadata.json'), 'utf8')) as {
    uuid: string;
  };
  return { dump, begins, at, uuid };
}

async function fill(db: Db, name: string, { count, text }: { count: number; text: string }): Promise<void> {
  for (let from = 0; from < count; from += 5000) {
    const some = Array.from({ length: Math.min(5000, count - from) }, (_, i) => ({
      _id: (from + i) as never,
      n: 0,
      text,
    }));
    await db.collection(name).insertMany(some);
  }
}

/** Longer than a roll-forward begins earlier than it is told: the inserts that fill the base are no part of what is measured. */
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2100));

function planBy(grounds: Grounds, { dump, begins, at }: Base, oplog: string): string {
  const place = { path: dump, at, oplog: `{ ${oplog}, begins: ${begins.toISOString()} }` };
  return writePlan(grounds, place, '\n  - { collection: few, query: { _id: { $lt: 10 } } }');
}

/** The server's own time for the entries in scope, all of which travel. */
async function bareQuery(grounds: Grounds, { begins, uuid }: Base): Promise<{ ms: number }> {
  const { client } = await grounds.production();
  const begun = performance.now();
  const cursor = client
    .db('local')
    .collection('oplog.rs')
    .find(
      {
        ts: { $gte: new Timestamp({ t: Math.floor(begins.getTime() / 1000), i: 0 }) },
        ui: new Binary(Buffer.from(uuid, 'hex'), 4),
      },
      { raw: true, batchSize: 10_000 },
    );
  let count = 0;
  while (await cursor.hasNext()) count += cursor.readBufferedDocuments().length;
  if (count < IN_SCOPE) throw new Error(`${count} entries were found`);
  return { ms: performance.now() - begun };
}

interface Contest {
  readonly ours: () => Promise<{ readonly ms: number }>;
  readonly reference: () => Promise<{ readonly ms: number }>;
}

async function pairsOf(count: number, { ours, reference }: Contest): Promise<Pair[]> {
  const pairs: Pair[] = [];
  for (let i = 0; i < count; i++) pairs.push({ ours: (await ours()).ms, reference: (await reference()).ms });
  return pairs;
}

/** A file of entries between `begins` and `at`: inserts that touch the dumped collection, then updates of another until it is large enough. */
function writeOplog(
  path: string,
  { begins, at, uuid }: Base,
  { bytes, touched }: { readonly bytes: number; readonly touched: number },
): string {
  const file = openSync(path, 'w');
  const first = Math.floor(begins.getTime() / 1000) - 2;
  let ordinal = 0;
  let written = 0;
  const entry = (wall: Date, seconds: number, fields: object): Buffer =>
    Buffer.from(
      serialize({
        ...fields,
        ts: new Timestamp({ t: seconds, i: ++ordinal }),
        t: Long.ONE,
        v: Long.fromNumber(2),
        wall,
      }),
    );
  const ui = new Binary(Buffer.from(uuid, 'hex'), 4);
  const write = (chunk: Buffer): void => {
    written += writeSync(file, chunk);
  };
  for (let i = 0; i < touched; i += 1000)
    write(
      Buffer.concat(
        Array.from({ length: 1000 }, () => {
          const o = { _id: new ObjectId(), n: 1 };
          return entry(begins, first, { op: 'i', ns: `${DATABASE}.few`, ui, o, o2: { _id: o._id } });
        }),
      ),
    );
  const other = new Binary(Buffer.alloc(16, 7), 4);
  const update = {
    op: 'u',
    ns: `${DATABASE}.others`,
    ui: other,
    o: { $v: 2, diff: { u: { n: 1 } } },
    o2: { _id: 1 },
  };
  while (written < bytes)
    write(Buffer.concat(Array.from({ length: 1000 }, () => entry(begins, first, update))));
  write(entry(at, Math.ceil(at.getTime() / 1000), { op: 'n', ns: '', o: {} }));
  closeSync(file);
  return path;
}
