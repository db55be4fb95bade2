/**
 * Reads the manifest of a selection, which may have any shape: cut off by a crash, of another version, edited, or not a manifest at all.
 */
import { readFile } from 'node:fs/promises';
import { MIN_DOCUMENT_BYTES } from '../bson/types.ts';
import { selectionDigest } from './digest.ts';
import type { SelectedCollection, SelectionManifest } from './selection.ts';

/** Of 10,000 collections on three hosts it has some 12 MB. */
export const MOST_MANIFEST_BYTES = 32 * 1024 * 1024;

type Fields = Readonly<Record<string, unknown>>;

/**
 * The manifest in the file of `size` bytes, or what keeps it from being one: `is cut off`. Whatever comes back as a manifest has the
 * declared shape, agrees with its own digest, and names no file outside its directory.
 */
export async function readManifest(path: string, size: number): Promise<SelectionManifest | string> {
  if (size > MOST_MANIFEST_BYTES) return `has ${size} bytes, more than a manifest ever has`;
  let manifest: unknown;
  try {
    manifest = JSON.parse(await readFile(path, 'utf8'));
  } catch {
    return 'cannot be read, or is no JSON';
  }
  if (!isFields(manifest)) return 'is no manifest';
  if (manifest['format'] !== 1) return `has format ${show(manifest['format'])}, this version reads format 1`;
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
const isNumber: Test = (value) => typeof value === 'number';
const isWhenMatched: Test = (value) => ['keepExisting', 'replace', 'fail'].includes(value as string);

const hasCollectionFields = hasFields({
  collection: isText,
  into: isText,
  whenMatched: isWhenMatched,
  scanned: isCount,
  count: isCount,
  bytes: isCount,
  sha256: isHash,
  file: isFileName,
  metadataFile: isOptional(isFileName),
  metadataSha256: isOptional(isHash),
});

/** Each document has some bytes; what the digest leaves out has none. */
const isCollection: Test = (value) => {
  if (!hasCollectionFields(value)) return false;
  const { count, bytes } = value as SelectedCollection;
  return count === 0 ? bytes === 0 : bytes >= count * MIN_DOCUMENT_BYTES;
};

const MANIFEST: Readonly<Record<Exclude<keyof SelectionManifest, 'format'>, Test>> = {
  toolVersion: isText,
  planName: isText,
  planDigest: isText,
  selectsDigest: isOptional(isText),
  backup: hasFields({
    location: isText,
    kind: isText,
    time: isOptional(isNumber),
    localTime: isOptional(isText),
    modified: isOptional(isNumber),
    size: isOptional(isNumber),
    fingerprint: isText,
  }),
  database: isFileName,
  digest: isHash,
  collections: isList(isCollection),
  members: isList(hasFields({ path: isText, collection: isText, bytes: isCount, sha256: isText })),
  readToEnd: (value) => typeof value === 'boolean',
  relaxed: isOptional((value) => typeof value === 'boolean'),
  warnings: isList(isText),
};

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function show(value: unknown): string {
  return (JSON.stringify(value) ?? 'undefined').slice(0, 40);
}
