/** A real replica set of one or three members. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import { temporaryFolder } from './guard.ts';
import { connectDirectly, type Mongod, type MongodOptions, startMongod } from './mongod.ts';

export interface ReplicaSetOptions extends MongodOptions {
  /** Name of the set; default `rs`. */
  readonly name?: string;
  /** 1 (default) or 3. */
  readonly members?: number;
  /** Access control, with this user of role root; its password then is part of `uri`. */
  readonly user?: { readonly name: string; readonly password: string };
}

export interface ReplicaSet {
  readonly name: string;
  /** Connection string with all members and the credentials, without a database. */
  readonly uri: string;
  readonly members: readonly Mongod[];
  /** A client with all rights, for the test's own use; closed by `stop`. */
  readonly client: MongoClient;
  /** The member that is primary now; waits for one. */
  primary(): Promise<Mongod>;
  stop(): Promise<void>;
}

const PRIMARY_DEADLINE_MS = 60_000;

export async function startReplicaSet(options: ReplicaSetOptions = {}): Promise<ReplicaSet> {
  const name = options.name ?? 'rs';
  const keys = temporaryFolder('keys');
  const keyFile = join(keys.path, 'key');
  writeFileSync(keyFile, randomBytes(48).toString('base64'), { mode: 0o600 });
  const members = await Promise.all(
    Array.from({ length: options.members ?? 1 }, () =>
      startMongod({
        ...options,
        arguments: [
          ...['--replSet', name, ...(options.user === undefined ? [] : ['--auth', '--keyFile', keyFile])],
          ...(options.arguments ?? []),
        ],
      }),
    ),
  );
  await initiate(name, members, options.user);
  const credentials = options.user === undefined ? '' : credentialsOf(options.user);
  const addresses = members.map((member) => member.address).join(',');
  // The official tools would look for the user in the database they are told to dump.
  const authSource = options.user === undefined ? '' : '&authSource=admin';
  const uri = `mongodb://${credentials}${addresses}/?replicaSet=${name}${authSource}`;
  const client = await new MongoClient(uri, { appName: 'lab' }).connect();
  return {
    name,
    uri,
    members,
    client,
    primary: () => findPrimary(members, credentials),
    stop: async () => {
      await client.close();
      await Promise.all(members.map((member) => member.stop()));
      keys.remove();
    },
  };
}

type User = NonNullable<ReplicaSetOptions['user']>;

const credentialsOf = (user: User): string =>
  `${encodeURIComponent(user.name)}:${encodeURIComponent(user.password)}@`;

async function initiate(name: string, members: readonly Mongod[], user: User | undefined): Promise<void> {
  const client = await connectDirectly((members[0] as Mongod).address);
  try {
    await client.db('admin').command({
      replSetInitiate: {
        _id: name,
        members: members.map((member, index) => ({ _id: index, host: member.address })),
        settings: { electionTimeoutMillis: 2000, heartbeatIntervalMillis: 500 },
      },
    });
    const primary = await findPrimary(members, '');
    if (user !== undefined) await createFirstUser(primary, members, user);
  } finally {
    await client.close();
  }
}

/** Without any user yet, the server lets a client on the same machine create the first one. */
async function createFirstUser(primary: Mongod, members: readonly Mongod[], user: User): Promise<void> {
  const client = await connectDirectly(primary.address);
  try {
    await client
      .db('admin')
      .command({ createUser: user.name, pwd: user.password, roles: ['root', '__system'] });
  } catch {
    // On a busy machine the set may elect again at once: then the user is there, or it has to be created on the next primary.
    const next = await findPrimary(members, '');
    if (!(await isPrimary(next, credentialsOf(user)))) await createFirstUser(next, members, user);
  } finally {
    await client.close();
  }
}

/** Asks each member for itself: the driver's own monitor looks only every half second. */
async function findPrimary(members: readonly Mongod[], credentials: string): Promise<Mongod> {
  const deadline = Date.now() + PRIMARY_DEADLINE_MS;
  while (Date.now() < deadline) {
    for (const member of members) if (await isPrimary(member, credentials)) return member;
    await sleep(50);
  }
  throw new Error('no member of the replica set became primary in time');
}

async function isPrimary(member: Mongod, credentials: string): Promise<boolean> {
  const client = new MongoClient(`mongodb://${credentials}${member.address}/?directConnection=true`, {
    serverSelectionTimeoutMS: 500,
    connectTimeoutMS: 500,
    socketTimeoutMS: 1000,
  });
  try {
    return (await client.db('admin').command({ hello: 1 }))['isWritablePrimary'] === true;
  } catch {
    return false;
  } finally {
    await client.close();
  }
}
