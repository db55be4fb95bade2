/**
 * The runbook by hand with the official tools, made as quick as they allow: the scratch server is up already, no index is built, nobody looks at
 * anything between the steps, and the keys of the dependents are at hand without a query.
 */
import { copyFileSync, createWriteStream, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { EJSON } from 'bson';
import { LOST_PARTNER } from '../lab/art-market.ts';
import { startStandalone } from '../lab/mongod.ts';
import { mongodump, mongorestore, program } from '../lab/tools.ts';
import { BUCKET, DATABASE, type Grounds, HOST_FOLDER, STAGING_DATABASE } from './grounds.ts';
import { LARGE, lostArtworks } from './large-dump.ts';

/** Where the operator finds the tar: on a backup disk, or in S3; it is copied or downloaded to a working folder first. */
export type TarPlace = { readonly file: string } | { readonly key: string };

/** Restores the lost partner's artworks and lots to both targets. Returns milliseconds. */
export async function runRunbook(grounds: Grounds, place: TarPlace): Promise<number> {
  const scratch = await startStandalone({ cacheGB: 1, isMeasured: true });
  const folder = join(grounds.folder.path, 'runbook');
  mkdirSync(folder);
  const targets = [
    [(await grounds.staging()).uri, STAGING_DATABASE],
    [(await grounds.production()).uri, DATABASE],
  ] as const;
  try {
    const started = performance.now();
    const tar = join(folder, 'db.tar');
    if ('key' in place) await download(grounds, place.key, tar);
    else copyFileSync(place.file, tar);
    await program('tar', ['-xf', tar, '-C', folder]);
    await mongorestore(scratch.uri, [
      ...['--quiet', '--noIndexRestore', '--numInsertionWorkersPerCollection', '4'],
      ...['--nsInclude', `${DATABASE}.artworks`, '--nsInclude', `${DATABASE}.sale_artworks`],
      join(folder, HOST_FOLDER),
    ]);
    const dump = ['--db', DATABASE, '--out', join(folder, 'wanted')];
    const artworks = join(folder, 'artworks.json');
    writeFileSync(artworks, EJSON.stringify({ partner_id: LOST_PARTNER }));
    await mongodump(scratch.uri, [...dump, '--collection', 'artworks', '--queryFile', artworks]);
    const ids = join(folder, 'sale_artworks.json');
    writeFileSync(ids, EJSON.stringify({ artwork_id: { $in: lostArtworks(LARGE).ids } }));
    await mongodump(scratch.uri, [...dump, '--collection', 'sale_artworks', '--queryFile', ids]);
    for (const [uri, database] of targets)
      await mongorestore(uri, [
        ...['--quiet', '--noIndexRestore', '--nsFrom', `${DATABASE}.*`, '--nsTo', `${database}.*`],
        join(folder, 'wanted'),
      ]);
    return performance.now() - started;
  } finally {
    await scratch.stop();
    rmSync(folder, { recursive: true });
  }
}

/** As `aws s3 cp` would. */
async function download(grounds: Grounds, key: string, file: string): Promise<void> {
  const { client } = await grounds.s3();
  const object = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }));
  await pipeline(object.Body as Readable, createWriteStream(file));
}
