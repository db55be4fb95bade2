/**
 * The work directory, and where selections live in it: `<work directory>/selections/<name>/`, mode 0700, files 0600.
 *
 * A selection is written to a temporary sibling and renamed when it is complete, so a run that dies leaves a `.partial-…`
 * sibling that nobody reads and a later run sweeps away. Nothing waits for the disk: what a power cut leaves behind
 * under the final name is found out by the sha256 of each file when the selection is to be used again.
 */

import { createHash, randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { lstat, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { advice, type Remedy } from '../advice.ts';
import type { BackupIdentity } from '../backup/backup.ts';
import { RestorePlanError } from '../errors.ts';
import {
  makeDirectory,
  PRIVATE_DIRECTORY,
  PRIVATE_FILE,
  removeUnused,
  workDirectoryFault,
} from '../files.ts';
import type { Plan } from '../plan/plan.ts';
import type { SelectionManifest } from './selection.ts';

export const SELECTIONS_FOLDER = 'selections';
export const MANIFEST_FILE = 'manifest.json';
/** Not a name a database can have, so it never meets the folder of the documents. */
const SPOOL_FOLDER = '.spool';

/** A temporary directory in which nothing was written for this long belongs to a run that died. */
const ABANDONED_AFTER_MS = 24 * 60 * 60 * 1000;

/** The one directory in which what this plan selects from this backup is kept; it may not exist yet. */
export function selectionDirectory(
  workDirectory: string,
  plan: Pick<Plan, 'name' | 'selectsDigest'>,
  backup: Pick<BackupIdentity, 'fingerprint'>,
): string {
  const key = createHash('sha256').update(`${plan.selectsDigest}\n${backup.fingerprint}`).digest('hex');
  return join(workDirectory, SELECTIONS_FOLDER, `${slugOf(plan.name)}-${key.slice(0, 16)}`);
}

/** A name as part of a file's. */
export function slugOf(name: string): string {
  return name.replace(/[^A-Za-z0-9._-]+/g, '-').slice(0, 80);
}

/** A selection in the making. */
interface PartialDirectory {
  /** Temporary sibling of the final directory. */
  readonly directory: string;
  /** Folder inside it for the `.bson` files. */
  readonly documents: string;
  /** Folder inside it for files that are not part of the selection; to be removed before it is published. */
  readonly spool: string;
}

/**
 * Makes the work directory, private and invisible to git (a folder that holds something else stays as visible as it is),
 * and in it an empty temporary sibling of `finalDirectory`.
 */
export async function createPartialDirectory(
  workDirectory: string,
  finalDirectory: string,
  database: string,
): Promise<PartialDirectory> {
  const directory = partialName(finalDirectory);
  const partial = { directory, documents: join(directory, database), spool: join(directory, SPOOL_FOLDER) };
  try {
    await makeWorkDirectory(workDirectory);
    await makeDirectory(dirname(finalDirectory));
    await trusted(workDirectory, SELECTIONS_FOLDER);
    await removeAbandoned(dirname(finalDirectory), /\.partial-[0-9a-f]{12}$/);
    for (const each of Object.values(partial)) await mkdir(each, { mode: PRIVATE_DIRECTORY });
  } catch (error) {
    throw workDirectoryFault(error, directory);
  }
  return partial;
}

/**
 * Makes the work directory, as `createPartialDirectory` says. Throws what the operating system says, and RestorePlanError WORK_DIRECTORY where it
 * is there and not trusted.
 */
export async function makeWorkDirectory(workDirectory: string): Promise<void> {
  await makeDirectory(workDirectory);
  await trusted(workDirectory);
  if (await isForUsAlone(workDirectory)) await hideFromGit(workDirectory);
}

/** `--work-dir .` must not hide the plans that lie there. */
async function isForUsAlone(directory: string): Promise<boolean> {
  return basename(directory) === '.restore-plan' || (await readdir(directory)).length === 0;
}

async function hideFromGit(directory: string): Promise<void> {
  const path = join(directory, '.gitignore');
  try {
    await writeFile(path, '*\n', { flag: 'wx', mode: PRIVATE_FILE });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    // An empty one would be taken for ours.
    await removeUnused(path);
    throw error;
  }
}

interface Publication {
  readonly manifest: SelectionManifest;
  /** Whether what has the final name already is this very selection, whole. */
  readonly isThere: () => Promise<boolean>;
}

/**
 * Writes the manifest and gives the directory its final name. Where another run was faster with the same selection, that one
 * stays, for its files may be in use; anything else of that name is replaced.
 */
export async function publishSelection(
  partial: PartialDirectory,
  finalDirectory: string,
  { manifest, isThere }: Publication,
): Promise<void> {
  try {
    await writePrivateFile(
      join(partial.directory, MANIFEST_FILE),
      `${JSON.stringify(manifest, undefined, 2)}\n`,
    );
    await rm(partial.spool, { recursive: true });
    if (await takesName(partial.directory, finalDirectory)) return;
    if (await isThere()) return await removeUnused(partial.directory);
    // Not atomic together, and need not be: between the two the selection is absent, never half there.
    const replaced = partialName(finalDirectory);
    await rename(finalDirectory, replaced);
    await rename(partial.directory, finalDirectory);
    await removeUnused(replaced);
  } catch (error) {
    throw workDirectoryFault(error, finalDirectory);
  }
}

/** False where something has that name; an empty folder is nothing. */
async function takesName(directory: string, name: string): Promise<boolean> {
  try {
    await rename(directory, name);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(code)) return false;
    throw error;
  }
}

/** What is left under such a name by a run that died is removed by a later one. */
function partialName(finalDirectory: string): string {
  return `${finalDirectory}.partial-${randomBytes(6).toString('hex')}`;
}

/** Writes a new private file. */
export async function writePrivateFile(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { flag: 'wx', mode: PRIVATE_FILE });
  } catch (error) {
    throw workDirectoryFault(error, path);
  }
}

/** Removes what runs that died have left in a directory under names of this form. */
export async function removeAbandoned(directory: string, names: RegExp): Promise<void> {
  for (const name of (await readdir(directory)).filter((each) => names.test(each))) {
    const path = join(directory, name);
    if (Date.now() - (await lastWrite(path)) > ABANDONED_AFTER_MS) await removeUnused(path);
  }
}

/** Newest modification time of anything below `path`, UTC milliseconds; 0 when it vanished meanwhile. */
async function lastWrite(path: string): Promise<number> {
  const entries = await readdir(path, { recursive: true }).catch(() => []);
  const paths = [path, ...entries.map((entry) => join(path, entry))];
  const times = await Promise.all(
    paths.map((each) =>
      stat(each).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      ),
    ),
  );
  return Math.max(...times);
}

// What the work directory keeps is used again: it decides what is written, and what an earlier run is believed to have done. So it
// is used only where nobody else can have written it: folders and files of this user that no group and no other user may
// write to, and no links, which may lead anywhere.

const GROUP_OR_OTHERS_WRITE = 0o022;
/** As on `/tmp`: everybody may make folders there, each for himself. */
const STICKY = 0o1000;

/**
 * What lies at `root/parts`, every step of the way being trusted; undefined where it is not there. The root itself may be a link, which
 * the operator has named. Throws RestorePlanError WORK_DIRECTORY.
 */
export async function trusted(root: string, ...parts: readonly string[]): Promise<Stats | undefined> {
  let path = root;
  let found = await unlessMissing(stat(path));
  if (found !== undefined) requireTrust(path, found);
  for (const part of parts) {
    if (found === undefined) return undefined;
    path = join(path, part);
    found = await trustedEntry(path);
  }
  return found;
}

/** The same of one file or folder alone, in a folder that is trusted. */
export async function trustedEntry(path: string): Promise<Stats | undefined> {
  const found = await unlessMissing(lstat(path));
  if (found !== undefined) requireTrust(path, found);
  return found;
}

async function unlessMissing(asking: Promise<Stats>): Promise<Stats | undefined> {
  try {
    return await asking;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (['ENOENT', 'ENOTDIR'].includes(code)) return undefined;
    throw error;
  }
}

/** Throws RestorePlanError WORK_DIRECTORY. Without users, as on Windows, everything is trusted but links. */
function requireTrust(path: string, stats: Stats): void {
  const user = process.geteuid?.();
  if (stats.isSymbolicLink()) {
    throw refused(
      `${path} is a link, and what it leads to is not trusted`,
      'Remove the link, or name another',
    );
  }
  if (user === undefined) return;
  const isOpen = (stats.mode & GROUP_OR_OTHERS_WRITE) !== 0;
  const folder = { option: 'work-dir', value: join(path, 'restore-plan') } as const;
  const inside = advice`Name a folder inside it (${folder}), which is made yours alone, or any`;
  if (isOpen && (stats.mode & STICKY) !== 0) throw refused(`everybody may write to ${path}`, inside);
  if (stats.uid !== user) {
    throw refused(
      `${path} belongs to another user (uid ${stats.uid}, this is ${user}), and what is kept there is not trusted`,
      'Name a',
    );
  }
  if (isOpen) {
    const mode = (stats.mode & 0o777).toString(8);
    throw refused(
      `others than you may write to ${path} (mode ${mode}), and what is kept there is not trusted`,
      `If it holds nothing that somebody else put there: chmod -R go-w ${path}. Or name another`,
    );
  }
}

function refused(message: string, remedy: Remedy): RestorePlanError {
  return new RestorePlanError('WORK_DIRECTORY', message, {
    hint: advice`${remedy} folder of your own: ${{ option: 'work-dir', value: '<folder>' }}.`,
  });
}
