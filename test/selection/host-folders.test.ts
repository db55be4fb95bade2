/**
 * A dump of several hosts or shards, each with a part of every collection, packed in a `.tar.gz` in any order: the selection is that of
 * the folder it was packed from, and the file is read once.
 */

import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Document, ObjectId, serialize } from 'bson';
import type { Db } from 'mongodb';
import * as assert from 'uvu/assert';
import { openBackup } from '../../src/backup/open-backup.ts';
import type { RunEvent } from '../../src/events.ts';
import type { Plan } from '../../src/plan/plan.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { documentsOf } from '../backup/every-layout.ts';
import { onDisk } from '../backup/reading.ts';
import { test } from '../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { type Random, seededRandom } from '../lab/random.ts';
import { buildTar } from '../lab/tar.ts';
import { mongodump } from '../lab/tools.ts';
import { QUIET } from '../quiet-run.ts';
import { planOf } from './plans.ts';
import { refusal, type Selecting, select } from './selecting.ts';

let lab: Lab;
let folder: TemporaryFolder;
let db: Db;
let plan: Plan;

/** Children to the third generation, a collection by two routes, and a tree. */
const FAMILY = planOf(
  {
    collection: 'sellers',
    query: { lost: true },
    dependents: [
      {
        collection: 'artworks',
        foreignKey: 'seller',
        dependents: [
          {
            collection: 'lots',
            foreignKey: 'artwork',
            dependents: [{ collection: 'bids', foreignKey: 'lot' }],
          },
          { collection: 'images', foreignKey: 'of' },
        ],
      },
      { collection: 'images', foreignKey: 'portrait_of' },
    ],
  },
  {
    collection: 'categories',
    query: { name: 'lost' },
    dependents: [{ collection: 'categories', foreignKey: 'parent' }],
  },
);

async function fillFamily(into: Db, random: Random): Promise<void> {
  const at = new Date('2016-09-13');
  const make = (count: number, rest: (i: number) => Document): Document[] =>
    Array.from({ length: count }, (_, i) => ({ _id: random.objectId(at), ...rest(i) }));
  const idOf = (documents: readonly Document[]): ObjectId => random.pick(documents)['_id'];
  const sellers = make(12, (i) => ({ lost: i % 3 === 0 }));
  const artworks = make(40, () => ({ seller: idOf(sellers) }));
  const lots = make(60, () => ({ artwork: random.chance(0.1) ? null : idOf(artworks) }));
  const bids = make(120, () => ({ lot: [idOf(lots), idOf(lots)] }));
  const images = make(60, () =>
    random.chance(0.5) ? { of: idOf(artworks) } : { of: new ObjectId(), portrait_of: idOf(sellers) },
  );
  const categories: Document[] = [{ _id: random.objectId(at), name: 'lost' }, { _id: random.objectId(at) }];
  for (let i = 0; i < 30; i++) categories.push({ _id: random.objectId(at), parent: idOf(categories) });
  for (const [name, documents] of Object.entries({ sellers, artworks, lots, bids, images, categories }))
    await into.collection(name).insertMany(documents);
}

test.before(async () => {
  lab = await openLab();
  folder = temporaryFolder('host-folders');
  db = lab.database('gravity');
  plan = { ...FAMILY, source: { ...FAMILY.source, database: db.databaseName } };
  await fillFamily(db, seededRandom(5));
  await mongodump(lab.staging.uri, ['--db', db.databaseName, '--out', at('whole')]);
});
test.after(async () => {
  folder.remove();
  await lab.close();
});

const at = (path: string): string => join(folder.path, path);

interface Member {
  readonly path: string;
  readonly body: Buffer;
}

/** Gives every document to one of the hosts, and some to two. */
function partAmongHosts(hosts: number, random: Random): Member[] {
  const dumped = at(`whole/${db.databaseName}`);
  return readdirSync(dumped).flatMap((name) => {
    const bytes = readFileSync(join(dumped, name));
    const parts = Array.from({ length: hosts }, (): Buffer[] => []);
    if (!name.endsWith('.bson')) for (const part of parts) part.push(bytes);
    else
      for (const document of documentsOf(bytes)) {
        const home = random.integer(0, hosts - 1);
        parts[home]?.push(document);
        if (random.chance(0.1)) parts[(home + 1) % hosts]?.push(document);
      }
    return parts.map((part, i) => ({
      path: `c${i}.example.net_27017/${db.databaseName}/${name}`,
      body: Buffer.concat(part),
    }));
  });
}

/** Host after host, in each the parents before their children. */
function parentsFirst(members: readonly Member[]): Member[] {
  const rank = ({ path }: Member): number => PARENTS_FIRST.indexOf(basename(path).replace(/\..*/, ''));
  return members.toSorted((a, b) => dirname(a.path).localeCompare(dirname(b.path)) || rank(a) - rank(b));
}
const PARENTS_FIRST = ['sellers', 'artworks', 'lots', 'bids', 'images', 'categories'];

function shuffled<T>(items: readonly T[], random: Random): T[] {
  return items
    .map((item) => ({ item, place: random.fraction() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}

let works = 0;
interface Selected {
  readonly selection: Selection;
  /** Bytes that came from storage. */
  readonly bytesRead: number;
  readonly warnings: readonly string[];
}

async function selectFrom(path: string, more: Partial<Selecting> = {}): Promise<Selected> {
  const events: RunEvent[] = [];
  const emit = (event: RunEvent): unknown => events.push(event);
  const backup = await openBackup({ ...QUIET, emit }, onDisk(path, { database: db.databaseName }), {
    wanted: new Set(),
  });
  try {
    const selection = await select(plan, { backup, folder: at(`work-${++works}`), emit, ...more });
    const bytesRead = events.flatMap((event) =>
      event.type === 'selection-finished' ? [event.bytesRead] : [],
    );
    const warnings = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));
    return { selection, bytesRead: bytesRead[0] ?? 0, warnings };
  } finally {
    await backup.close();
  }
}

/** Lays the members out in a folder, and packs them in this order; returns both paths. */
function layOut(name: string, members: readonly Member[]): { hosts: string; packed: string } {
  const hosts = at(name);
  for (const { path, body } of members) {
    mkdirSync(dirname(join(hosts, path)), { recursive: true });
    writeFileSync(join(hosts, path), body);
  }
  const packed = at(`${name}.tar.gz`);
  writeFileSync(packed, gzipSync(buildTar(members)));
  return { hosts, packed };
}

test(
  'whatever the order of its members: the selection of the folder, from one reading',
  async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random = seededRandom(seed);
      const members = shuffled(partAmongHosts(random.integer(2, 3), random), random);
      const { hosts, packed } = layOut(`hosts-${seed}`, members);
      const expected = await selectFrom(hosts);
      const { selection, bytesRead, warnings } = await selectFrom(packed);
      assert.is(selection.manifest.digest, expected.selection.manifest.digest, `seed ${seed}`);
      assert.is(bytesRead, statSync(packed).size, `seed ${seed}: the file is read once`);
      assert.equal(warnings, []);
      assert.equal(readdirSync(selection.directory), [db.databaseName, 'manifest.json'].sort());
    }
  },
  { deadlineMs: 90_000 },
);

test('host after host, parents first: what mongod itself finds', async () => {
  const { packed } = layOut('parents-first', parentsFirst(partAmongHosts(3, seededRandom(77))));
  const { selection } = await selectFrom(packed);
  const ids = async (collection: string, filter: Document): Promise<ObjectId[]> =>
    (await db.collection(collection).find(filter).toArray()).map(({ _id }) => _id);
  const sellers = await ids('sellers', { lost: true });
  const artworks = await ids('artworks', { seller: { $in: sellers } });
  const lots = await ids('lots', { artwork: { $in: artworks } });
  const found = {
    sellers,
    artworks,
    lots,
    bids: await ids('bids', { lot: { $in: lots } }),
    images: await ids('images', { $or: [{ of: { $in: artworks } }, { portrait_of: { $in: sellers } }] }),
  };
  const counts = new Map(selection.manifest.collections.map(({ collection, count }) => [collection, count]));
  for (const [collection, { length }] of Object.entries(found))
    assert.is(counts.get(collection), length, collection);
});

test('what is too much to be kept on disk is read again, and that is said', async () => {
  const { hosts, packed } = layOut('little-space', parentsFirst(partAmongHosts(2, seededRandom(78))));
  const expected = await selectFrom(hosts);
  const { size } = statSync(packed);
  for (const [spareBytes, most] of [
    [0, 4],
    [4000, 4],
    [1_000_000, 1],
  ] as const) {
    const { selection, bytesRead, warnings } = await selectFrom(packed, { spareBytes });
    assert.is(selection.manifest.digest, expected.selection.manifest.digest);
    assert.ok(bytesRead <= most * size, `${bytesRead} of ${size} bytes`);
    assert.is(bytesRead, (warnings.length + 1) * size);
    assert.is(warnings.length > 0, most > 1);
    for (const warning of warnings)
      assert.match(warning, /little-space\.tar\.gz holds more parents of \w+.* it is read once more/);
  }
});

test('a child that two hosts hold differently is refused, though its parent comes last', async () => {
  const members = parentsFirst(partAmongHosts(2, seededRandom(79))).filter(
    ({ path }) => !path.includes('/sellers.bson'),
  );
  const [first, second] = ['c0.example.net_27017', 'c1.example.net_27017'].map(
    (host) => `${host}/${db.databaseName}`,
  );
  const seller = await db.collection('sellers').findOne({ lost: true });
  const artwork = await db.collection('artworks').findOne({ seller: seller?._id });
  const other = Buffer.from(serialize({ ...artwork, title: 'another' }));
  const { packed } = layOut('conflict', [
    { path: `${first}/sellers.bson`, body: Buffer.from(serialize({ _id: 'another', lost: true })) },
    ...members.map(({ path, body }) => ({
      path,
      body: path.endsWith('artworks.bson')
        ? Buffer.concat([body, path.startsWith('c0') ? Buffer.from(serialize(artwork as Document)) : other])
        : body,
    })),
    { path: `${second}/sellers.bson`, body: Buffer.from(serialize(seller as Document)) },
  ]);
  const error = await refusal(selectFrom(packed));
  assert.match(
    error.message,
    /artworks: the backup holds two different documents with _id .*c0.* and in .*c1/,
  );
});

test.run();
