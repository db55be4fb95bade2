/**
 * Where selections live: `<work directory>/selections/<name>/`, mode 0700, files 0600.
 *
 * A selection is written to a temporary sibling and renamed when everything in it is on the disk, so a directory under its
 * final name is always complete: a crash leaves a `.partial-…` sibling that nobody reads, and that a later run sweeps away.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { BackupIdentity } from '../backup/backup.ts';
import type { Plan } from '../plan/plan.ts';
import type { SelectionManifest } from './selection.ts';
import { workDirectoryFault } from './work-directory-fault.ts';

export const PRIVATE_DIRECTORY = 0o700;
export const PRIVATE_FILE = 0o600;
export const MANIFEST_FILE = 'manifest.json';

/** A partial directory in which nothing was written for this long belongs to a run that died. */
const ABANDONED_AFTER_MS = 24 * 60 * 60 * 1000;

/** The one directory in which the selection of this plan from this backup is kept; it may not exist yet. */
export function selectionDirectory(
  workDirectory: string,
  plan: Pick<Plan, 'name' | 'digest'>,
  backup: Pick<BackupIdentity, 'fingerprint'>,
): string {
  const slug = plan.name.replace(/[^A-Za-z0-9._-]+/g, '-').slice(0, 80);
  const key = createHash('sha256').update(`${plan.digest}\n${backup.fingerprint}`).digest('hex');
  return join(workDirectory, 'selections', `${slug}-${key.slice(0, 16)}`);
}

/** Makes the work directory private and invisible to git, and returns a fresh temporary sibling of `finalDirectory`. */
export async function createPartialDirectory(workDirectory: string, finalDirectory: string): Promise<string> {
  const partial = `${finalDirectory}.partial-${randomBytes(6).toString('hex')}`;
  try {
    await mkdir(workDirectory, { recursive: true, mode: PRIVATE_DIRECTORY });
    await writeFile(join(workDirectory, '.gitignore'), '*\n', { flag: 'wx', mode: PRIVATE_FILE }).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      },
    );
    await mkdir(dirname(finalDirectory), { recursive: true, mode: PRIVATE_DIRECTORY });
    await removeAbandoned(dirname(finalDirectory));
    await mkdir(partial, { mode: PRIVATE_DIRECTORY });
  } catch (error) {
    throw workDirectoryFault(error, partial);
  }
  return partial;
}

/** Writes the manifest, brings every file to the disk and gives the directory its final name, replacing an older one. */
export async function publishSelection(
  partial: string,
  finalDirectory: string,
  manifest: SelectionManifest,
): Promise<void> {
  try {
    await writeSynced(join(partial, MANIFEST_FILE), `${JSON.stringify(manifest, undefined, 2)}\n`);
    await syncDirectory(join(partial, manifest.database));
    await syncDirectory(partial);
    // Not atomic together, and need not be: between the two the selection is absent, never half there.
    await rm(finalDirectory, { recursive: true, force: true });
    await rename(partial, finalDirectory);
    await syncDirectory(dirname(finalDirectory));
  } catch (error) {
    throw workDirectoryFault(error, finalDirectory);
  }
}

/** Writes a private file and waits until it is on the disk. */
export async function writeSynced(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', PRIVATE_FILE);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function removeAbandoned(directory: string): Promise<void> {
  const names = (await readdir(directory)).filter((name) => /\.partial-[0-9a-f]{12}$/.test(name));
  for (const name of names) {
    const path = join(directory, basename(name));
    if (Date.now() - (await lastWrite(path)) > ABANDONED_AFTER_MS) {
      await rm(path, { recursive: true, force: true });
    }
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
