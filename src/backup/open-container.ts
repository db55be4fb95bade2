/**
 * Chooses the reader by what the bytes are: a tar is looked into, a set of files is sorted as a dump, and what is packed
 * inside either is opened in turn.
 */

import { createHash } from 'node:crypto';
import { RestorePlanError } from '../errors.ts';
import type { Source } from '../plan/plan.ts';
import { settingOf } from '../plan/sources/sources.ts';
import { TEMPLATE_KEYS } from '../plan/sources/stores.ts';
import type { BackupIdentity, OplogSlices, StoredBackup } from './backup.ts';
import { DEFAULT_MAX_RATIO } from './containers/decompress.ts';
import type { Container } from './containers/sniff.ts';
import { apsaraPart, inDatabase, isDataFile, namelessFolder, readDumpPath } from './layout/dump-paths.ts';
import { type DumpTree, type NamedFile, sortDump } from './layout/dump-tree.ts';
import { filesOfBackup } from './layout/folder-files.ts';
import { assertOneBackup, type NamedFolder, severalBackups } from './layout/one-backup.ts';
import { readPbmBackup, slicesOf } from './layout/pbm.ts';
import {
  filesOfTar,
  findPacked,
  isPlainTar,
  look,
  named,
  type Opening,
  openPacked,
  type PackedFile,
  rootsBeside,
  whatIs,
} from './open-packed.ts';
import { FileBackup } from './readers/file-backup.ts';
import { apsaraLayout, dataFiles, entriesPassedOver, noSuchDatabase, takenFor } from './readers/refusals.ts';
import type { ByteSource } from './storage/byte-source.ts';
import { ReadAhead } from './storage/derived-sources.ts';
import { newestOf, type Store, type StoredFile, type StoredFolder } from './storage/store.ts';

/** Levels of packing. */
const MAX_DEPTH = 4;

/** One file that holds the whole backup. */
async function openContainer(file: ByteSource, opening: Opening): Promise<StoredBackup> {
  const bytes = new ReadAhead(file);
  const container = await look(bytes);
  if (container.kind === 'unknown' || container.kind === 'bson') throw notABackup(bytes.location, container);
  const { kind, compression } = container;
  if (isPlainTar({ kind, compression })) return openFiles(await filesOfTar(bytes), opening, ['tar']);
  const opened = await openPacked([{ path: '', at: bytes, kind, compression }], opening, []);
  if (opened === undefined) throw notABackup(bytes.location, container);
  return opened;
}

/** A folder of files, or the contents of a tar. `kinds` are the containers around them, the outermost first. */
export async function openFiles(
  files: readonly NamedFile[],
  opening: Opening,
  kinds: readonly string[],
): Promise<StoredBackup> {
  const { database, identity } = opening;
  const tree = sortDump(files, database);
  if (tree.databases.includes(database)) return openTree(tree, { files, opening, kinds });
  const pbm = await readPbmBackup(files.filter(({ what }) => what === undefined));
  if (pbm !== undefined) return openPbm(sortDump(pbm, database), { files, opening, kinds });
  if (files.some(({ path }) => isDataFile(path))) throw dataFiles(identity.location);
  const packed = await findPacked(files, database);
  const plain = [...packed].filter(([, one]) => isPlainTar(one));
  if (plain.length > 0 && kinds.length < MAX_DEPTH) {
    const tars = new Set(plain.map(([file]) => file));
    const inside = await Promise.all(plain.map(([file, { at }]) => filesOfTar(at, file)));
    return openFiles([...files.filter((file) => !tars.has(file)), ...inside.flat()], opening, [
      ...kinds,
      'tar',
    ]);
  }
  const opened = await openPacked([...packed.values()], opening, kinds);
  if (opened !== undefined) return opened;
  const nameless = database === '' ? undefined : namelessFolder(files.map(({ path }) => path));
  if (nameless !== undefined) return openNameless(nameless, { files, opening, kinds });
  const [unreadable] = packed.values();
  if (unreadable !== undefined && tree.databases.length === 0)
    throw notABackup(unreadable.at.location, unreadable);
  const part = files.find(({ path }) => apsaraPart(path) !== undefined);
  if (part !== undefined) {
    const { setting = 'source.path' } = opening.folder ?? {};
    throw apsaraLayout(part.path, { location: identity.location, setting });
  }
  throw noSuchDatabase(database, tree.databases, identity.location);
}

/** The files of the database lie at the top, or in a folder of another name. */
async function openNameless(nameless: string, { files, opening, kinds }: Found): Promise<StoredBackup> {
  const { database, identity, folder, maxDecompressionRatio: maxRatio = DEFAULT_MAX_RATIO } = opening;
  const renamed = files.map((file) => ({ ...file, path: inDatabase(file.path, nameless, database) }));
  const tree = sortDump(renamed, database);
  const warnings = [takenFor(database, nameless, identity.location), ...passedOverIn(renamed, opening)];
  return new FileBackup({ identity: named(identity, kinds), tree, maxRatio, folder, warnings, nameless });
}

interface Found {
  readonly files: readonly NamedFile[];
  readonly opening: Opening;
  readonly kinds: readonly string[];
}

async function openTree(tree: DumpTree, { files, opening, kinds }: Found): Promise<StoredBackup> {
  const { database, identity, folder, maxDecompressionRatio: maxRatio = DEFAULT_MAX_RATIO } = opening;
  const where = { location: identity.location, database, folder };
  const parts = { identity: named(identity, kinds), maxRatio, folder };
  if (folder?.isDatabase && tree.roots.some(({ path }) => path === '')) {
    // As for mongorestore, nothing in a folder of this one is part of the dump.
    const own = sortDump(
      files.filter(({ path }) => path.split('/').length === 2),
      database,
    );
    const others = tree.roots.filter(({ path }) => path !== '').map(({ path }) => path);
    return new FileBackup({ ...parts, tree: own, warnings: others.map(passedOver) });
  }
  const packed = await rootsBeside(files, opening);
  if (packed.length > 0)
    throw severalBackups([...tree.roots, ...packed], where, 'one is packed and another is not');
  assertOneBackup(tree.roots, where);
  return new FileBackup({ ...parts, tree, warnings: passedOverIn(files, opening) });
}

/** Links and the like that stand for no file of the database. */
function passedOverIn(files: readonly NamedFile[], { database, identity }: Opening): string[] {
  const others = files.flatMap(({ path, what }) => {
    const meaning = readDumpPath(path, database);
    const isOfDump = 'database' in meaning && meaning.database === database;
    return what === undefined || isOfDump ? [] : [{ path, what }];
  });
  return others.length === 0 ? [] : [entriesPassedOver(others, identity.location)];
}

function passedOver(path: string): string {
  return `${path}/ holds the database as well and was passed over: the source names the folder around it.`;
}

function openPbm(tree: DumpTree, { files, opening }: Found): StoredBackup {
  const { database, identity, folder, store, maxDecompressionRatio: maxRatio = DEFAULT_MAX_RATIO } = opening;
  if (!tree.databases.includes(database)) throw noSuchDatabase(database, tree.databases, identity.location);
  const roots = tree.roots.map((root) => ({ ...root, isReplicaSet: true }));
  assertOneBackup(roots, { location: identity.location, database, folder });
  const above = folder?.above ?? '';
  const slices = (): Promise<OplogSlices[]> =>
    Promise.all(roots.map(({ path }) => slicesOf({ folder: path, above, files, store })));
  return new FileBackup({
    ...{ identity: named(identity, ['PBM backup']), tree, maxRatio, folder, slices },
    warnings: [],
  });
}

const BACKUPS =
  'A backup is the folder of a mongodump (above the folder of the database), a tar or tar.gz of one, or a mongodump --archive.';
const SINGLE = `Write {collection} for the collection's name, as in {collection}.bson or {collection}.bson.gz, in ${TEMPLATE_KEYS}: it stands for a file of each collection of the plan.`;

function notABackup(location: string, container: Container | PackedFile): RestorePlanError {
  return new RestorePlanError('BACKUP', `${location} is ${whatIs(container)}.`, {
    hint: ('remedy' in container && container.remedy) || (container.kind === 'bson' ? SINGLE : BACKUPS),
  });
}

interface OpenStored {
  readonly store: Store;
  readonly source: Source;
  /** The time of the backup by its name. */
  readonly when?: Pick<BackupIdentity, 'time' | 'localTime'> | undefined;
}

/** Opens what was found in a store, a folder or a file, as a backup. It is closed with the store. */
export async function openStored(
  found: StoredFile | StoredFolder,
  { store, source, when = { time: undefined, localTime: undefined } }: OpenStored,
): Promise<StoredBackup> {
  const { database, integrity, maxDecompressionRatio } = source;
  const location = store.describe(found.path);
  const common = { database, integrity, maxDecompressionRatio };
  if (found.kind === 'file') {
    const { size, modified, fingerprint } = found;
    const identity = { location, size, modified, fingerprint, ...when };
    return openContainer(found.open(), { ...common, identity, folder: undefined });
  }

  // Paths keep the folder's own name, so that the folder of the database itself may be named as well.
  const above = found.path.replace(/[^/]*\/$/, '');
  const { files, areAll } = await filesOfBackup({ store, folder: found.path, above, database });
  const named = files.map((file) => ({ path: file.path.slice(above.length), at: file.open() }));
  const setting = settingOf(source.location);
  const folder: NamedFolder = {
    setting,
    above,
    isDatabase: found.path.slice(above.length) === `${database}/`,
    holdsMore: !areAll,
    describe: (path) => store.describe(path),
  };
  return openFiles(
    named,
    { ...common, identity: { location, ...factsOfAll(files), ...when }, folder, store },
    [],
  );
}

export function factsOfAll(
  files: readonly StoredFile[],
): Pick<BackupIdentity, 'size' | 'modified' | 'fingerprint'> {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file.path}\0${file.fingerprint}\0`);
  return {
    size: files.reduce((sum, { size }) => sum + size, 0),
    modified: newestOf(files),
    fingerprint: `files:${hash.digest('hex')}`,
  };
}
