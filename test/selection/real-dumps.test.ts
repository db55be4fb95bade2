/** Selections from what the real mongodump wrote, read back by the real bsondump and mongorestore; the answer is mongod's own. */

import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, EJSON, ObjectId } from 'bson';
import type { Db } from 'mongodb';
import * as assert from 'uvu/assert';
import { openBackup } from '../../src/backup/open-backup.ts';
import type { Plan } from '../../src/plan/plan.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { onDisk } from '../backup/reading.ts';
import { test } from '../harness.ts';
import { artMarket, fillArtMarket, LOST_PARTNER } from '../lab/art-market.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { tarFolder } from '../lab/tar.ts';
import { mongodump, mongorestore, mongoTool } from '../lab/tools.ts';
import { QUIET } from '../quiet-run.ts';
import { planOf } from './plans.ts';
import { refusal, select } from './selecting.ts';

let lab: Lab;
let folder: TemporaryFolder;
let db: Db;
let plan: Plan;
const LONG_NAME = `long ${'é'.repeat(60)}`;

test.before(async () => {
  lab = await openLab();
  folder = temporaryFolder('real-dumps');
  db = lab.database('gravity');
  await fillArtMarket(db, artMarket({ artworks: 1000 }));
  await db.collection('empty').createIndex({ a: 1 });
  await db.collection('a/b c:d').insertMany([{ n: 1 }, { n: 2 }]);
  await db.collection(LONG_NAME).insertOne({ n: 1 });
  await db.createCollection('cheap', { viewOn: 'artworks', pipeline: [{ $match: { price: { $lt: 10 } } }] });
  await db.createCollection('prices', { timeseries: { timeField: 'at' } });
  await mongodump(lab.staging.uri, ['--db', db.databaseName, '--out', at('dump')]);
  await tarFolder(folder.path, at('db.tar'), { members: ['dump'] });
  await tarFolder(folder.path, at('db.tar.gz'), { members: ['dump'], gzip: true });
  plan = inDatabase(
    planOf({
      collection: 'artworks',
      query: { partner_id: LOST_PARTNER },
      dependents: [
        { collection: 'sale_artworks', foreignKey: 'artwork_id' },
        {
          collection: 'offers',
          foreignKey: 'artwork_id',
          dependents: [{ collection: 'people', foreignKey: '_id', localKey: 'person_id' }],
        },
      ],
    }),
  );
});
test.after(async () => {
  folder.remove();
  await lab.close();
});

const at = (path: string): string => join(folder.path, path);
const inDatabase = (made: Plan): Plan => ({ ...made, source: { ...made.source, database: db.databaseName } });

let works = 0;
async function selectFrom(path: string, from: Plan = plan): Promise<Selection> {
  const backup = await openBackup(QUIET, onDisk(at(path), { database: db.databaseName }), {
    wanted: new Set(),
  });
  try {
    const work = at(`work-${++works}`);
    mkdirSync(work);
    return await select(from, { backup, folder: work });
  } finally {
    await backup.close();
  }
}

/** What mongod itself finds for the plan. */
async function expected(): Promise<Map<string, Set<string>>> {
  const ids = async (collection: string, filter: Document): Promise<Document[]> =>
    db.collection(collection).find(filter).toArray();
  const artworks = await ids('artworks', { partner_id: LOST_PARTNER });
  const byArtwork = { artwork_id: { $in: artworks.map(({ _id }) => _id) } };
  const offers = await ids('offers', byArtwork);
  const found = {
    artworks,
    sale_artworks: await ids('sale_artworks', byArtwork),
    offers,
    people: await ids('people', { _id: { $in: offers.map(({ person_id }) => person_id) } }),
  };
  return new Map(
    Object.entries(found).map(([name, all]) => [name, new Set(all.map(({ _id }) => String(_id)))]),
  );
}

test('every layout gives the same selection, the one mongod itself finds', async () => {
  const [directory, tar, targz] = [
    await selectFrom('dump'),
    await selectFrom('db.tar'),
    await selectFrom('db.tar.gz'),
  ];
  assert.is(tar.manifest.digest, directory.manifest.digest);
  assert.is(targz.manifest.digest, directory.manifest.digest);
  const answer = await expected();
  assert.equal(
    directory.manifest.collections.map(({ collection, count }) => [collection, count]),
    [...answer].map(([collection, ids]) => [collection, ids.size]),
  );
});

test('a query on an empty collection matches nothing, and is refused by name', async () => {
  const error = await refusal(selectFrom('dump', inDatabase(planOf({ collection: 'empty', query: {} }))));
  assert.is(error.exitCode, 12);
  assert.match(error.message, /a query matched nothing: .* of empty/);
});

test('bsondump reads the selection', async () => {
  const { directory } = await selectFrom('db.tar');
  for (const [collection, ids] of await expected()) {
    const file = join(directory, db.databaseName, `${collection}.bson`);
    const lines = (await mongoTool('bsondump', ['--quiet', file])).stdout.toString().trim().split('\n');
    assert.equal(new Set(lines.map((line) => String(EJSON.parse(line)['_id']))), ids);
  }
});

test('mongorestore takes the selection, with its indexes', async () => {
  const { directory } = await selectFrom('db.tar.gz');
  const restored = lab.database('restored');
  const { stderr } = await mongorestore(lab.staging.uri, [
    '--nsFrom',
    `${db.databaseName}.*`,
    '--nsTo',
    `${restored.databaseName}.*`,
    '--dir',
    directory,
  ]);
  assert.match(stderr, / 0 document\(s\) failed to restore/);
  for (const [collection, ids] of await expected()) {
    const all = await restored.collection(collection).find({}, { raw: true }).toArray();
    assert.is(all.length, ids.size);
    const indexes = await restored.collection(collection).indexes();
    assert.equal(
      indexes.map(({ name }) => name).sort(),
      (await db.collection(collection).indexes()).map(({ name }) => name).sort(),
    );
  }
});

test('names that file systems do not like are found, and spelt in the selection as mongodump spells them', async () => {
  for (const path of ['dump', 'db.tar', 'db.tar.gz']) {
    const { directory, manifest } = await selectFrom(
      path,
      inDatabase(planOf({ collection: 'a/b c:d', query: { n: 2 } }, { collection: LONG_NAME, query: {} })),
    );
    assert.equal(
      manifest.collections.map(({ collection, count }) => [collection, count]),
      [
        ['a/b c:d', 1],
        [LONG_NAME, 1],
      ],
    );
    for (const { file, metadataFile } of manifest.collections) {
      for (const name of [file, metadataFile as string]) {
        assert.ok(existsSync(join(at('dump'), db.databaseName, name)), name);
        assert.ok(existsSync(join(directory, db.databaseName, name)), name);
      }
    }
    assert.equal(
      readFileSync(join(directory, db.databaseName, manifest.collections[1]?.file as string)),
      readFileSync(join(at('dump'), db.databaseName, manifest.collections[1]?.file as string)),
    );
  }
});

test('a view, a time series and a collection that is not there are refused by name, in every layout', async () => {
  for (const path of ['dump', 'db.tar', 'db.tar.gz']) {
    for (const [collection, message] of [
      ['cheap', /cheap is a view/],
      ['prices', /prices is a time series/],
      ['artwroks', /holds no collection artwroks/],
    ] as const) {
      const error = await refusal(
        selectFrom(path, inDatabase(planOf({ collection, query: { _id: new ObjectId() } }))),
      );
      assert.is(error.exitCode, 12);
      assert.match(error.message, message, `${path}: ${error.message}`);
    }
  }
});

test.run();
