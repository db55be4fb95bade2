#!/usr/bin/env -S node --
/**
 * Where the built program starts: runs main.ts, which the build packs into files (schemas/pack-program.ts), from what V8 compiled of them before.
 *
 * Compiling takes a third of a small `plan apply`. So the functions that a command used are kept, compiled, in the user's cache folder.
 * What lies there is run as code: it is neither read nor written where anybody else could have put it there. Without a folder that
 * can be trusted and written to, every run compiles anew.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type * as V8 from 'node:v8';
import { Script } from 'node:vm';
import { crc32 } from 'node:zlib';
import { makeFolders } from './make-folders.ts';
import { keepFreedMemory, V8_FLAGS } from './process-memory.ts';

// Until process.ts listens for it: Node.js would open its inspector.
process.on('SIGUSR1', () => {});

/** Put in by the build: which file of the folder `program` offers a module or package. */
declare const OFFERS: Readonly<Record<string, string>>;
/** Put in by the build: the file that offers src/main.ts to these commands, and nothing else. */
declare const LIGHT: { readonly file: string; readonly commands: readonly string[] };

interface Kept {
  /** How many modules the run had loaded that it was made of. */
  readonly loads: number;
  readonly compiled: Buffer;
}

/** Little-endian: checksum, loads, then what V8 made. */
const HEADER_BYTES = 8;

/** Where programs keep what they can make again, by the rules of the platform; undefined where there is no such place. */
function cacheFolder(): string | undefined {
  const variable = process.platform === 'win32' ? 'LOCALAPPDATA' : 'XDG_CACHE_HOME';
  const named = process.env[variable];
  if (named !== undefined && isAbsolute(named)) return named;
  try {
    const home = homedir();
    if (!isAbsolute(home)) return undefined;
    return process.platform === 'darwin' ? join(home, 'Library', 'Caches') : join(home, '.cache');
  } catch {
    return undefined; // a user without a home
  }
}

/** Whether it is this user's own and nobody else may write to it. Windows has no such marks; a profile there is private. */
function isOurs({ uid, mode }: Stats): boolean {
  const user = process.geteuid?.();
  return user === undefined || (uid === user && (mode & 0o022) === 0);
}

/** The folder of this program, made if it is missing. Undefined when it cannot be used, or not be trusted. */
function ourFolder(): string | undefined {
  const cache = cacheFolder();
  if (cache === undefined) return undefined;
  const folder = join(cache, 'restore-plan');
  try {
    makeFolders(folder, 0o700);
    const found = lstatSync(folder);
    return found.isDirectory() && isOurs(found) ? folder : undefined;
  } catch {
    return undefined;
  }
}

/** More than any pack has, or what was compiled of it. Only what is used of it is taken from the system. */
const SCRATCH_BYTES = 4 * 1024 * 1024;
let scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

/** Lent until the next call. All files are read into the same memory: where none was before, the system takes longer to give it than to read. */
function readLent(opened: number, { size }: Stats): Buffer {
  if (scratch.length < size) scratch = Buffer.allocUnsafeSlow(size);
  let length = 0;
  for (let read = -1; read !== 0 && length < size; length += read)
    read = readSync(opened, scratch, length, size - length, length);
  return scratch.subarray(0, length);
}

function readSource(file: string): string {
  const opened = openSync(file, 'r');
  try {
    return readLent(opened, fstatSync(opened)).toString('latin1'); // the build writes ASCII
  } finally {
    closeSync(opened);
  }
}

/** Undefined when nothing is kept, not all of it, or what somebody else put there. What was compiled is lent (`readLent`). */
function readKept(file: string): Kept | undefined {
  let opened: number | undefined;
  try {
    // Not to be waited for, should it be no file.
    opened = openSync(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
    const found = fstatSync(opened);
    if (!found.isFile() || !isOurs(found)) return undefined;
    const bytes = readLent(opened, found);
    const compiled = bytes.subarray(HEADER_BYTES);
    if (bytes.readUInt32LE(0) !== crc32(compiled)) return undefined;
    return { loads: bytes.readUInt32LE(4), compiled };
  } catch {
    return undefined;
  } finally {
    if (opened !== undefined) closeSync(opened);
  }
}

/** Whole or not at all: another run may read it at any time. */
function keep(file: string, { loads, compiled }: Kept): void {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(crc32(compiled), 0);
  header.writeUInt32LE(loads, 4);
  const partial = `${file}.${process.pid}.${Date.now()}`;
  try {
    writeFileSync(partial, Buffer.concat([header, compiled]), { mode: 0o600, flag: 'wx' });
    renameSync(partial, file);
  } catch {
    rmSync(partial, { force: true });
  }
}

/** Other versions leave theirs behind. */
const UNUSED_MS = 30 * 24 * 60 * 60 * 1000;

/** Removes what other versions of the program have not written for long. */
function tidy(folder: string): void {
  const packs = new Set([...Object.values(OFFERS), LIGHT.file]);
  try {
    for (const name of readdirSync(folder)) {
      const [pack = ''] = /^.*?\.cjs(?=\.)/.exec(name) ?? [];
      if (pack === '' || packs.has(pack)) continue;
      const file = join(folder, name);
      if (Date.now() - statSync(file).mtimeMs > UNUSED_MS) rmSync(file, { force: true });
    }
  } catch {
    // Another run tidies too; what is left is taken the next time.
  }
}

const programs = fileURLToPath(new URL('program/', import.meta.url));
const requireAny = createRequire(join(programs, 'main.cjs'));
const command = process.argv[2]?.match(/^[a-z][a-z-]*$/)?.[0] ?? '';
const isLight = LIGHT.commands.includes(command);
const folder = ourFolder();
/** Light commands do without: to load it takes time, too. */
const v8 = isLight ? undefined : (requireAny('node:v8') as typeof V8);
v8?.setFlagsFromString(V8_FLAGS);
if (!isLight) keepFreedMemory();
/** V8 takes what was compiled by the same version under the same flags; its tag stands for all of that. */
const version = v8?.cachedDataVersionTag().toString(16) ?? process.versions.v8;

/** Modules and packages, by name. */
type Offers = Readonly<Record<string, () => object>>;
type PackFunction = (require: (name: string) => object, path: string) => Offers;

class Pack {
  readonly offers: Offers;
  readonly #file: string | undefined;
  /** Of the run that what was kept was made of. */
  readonly #keptLoads: number | undefined;
  readonly #script: Script;

  constructor(name: string) {
    const filename = join(programs, name);
    this.#file = folder && join(folder, `${name}.${command}.${version}.compiled`);
    const source = readSource(filename);
    const kept = this.#file === undefined ? undefined : readKept(this.#file);
    this.#keptLoads = kept?.loads;
    this.#script = new Script(source, { filename, ...(kept && { cachedData: kept.compiled }) });
    this.offers = (this.#script.runInThisContext() as PackFunction)(provide, filename);
  }

  /** One run of a command needs more of a pack than another: the first that finds a conflict more than those before. */
  get isKept(): boolean {
    return (
      this.#script.cachedDataRejected === false && this.#keptLoads !== undefined && loads <= this.#keptLoads
    );
  }

  keep(): void {
    if (this.#file !== undefined) keep(this.#file, { loads, compiled: this.#script.createCachedData() });
  }
}

const packs = new Map<string, Pack>();

function packOf(name: string): Pack {
  let pack = packs.get(name);
  if (pack === undefined) {
    pack = new Pack(name);
    packs.set(name, pack);
  }
  return pack;
}

/** Node.js's modules that were loaded, and optional packages. */
let loads = 0;
const load = (name: string): object => {
  loads++;
  return requireAny(name) as object;
};

/** What of Node.js takes long to load, 60 ms together, and not every command uses. Each is an object of functions and classes. */
const LATE: readonly string[] = [
  'child_process',
  'crypto',
  'dns',
  'http',
  'http2',
  'https',
  'net',
  'perf_hooks',
  'readline/promises',
  'tls',
  'tty',
  'v8',
  'worker_threads',
  'zlib',
];

/** Stands for a module until something of it is used. */
function whenUsed(load: () => object): object {
  let loaded: object | undefined;
  const module = (): object => {
    loaded ??= load();
    return loaded;
  };
  return new Proxy(
    {},
    {
      get: (_, key) => Reflect.get(module(), key),
      set: (_, key, value) => Reflect.set(module(), key, value),
      has: (_, key) => Reflect.has(module(), key),
      ownKeys: () => Reflect.ownKeys(module()),
      getOwnPropertyDescriptor: (_, key) => {
        const found = Reflect.getOwnPropertyDescriptor(module(), key);
        return found && { ...found, configurable: true };
      },
    },
  );
}

/** What a pack asks for: of another pack, or of Node.js. */
function provide(name: string): object {
  const pack = OFFERS[name];
  if (pack === undefined)
    return LATE.includes(name.replace(/^node:/, '')) ? whenUsed(() => load(name)) : load(name);
  return packs.has(pack) ? offer(name) : whenUsed(() => offer(name));
}

function offer(name: string): object {
  return packOf(OFFERS[name] as string).offers[name]?.() as object;
}

if (isLight) packOf(LIGHT.file).offers['src/main.ts']?.();
else offer('src/main.ts');

process.once('exit', (code) => {
  const unkept = [...packs.values()].filter(({ isKept }) => !isKept);
  if (code !== 0 || unkept.length === 0 || folder === undefined) return;
  v8?.setFlagsFromString(V8_FLAGS); // they may have been changed since
  for (const pack of unkept) pack.keep();
  tidy(folder);
});
