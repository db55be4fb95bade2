/** One real mongod in a temporary folder. */
import { mkdirSync, statfsSync } from 'node:fs';
import { freemem, tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { mongodBinaries } from './binaries.ts';
import { temporaryFolder } from './guard.ts';
import { freePort, type ServerProcess, startServerProcess } from './server-process.ts';
import type { SmallDisk } from './small-disk.ts';

export interface MongodOptions {
  /** Further `--setParameter`s, for instance `{ ttlMonitorSleepSecs: 1 }`. */
  readonly parameters?: Readonly<Record<string, string | number | boolean>>;
  /** Size of the server's cache in GB; default 0.25, so that many servers fit on one machine. */
  readonly cacheGB?: number;
  /** Further command-line arguments. */
  readonly arguments?: readonly string[];
  /** As the server comes, on the disk, for measurements; default: spared what only costs time in a test. */
  readonly isMeasured?: boolean;
  /** Where its data lies; default: a folder of its own. */
  readonly disk?: SmallDisk;
}

export interface Mongod {
  readonly port: number;
  /** `127.0.0.1:port` */
  readonly address: string;
  readonly process: ServerProcess;
  readonly logFile: string;
  /** Starts it again on the same port and data after `process.kill()`. */
  restart(): Promise<void>;
  /** Kills it and removes its data. */
  stop(): Promise<void>;
}

export interface Standalone extends Mongod {
  readonly uri: string;
}

/** Instead of 200 MB that each mongod allocates before it starts; a file still holds the largest transaction of a test. */
const SMALL_JOURNAL = 'log=(file_max=64MB,prealloc=false)';

/** What the mongods of all tests that run side by side may need in memory. */
const MEMORY_FOR_DATA = 6 * 1024 ** 3;

/**
 * Where mongods keep their data. No test cuts the power: a killed mongod finds in a file system in memory what it wrote, and
 * does not wait for a disk at every majority commit.
 */
function dataRoot(): string {
  try {
    const { bavail, bsize } = statfsSync('/dev/shm');
    const memory = Math.min(freemem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
    if (Math.min(bavail * bsize, memory) >= MEMORY_FOR_DATA) return '/dev/shm';
  } catch {
    // Not on Linux.
  }
  return tmpdir();
}

/** A mongod that is no member of a replica set. */
export async function startStandalone(options: MongodOptions = {}): Promise<Standalone> {
  const mongod = await startMongod(options);
  return Object.assign(mongod, { uri: `mongodb://${mongod.address}/?directConnection=true` });
}

/** Test commands (failpoints) are on, the cache is small, nothing but 127.0.0.1 is bound. */
export async function startMongod(options: MongodOptions = {}): Promise<Mongod> {
  const { mongod, env } = await mongodBinaries();
  const folder = temporaryFolder('mongod', options.isMeasured ? tmpdir() : dataRoot());
  const data = options.disk?.path ?? join(folder.path, 'data');
  mkdirSync(data, { recursive: true });
  const [binary, ...inside] = [...(options.disk?.enter ?? []), mongod] as [string, ...string[]];
  const port = await freePort();
  const spared = options.isMeasured ? {} : { diagnosticDataCollectionEnabled: false };
  const parameters = { enableTestCommands: 1, ...spared, ...options.parameters };
  const logFile = join(folder.path, 'mongod.log');
  const start = (): Promise<ServerProcess> =>
    startServerProcess({
      name: 'mongod',
      binary,
      env,
      port,
      logFile,
      arguments: [
        ...inside,
        ...['--bind_ip', '127.0.0.1', '--port', String(port), '--nounixsocket', '--dbpath', data],
        ...['--wiredTigerCacheSizeGB', String(options.cacheGB ?? 0.25)],
        ...(options.isMeasured ? [] : ['--wiredTigerEngineConfigString', SMALL_JOURNAL]),
        ...Object.entries(parameters).flatMap(([name, value]) => ['--setParameter', `${name}=${value}`]),
        ...(options.arguments ?? []),
      ],
    });
  let server = await start();
  return {
    port,
    address: `127.0.0.1:${port}`,
    logFile,
    get process() {
      return server;
    },
    restart: async () => {
      await server.kill();
      server = await start();
    },
    stop: async () => {
      await server.kill();
      folder.remove();
    },
  };
}

/** A client of one server, whatever its state in a replica set. */
export async function connectDirectly(address: string, credentials = ''): Promise<MongoClient> {
  const client = new MongoClient(`mongodb://${credentials}${address}/?directConnection=true`, {
    serverSelectionTimeoutMS: 10_000,
  });
  return client.connect();
}
