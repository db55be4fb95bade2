/** What happens before the operator is called: a backup is taken, then a partner is destroyed by mistake. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Db, type Document, type Filter, ObjectId } from 'mongodb';
import { LOST_PARTNER } from '../lab/art-market.ts';
import type { Bucket } from '../lab/s3.ts';
import { tarFolder } from '../lab/tar.ts';
import { mongodump } from '../lab/tools.ts';
import { backupFolder } from './plan-file.ts';

/** Dumps a database as the nightly script does and stores it under the time at which the script started. Returns the key. */
export async function takeBackup(from: BackupSource, bucket: Bucket, startedAt: Date): Promise<string> {
  // The script names a folder after the host it dumps from; the database lies below it.
  const host = join(from.folder, 'c0.example.net_27017');
  mkdirSync(host, { recursive: true });
  await mongodump(from.uri, ['--db', from.database, '--out', host]);
  const tar = join(from.folder, 'db.tar');
  await tarFolder(from.folder, tar, { members: ['c0.example.net_27017'] });
  const key = `db/backup/${backupFolder(startedAt)}/db.tar`;
  await bucket.putFile(key, tar);
  rmSync(host, { recursive: true });
  rmSync(tar);
  return key;
}

export interface BackupSource {
  readonly uri: string;
  readonly database: string;
  /** An empty folder to work in. */
  readonly folder: string;
}

/** Of an artwork that is made after the backup. */
export const NEW_ARTWORK = new ObjectId('6921c2f8d1a4b0c3e5f60718');

/** What an application does between the backup and the accident: one artwork of the partner gets another title, another one is added. */
export async function workAfterBackup(database: Db): Promise<void> {
  const artworks = database.collection('artworks');
  const ofPartner = { partner_id: LOST_PARTNER };
  const [first] = await artworks.find(ofPartner).sort({ _id: 1 }).limit(1).toArray();
  if (first === undefined) throw new Error('the partner has no artworks');
  await artworks.updateOne({ _id: first._id }, { $set: { title: 'Changed after the backup' } });
  await artworks.insertOne({
    ...first,
    _id: NEW_ARTWORK,
    slug: 'added-after-the-backup',
    title: 'Added after the backup',
  });
}

/** Their titles, as they are now. */
export async function titlesAfterBackup(database: Db): Promise<string[]> {
  const found = database
    .collection('artworks')
    .find({ title: / after the backup$/ })
    .sort({ title: 1 });
  return (await found.toArray()).map(({ title }) => String(title));
}

/** Deletes the partner, its artworks and their lots, as `dependent: destroy` would. Returns how many documents are gone. */
export async function destroyPartner(database: Db): Promise<number> {
  const artworks = await deleteArtworks(database, { partner_id: LOST_PARTNER });
  const { deletedCount } = await database.collection('partners').deleteOne({ _id: LOST_PARTNER });
  return artworks + deletedCount;
}

/** Deletes artworks and their lots. Returns how many documents are gone. */
export async function deleteArtworks(database: Db, filter: Filter<Document>): Promise<number> {
  const artworks = database.collection('artworks');
  const ids = await artworks.distinct('_id', filter);
  const lots = await database.collection('sale_artworks').deleteMany({ artwork_id: { $in: ids } });
  const { deletedCount } = await artworks.deleteMany(filter);
  return lots.deletedCount + deletedCount;
}
