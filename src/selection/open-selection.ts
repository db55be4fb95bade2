import type { Stats } from 'node:fs';
import { join, resolve } from 'node:path';
import type { BackupIdentity } from '../backup/backup.ts';
import { RestorePlanError } from '../errors.ts';
import type { Plan } from '../plan/plan.ts';
import { MANIFEST_FILE, SELECTIONS_FOLDER, selectionDirectory } from './directory.ts';
import { sha256OfFile } from './file-sha256.ts';
import { readManifest } from './manifest.ts';
import { readMetadata } from './read-metadata.ts';
import type { SelectedCollection, Selection, SelectionManifest } from './selection.ts';
import { trusted, trustedEntry } from './trust.ts';

/**
 * Opens a selection directory: the manifest must be of this format, agree with its own digest, and every file must have
 * the recorded size. Contents are not read; `findSelection` does that. Throws RestorePlanError BACKUP, or WORK_DIRECTORY where
 * somebody else may have written any of it.
 */
export async function openSelection(directory: string): Promise<Selection> {
  const root = resolve(directory);
  if ((await trustedEntry(root)) === undefined) throw unusable(root, 'is not there', { isMissing: true });
  const selection = { directory: root, manifest: await manifestAt(join(root, MANIFEST_FILE)) };
  const { manifest } = selection;
  await trustedEntry(join(root, manifest.database));
  for (const collection of manifest.collections) {
    const path = collectionPath(selection, collection);
    const size = sizeOf(await trustedEntry(path));
    if (size !== collection.bytes) {
      throw unusable(path, size === undefined ? 'is missing' : `has ${size} bytes, not ${collection.bytes}`);
    }
  }
  return selection;
}

/**
 * What this very plan selects from this very backup, made earlier; undefined when there is none or when its files are
 * not what its manifest says (their sha256 is taken here, so later steps may trust the bytes). `passedOver` is told why one that is there
 * is not used. Throws RestorePlanError WORK_DIRECTORY.
 */
export async function findSelection(
  workDirectory: string,
  plan: Pick<Plan, 'name' | 'selectsDigest'>,
  backup: BackupIdentity,
  passedOver: (why: string) => void = () => undefined,
): Promise<Selection | undefined> {
  await trusted(workDirectory, SELECTIONS_FOLDER);
  let selection: Selection;
  try {
    selection = await openSelection(selectionDirectory(workDirectory, plan, backup));
  } catch (error) {
    if (!(error instanceof RestorePlanError) || error.code !== 'BACKUP') throw error;
    if (error.facts['isMissing'] !== true) passedOver(error.message);
    return undefined;
  }
  const { directory, manifest } = selection;
  if (selectedBy(manifest) !== plan.selectsDigest || manifest.backup.fingerprint !== backup.fingerprint) {
    passedOver(`${directory} is of another plan or backup`);
    return undefined;
  }
  if (await isWhole(selection)) return selection;
  passedOver(`${directory} does not hold what was selected any more`);
  return undefined;
}

/** Whether all files of the selection are what its manifest says. Reads all of them. */
export async function isWhole(selection: Selection): Promise<boolean> {
  for (const collection of selection.manifest.collections) {
    if (!(await holdsItsBytes(selection, collection))) return false;
    try {
      await readMetadata(selection, collection);
    } catch {
      return false;
    }
  }
  return true;
}

/** Digest of the part of a plan by which the documents were selected. */
export function selectedBy({ selectsDigest, planDigest }: SelectionManifest): string {
  return selectsDigest ?? planDigest;
}

/** Whether a selected collection's file is there, with the length and the sha256 that the manifest says. Reads all of it. */
export async function holdsItsBytes(selection: Selection, collection: SelectedCollection): Promise<boolean> {
  const path = collectionPath(selection, collection);
  if (sizeOf(await trustedEntry(path)) !== collection.bytes) return false;
  return (await sha256OfFile(path).catch(() => undefined)) === collection.sha256;
}

/** Bytes; undefined when it is no file, from which nothing is read: a pipe would never end. */
function sizeOf(found: Stats | undefined): number | undefined {
  return found?.isFile() ? found.size : undefined;
}

/** Absolute path of a selected collection's documents: concatenated raw BSON. */
export function collectionPath(selection: Selection, collection: SelectedCollection): string {
  return join(selection.directory, selection.manifest.database, collection.file);
}

async function manifestAt(path: string): Promise<SelectionManifest> {
  const size = sizeOf(await trustedEntry(path));
  const manifest = size === undefined ? 'is missing' : await readManifest(path, size);
  if (typeof manifest === 'string') throw unusable(path, manifest);
  return manifest;
}

function unusable(path: string, why: string, facts: { readonly isMissing?: boolean } = {}): RestorePlanError {
  return new RestorePlanError('BACKUP', `selection is not usable: ${path} ${why}`, {
    hint: 'Run `plan dry-run` again; it selects the documents anew.',
    facts,
  });
}
