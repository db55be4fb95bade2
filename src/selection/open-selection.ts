import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { BackupIdentity } from '../backup/backup.ts';
import { RestorePlanError } from '../errors.ts';
import type { Plan } from '../plan/plan.ts';
import { selectionDigest } from './digest.ts';
import { MANIFEST_FILE, selectionDirectory } from './directory.ts';
import { sha256OfFile } from './file-sha256.ts';
import type { SelectedCollection, Selection, SelectionManifest } from './selection.ts';

/**
 * Opens a selection directory: the manifest must be of this format, agree with its own digest, and every file must have
 * the recorded size. Contents are not read; `findSelection` does that. Throws RestorePlanError BACKUP.
 */
export async function openSelection(directory: string): Promise<Selection> {
  const root = resolve(directory);
  const manifest = await readManifest(join(root, MANIFEST_FILE));
  for (const collection of manifest.collections) {
    const path = collectionPath({ directory: root, manifest }, collection);
    const size = await sizeOf(path);
    if (size !== collection.bytes) {
      throw unusable(path, size === undefined ? 'is missing' : `has ${size} bytes, not ${collection.bytes}`);
    }
  }
  return { directory: root, manifest };
}

/**
 * What this very plan selects from this very backup, made earlier; undefined when there is none or when its files are
 * not what its manifest says (their sha256 is taken here, so later steps may trust the bytes).
 */
export async function findSelection(
  workDirectory: string,
  plan: Pick<Plan, 'name' | 'selectsDigest'>,
  backup: BackupIdentity,
): Promise<Selection | undefined> {
  let selection: Selection;
  try {
    selection = await openSelection(selectionDirectory(workDirectory, plan, backup));
  } catch (error) {
    if (error instanceof RestorePlanError) return undefined;
    throw error;
  }
  const { manifest } = selection;
  if (selectedBy(manifest) !== plan.selectsDigest || manifest.backup.fingerprint !== backup.fingerprint)
    return undefined;
  for (const collection of manifest.collections) {
    if (!(await holdsItsBytes(selection, collection))) return undefined;
  }
  return selection;
}

/** Digest of the part of a plan by which the documents were selected. */
export function selectedBy({ selectsDigest, planDigest }: SelectionManifest): string {
  return selectsDigest ?? planDigest;
}

/** Whether a selected collection's file is there, with the length and the sha256 that the manifest says. Reads all of it. */
export async function holdsItsBytes(selection: Selection, collection: SelectedCollection): Promise<boolean> {
  const path = collectionPath(selection, collection);
  return (await sizeOf(path)) === collection.bytes && (await sha256OfFile(path)) === collection.sha256;
}

/** Bytes; undefined when there is no such file. */
async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
}

/** Absolute path of a selected collection's documents: concatenated raw BSON. */
export function collectionPath(selection: Selection, collection: SelectedCollection): string {
  return join(selection.directory, selection.manifest.database, collection.file);
}

async function readManifest(path: string): Promise<SelectionManifest> {
  let manifest: SelectionManifest;
  try {
    manifest = JSON.parse(await readFile(path, 'utf8')) as SelectionManifest;
  } catch (error) {
    throw unusable(path, 'cannot be read', error);
  }
  if (manifest?.format !== 1) {
    throw unusable(path, `has format ${String(manifest?.format)}, this version reads format 1`);
  }
  if (!Array.isArray(manifest.collections) || selectionDigest(manifest.collections) !== manifest.digest) {
    throw unusable(path, 'does not agree with its own digest');
  }
  return manifest;
}

function unusable(path: string, why: string, cause?: unknown): RestorePlanError {
  return new RestorePlanError('BACKUP', `selection is not usable: ${path} ${why}`, {
    hint: 'Run `plan dry-run` again; it selects the documents anew.',
    cause,
  });
}
