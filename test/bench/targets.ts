/** Brings the two targets to the state before a restore. */
import type { Db } from 'mongodb';
import { DATABASE, type Grounds, STAGING_DATABASE } from './grounds.ts';

export async function targetDatabases(grounds: Grounds): Promise<{ staging: Db; production: Db }> {
  const [staging, production] = await Promise.all([grounds.staging(), grounds.production()]);
  return { staging: staging.client.db(STAGING_DATABASE), production: production.client.db(DATABASE) };
}

/** Writes down what the server still holds of earlier runs, so that nobody pays for what came before. */
export async function settle(database: Db): Promise<void> {
  await database.admin().command({ fsync: 1 });
}

/** Both collections are there, with the index that such an application keeps, and hold nothing. */
export async function emptyTargets(grounds: Grounds): Promise<void> {
  const { staging, production } = await targetDatabases(grounds);
  for (const database of [staging, production]) {
    await database.dropDatabase();
    await (await database.createCollection('artworks')).createIndex({ partner_id: 1 });
    await (await database.createCollection('sale_artworks')).createIndex({ artwork_id: 1 });
    await settle(database);
  }
}

/** Throws unless each target holds this many documents in each collection: a measure of a wrong restore is void. */
export async function assertRestored(
  grounds: Grounds,
  expected: Readonly<Record<string, number>>,
): Promise<void> {
  for (const [name, database] of Object.entries(await targetDatabases(grounds)))
    for (const [collection, count] of Object.entries(expected)) {
      const found = await database.collection(collection).countDocuments();
      if (found !== count) throw new Error(`${name} holds ${found} ${collection}, not ${count}`);
    }
}
