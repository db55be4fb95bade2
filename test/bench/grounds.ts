/** The servers and files that the measures share, each made when first asked for and removed at the end. */
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { S3Client } from '@aws-sdk/client-s3';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type ReplicaSet, startReplicaSet } from '../lab/replica-set.ts';
import {
  type Bucket,
  createBucket,
  type S3Server,
  s3Client,
  s3Environment,
  startS3Server,
} from '../lab/s3.ts';
import { tarFolder } from '../lab/tar.ts';
import { LARGE, writeLargeDump } from './large-dump.ts';

/** Database of the dump and of the production target. */
export const DATABASE = 'gravity';
/** Database of the staging target. */
export const STAGING_DATABASE = 'gravity-staging';
/** Folder above the database folder, as the backup script makes it. */
export const HOST_FOLDER = 'c0.example.net_27017';
export const BUCKET = 'gravity-production-db-backup';
/** Key of the 1.1 GB tar. */
export const LARGE_KEY = 'db/large.tar';

export interface Grounds {
  readonly folder: TemporaryFolder;
  staging(): Promise<ReplicaSet>;
  production(): Promise<ReplicaSet>;
  s3(): Promise<{ server: S3Server; client: S3Client; bucket: Bucket }>;
  /** The 1.1 GB dump as a folder (holds `HOST_FOLDER`). */
  largeDump(): Promise<string>;
  largeTar(): Promise<string>;
  largeTarGz(): Promise<string>;
  /** The 1.1 GB tar in S3, under `LARGE_KEY`. */
  largeObject(): Promise<{ bytes: number }>;
  /** Environment for the product: connection strings and credentials. */
  environment(): Promise<Record<string, string>>;
  stop(): Promise<void>;
}

export function prepareGrounds(say: (text: string) => void): Grounds {
  const folder = temporaryFolder('bench');
  const stops: (() => unknown)[] = [];
  const once = <T>(what: string, make: () => Promise<T>): (() => Promise<T>) => {
    let made: Promise<T> | undefined;
    return () => {
      if (made === undefined) say(`preparing ${what}`);
      made ??= make();
      return made;
    };
  };
  const server = (name: string): (() => Promise<ReplicaSet>) =>
    once(`the ${name} server`, async () => {
      const set = await startReplicaSet({ name, cacheGB: 1, isMeasured: true });
      stops.push(set.stop);
      return set;
    });
  const staging = server('staging');
  const production = server('production');
  const s3 = once('the S3 server', async () => {
    const minio = await startS3Server();
    const client = s3Client(minio);
    stops.push(() => client.destroy(), minio.stop);
    return { server: minio, client, bucket: await createBucket(client, BUCKET) };
  });
  const largeDump = once('a dump of 1.1 GB', async () => {
    const dump = join(folder.path, 'large-dump');
    mkdirSync(dump);
    writeLargeDump(join(dump, HOST_FOLDER), DATABASE, LARGE);
    return dump;
  });
  const packed = (name: string, gzip: boolean): (() => Promise<string>) =>
    once(name, async () => {
      const file = join(folder.path, name);
      await tarFolder(await largeDump(), file, { members: [HOST_FOLDER], gzip });
      return file;
    });
  const largeTar = packed('large.tar', false);
  return {
    folder,
    staging,
    production,
    s3,
    largeDump,
    largeTar,
    largeTarGz: packed('large.tar.gz', true),
    largeObject: once('the tar in S3', async () => {
      const file = await largeTar();
      await (await s3()).bucket.putFile(LARGE_KEY, file);
      return { bytes: statSync(file).size };
    }),
    environment: async () => ({
      STAGING_MONGODB_URI: (await staging()).uri,
      PRODUCTION_MONGODB_URI: (await production()).uri,
      ...s3Environment((await s3()).server),
    }),
    stop: async () => {
      for (const stop of stops.reverse()) await stop();
      folder.remove();
    },
  };
}
