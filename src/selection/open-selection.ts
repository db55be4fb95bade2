/**
 * Opens selections that the work directory keeps: by path, by plan and backup, by digest. Nothing of them is believed before it was checked.
 */

import { createHash } from 'node:crypto';
import { createReadStream, type Stats } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { advice } from '../advice.ts';
import type { BackupIdentity } from '../backup/backup.ts';
import { MAX_METADATA_BYTES } from '../backup/layout/dump-paths.ts';
import { isTime } from '../bson/extended-json-types.ts';
import { MIN_DOCUMENT_BYTES } from '../bson/types.ts';
import { RestorePlanError } from '../errors.ts';
import { reasonOf } from '../files.ts';
import { LATER_ENDS } from '../oplog/later.ts';
import type { Plan } from '../plan/plan.ts';
import { ContentCheck } from './content-check.ts';
import { MANIFEST_FILE, SELECTIONS_FOLDER, selectionDirectory, trusted, trustedEntry } from './directory.ts';
import {
  type SelectedCollection,
  type Selection,
  type SelectionManifest,
  selectionDigest,
} from './selection.ts';

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
    const metadata = metadataPath(selection, collection);
    if (metadata !== undefined) await trustedEntry(metadata);
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

/**
 * A selection kept in the work directory, found by its digest: what was applied, whatever the plan says by now. Undefined when none is kept, or none whose files are still what its manifest says. Throws RestorePlanError WORK_DIRECTORY where it is one that
 * is not trusted.
 */
export async function keptSelection(workDirectory: string, digest: string): Promise<Selection | undefined> {
  const [found] = await keptSelections(workDirectory, (manifest) => manifest.digest === digest, 1);
  return found;
}

/**
 * What this very plan selected earlier, of whatever backup; undefined when nothing of it is kept, or what was selected of several backups. Throws
 * like `keptSelection`.
 */
export async function keptOfPlan(
  workDirectory: string,
  plan: Pick<Plan, 'name' | 'selectsDigest'>,
): Promise<Selection | undefined> {
  const isOfPlan = (manifest: SelectionManifest): boolean =>
    manifest.planName === plan.name && selectedBy(manifest) === plan.selectsDigest;
  const [found, other] = await keptSelections(workDirectory, isOfPlan, 2);
  return other === undefined ? found : undefined;
}

/** Up to `most` of the kept selections that are sought and whole. */
async function keptSelections(
  workDirectory: string,
  isSought: (manifest: SelectionManifest) => boolean,
  most: number,
): Promise<readonly Selection[]> {
  const folder = join(workDirectory, SELECTIONS_FOLDER);
  await trusted(workDirectory, SELECTIONS_FOLDER);
  const names = await readdir(folder).catch(() => []);
  const found: Selection[] = [];
  let distrust: RestorePlanError | undefined;
  for (const name of names) {
    const selection = await openSelection(join(folder, name)).catch((error: unknown) => {
      if (!(error instanceof RestorePlanError)) throw error;
      // It may be of another plan, which is then none of ours.
      if (error.code === 'WORK_DIRECTORY') distrust ??= error;
      return undefined;
    });
    if (selection !== undefined && isSought(selection.manifest) && (await isWhole(selection)))
      found.push(selection);
    if (found.length === most) return found;
  }
  if (found.length === 0 && distrust !== undefined) throw distrust;
  return found;
}

/** Whether all files of the selection are what its manifest says. Reads all of them. */
async function isWhole(selection: Selection): Promise<boolean> {
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
async function holdsItsBytes(selection: Selection, collection: SelectedCollection): Promise<boolean> {
  const path = collectionPath(selection, collection);
  if (sizeOf(await trustedEntry(path)) !== collection.bytes) return false;
  const check = new ContentCheck(collection.sha256);
  try {
    for await (const chunk of piecesOf(path)) check.update(chunk);
  } catch {
    return false;
  }
  return check.isRight();
}

/** Bytes; undefined when it is no file, from which nothing is read: a pipe would never end. */
function sizeOf(found: Stats | undefined): number | undefined {
  return found?.isFile() ? found.size : undefined;
}

/** Absolute path of a selected collection's documents: concatenated raw BSON. */
export function collectionPath(selection: Selection, collection: SelectedCollection): string {
  return join(selection.directory, selection.manifest.database, collection.file);
}

function metadataPath(
  { directory, manifest }: Selection,
  { metadataFile }: SelectedCollection,
): string | undefined {
  return metadataFile && join(directory, manifest.database, metadataFile);
}

async function manifestAt(path: string): Promise<SelectionManifest> {
  const size = sizeOf(await trustedEntry(path));
  const manifest = size === undefined ? 'is missing' : await readManifest(path, size);
  if (typeof manifest === 'string') throw unusable(path, manifest);
  return manifest;
}

function unusable(path: string, why: string, facts: { readonly isMissing?: boolean } = {}): RestorePlanError {
  return new RestorePlanError('BACKUP', `selection is not usable: ${path} ${why}`, {
    hint: advice`Run ${{ command: 'dry-run' }} again; it selects the documents anew.`,
    facts,
  });
}

/**
 * Text of a selected collection's `.metadata.json`; undefined where the backup has none. Throws RestorePlanError VERIFICATION when it is not
 * the text that was selected, and WORK_DIRECTORY where somebody else may have written it.
 */
export async function readMetadata(
  selection: Selection,
  collection: SelectedCollection,
): Promise<string | undefined> {
  const path = metadataPath(selection, collection);
  if (path === undefined) return undefined;
  const { metadataSha256 } = collection;
  const changed = (why: string, cause?: unknown): RestorePlanError =>
    new RestorePlanError('VERIFICATION', `the selection changed after it was checked: ${path} ${why}`, {
      hint: 'Run the same command again: the documents are selected anew.',
      cause,
    });
  let bytes: Buffer;
  try {
    const size = sizeOf(await trustedEntry(path));
    if (size === undefined) throw changed('is missing');
    if (size > MAX_METADATA_BYTES) throw changed(`has ${size} bytes, more than metadata ever has`);
    bytes = await readFile(path);
  } catch (error) {
    const reason = reasonOf(error);
    throw reason === undefined ? error : changed(`cannot be read: ${reason}`, error);
  }
  if (metadataSha256 !== undefined && metadataSha256 !== sha256OfText(bytes))
    throw changed('is another text than was selected');
  return bytes.toString('utf8');
}

function piecesOf(path: string): AsyncIterable<Buffer> {
  return createReadStream(path, { highWaterMark: 1024 * 1024 });
}

/** sha256, hex, of the bytes of a file. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of piecesOf(path)) hash.update(chunk);
  return hash.digest('hex');
}

/** sha256, hex. */
export function sha256OfText(text: Buffer | string): string {
  return createHash('sha256').update(text).digest('hex');
}

// The manifest may have any shape: cut off by a crash, of another version, edited, or not a manifest at all.

/** Of 10,000 collections on three hosts it has some 12 MB. */
export const MOST_MANIFEST_BYTES = 32 * 1024 * 1024;

type Fields = Readonly<Record<string, unknown>>;

/**
 * The manifest in the file of `size` bytes, or what keeps it from being one: `is cut off`. Whatever comes back as a manifest has the
 * declared shape, agrees with its own digest, and names no file outside its directory.
 */
async function readManifest(path: string, size: number): Promise<SelectionManifest | string> {
  if (size > MOST_MANIFEST_BYTES) return `has ${size} bytes, more than a manifest ever has`;
  let manifest: unknown;
  try {
    manifest = JSON.parse(await readFile(path, 'utf8'));
  } catch {
    return 'cannot be read, or is no JSON';
  }
  if (!isFields(manifest)) return 'is no manifest';
  const { format } = manifest;
  if (format !== 1 && format !== 2) return `has format ${show(format)}, this version reads formats 1 and 2`;
  const fault = Object.entries(MANIFEST).find(([field, isRight]) => !isRight(manifest[field]))?.[0];
  if (fault !== undefined) return `has no usable \`${fault}\``;
  const { collections, digest } = manifest as unknown as SelectionManifest;
  if (new Set(collections.map(({ collection }) => collection)).size < collections.length)
    return 'names a collection twice';
  if (selectionDigest(collections) !== digest) return 'does not agree with its own digest';
  return manifest as unknown as SelectionManifest;
}

type Test = (value: unknown) => boolean;

const isText: Test = (value) => typeof value === 'string';
const isHash: Test = (value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
const isCount: Test = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isOptional =
  (test: Test): Test =>
  (value) =>
    value === undefined || test(value);
const isList =
  (test: Test): Test =>
  (value) =>
    Array.isArray(value) && value.every(test);
const hasFields =
  (tests: Readonly<Record<string, Test>>): Test =>
  (value) =>
    isFields(value) && Object.entries(tests).every(([field, test]) => test(value[field]));

/** A name that stays in its folder. */
const isFileName: Test = (value) =>
  typeof value === 'string' && !['', '.', '..'].includes(value) && !/[/\\\0]/.test(value);
const isUint32: Test = (value) => isCount(value) && (value as number) <= 0xffff_ffff;
const isTimestamp: Test = (value) => Array.isArray(value) && value.length === 2 && value.every(isUint32);
const isNumber: Test = (value) => typeof value === 'number';
const isWhenMatched: Test = (value) => ['keepExisting', 'replace', 'merge', 'fail'].includes(value as string);
const isWhenNotMatched: Test = (value) => ['insert', 'discard'].includes(value as string);

const hasCollectionFields = hasFields({
  collection: isText,
  into: isText,
  whenMatched: isWhenMatched,
  merge: isOptional(hasFields({ fields: isList(isText), whenNotMatched: isWhenNotMatched })),
  scanned: isCount,
  count: isCount,
  bytes: isCount,
  sha256: isHash,
  file: isFileName,
  metadataFile: isOptional(isFileName),
  metadataSha256: isOptional(isHash),
  rolled: isOptional(isCount),
  inserted: isOptional(isCount),
  later: isOptional(hasFields(Object.fromEntries(LATER_ENDS.map((end) => [end, isCount])))),
  deletedBefore: isOptional(hasFields({ count: isCount, last: isTime })),
});

const hasMemberFields = hasFields({
  path: isText,
  collection: isText,
  bytes: isCount,
  crc32: isOptional(isText),
  sha256: isOptional(isText),
});
/** One of the two, by the format; nothing rests on them. */
const isMember: Test = (value) =>
  hasMemberFields(value) && isFields(value) && ('crc32' in value || 'sha256' in value);

/** Each document has some bytes; what the digest leaves out has none. */
const isCollection: Test = (value) => {
  if (!hasCollectionFields(value)) return false;
  const { count, bytes, whenMatched, merge } = value as SelectedCollection;
  if ((whenMatched === 'merge') !== (merge !== undefined)) return false;
  return count === 0 ? bytes === 0 : bytes >= count * MIN_DOCUMENT_BYTES;
};

/** What is said of an oplog, and of that of each shard. */
const OF_OPLOG: Readonly<Record<string, Test>> = {
  source: isText,
  begin: isTimestamp,
  beginSaid: (value) => ['dump', 'plan', 'oplog'].includes(value as string),
  entries: isCount,
  sha256: isHash,
  laterUntil: isOptional(isTimestamp),
};

const MANIFEST: Readonly<Record<Exclude<keyof SelectionManifest, 'format'>, Test>> = {
  toolVersion: isText,
  planName: isText,
  planDigest: isText,
  selectsDigest: isOptional(isText),
  backup: hasFields({
    location: isText,
    kind: isText,
    time: isOptional(isTime),
    localTime: isOptional(isText),
    modified: isOptional(isTime),
    size: isOptional(isNumber),
    fingerprint: isText,
  }),
  database: isFileName,
  digest: isHash,
  collections: isList(isCollection),
  members: isList(isMember),
  readToEnd: (value) => typeof value === 'boolean',
  relaxed: isOptional((value) => typeof value === 'boolean'),
  oplog: isOptional(
    hasFields({
      ...OF_OPLOG,
      cut: isTimestamp,
      cutWall: isOptional(isTime),
      shards: isOptional(isList(hasFields({ folder: isText, ...OF_OPLOG }))),
    }),
  ),
  warnings: isList(isText),
};

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function show(value: unknown): string {
  return (JSON.stringify(value) ?? 'undefined').slice(0, 40);
}
