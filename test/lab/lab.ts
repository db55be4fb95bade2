/**
 * The lab: a staging and a production replica set and an S3 server, shared by all test files of one `npm test`.
 * A file that runs alone starts its own at the first use. Every caller works in databases and buckets of its own name.
 */
import { randomBytes } from 'node:crypto';
import { type Db, MongoClient } from 'mongodb';
import { type ReplicaSet, startReplicaSet } from './replica-set.ts';
import { type Bucket, createBucket, type S3Address, s3Client, startS3Server } from './s3.ts';
import { LAB_VARIABLE } from './script.ts';

/** What a process needs to know to use servers that another one started; passed on through the environment. */
export interface LabAddresses {
  readonly stagingUri: string;
  readonly productionUri: string;
  readonly s3: S3Address;
}

/** In every connection string of the lab; no output may ever hold it. */
export const CANARY_PASSWORD = 'canary-mongodb-password';

export interface StartedLab {
  readonly addresses: LabAddresses;
  stop(): Promise<void>;
}

/** Starts all three servers. Meant for the test runner and the demo; tests use `openLab`. */
export async function startLab(): Promise<StartedLab> {
  const user = { name: 'restore', password: CANARY_PASSWORD };
  const [staging, production, s3] = await Promise.all([
    startReplicaSet({ name: 'staging', user }),
    startReplicaSet({ name: 'production', user }),
    startS3Server(),
  ]);
  return {
    addresses: {
      stagingUri: staging.uri,
      productionUri: production.uri,
      s3: { endpoint: s3.endpoint, accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey },
    },
    stop: async () => {
      await Promise.all([staging.stop(), production.stop(), s3.stop()] satisfies ReturnType<
        ReplicaSet['stop']
      >[]);
    },
  };
}

export interface LabTarget {
  /** Connection string without a database; holds the canary password. */
  readonly uri: string;
  readonly client: MongoClient;
}

export interface Lab {
  readonly staging: LabTarget;
  readonly production: LabTarget;
  readonly s3: S3Address;
  /** A database name nobody else uses; the database is dropped in both targets when the lab is closed. */
  databaseName(topic: string): string;
  /** The same, as a handle on the staging server. */
  database(topic: string): Db;
  /** A new bucket, emptied when the lab is closed. */
  bucket(topic: string): Promise<Bucket>;
  /** Drops what this file made and closes its connections; put it in `test.after`. */
  close(): Promise<void>;
}

let counter = 0;

/** Connects to the shared lab, or starts one for this process alone. */
export async function openLab(): Promise<Lab> {
  const given = process.env[LAB_VARIABLE];
  const own = given === undefined ? await startLab() : undefined;
  const addresses = own?.addresses ?? (JSON.parse(given as string) as LabAddresses);
  const staging = await connectTarget(addresses.stagingUri);
  const production = await connectTarget(addresses.productionUri);
  const client = s3Client(addresses.s3);
  const databases: string[] = [];
  const buckets: Bucket[] = [];
  // Names start with the process id: files run side by side.
  // Unlike each other: a staging database whose name is close to another one's is taken for a typing mistake.
  const freshName = (topic: string): string => {
    const own = BigInt(`0x${randomBytes(12).toString('hex')}`).toString(36);
    return `${topic}-${++counter}${own}`;
  };
  const databaseName = (topic: string): string => {
    const name = freshName(topic);
    databases.push(name);
    return name;
  };
  return {
    staging,
    production,
    s3: addresses.s3,
    databaseName,
    database: (topic) => staging.client.db(databaseName(topic)),
    bucket: async (topic) => {
      const bucket = await createBucket(client, freshName(topic));
      buckets.push(bucket);
      return bucket;
    },
    close: async () => {
      if (own === undefined) {
        for (const bucket of buckets) await bucket.clear();
        for (const target of [staging, production])
          await Promise.all(databases.map((name) => target.client.db(name).dropDatabase()));
      }
      client.destroy();
      await Promise.all([staging.client.close(), production.client.close()]);
      await own?.stop();
    },
  };
}

async function connectTarget(uri: string): Promise<LabTarget> {
  return { uri, client: await new MongoClient(uri, { appName: 'lab' }).connect() };
}
