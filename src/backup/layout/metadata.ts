/** Reads `<collection>.metadata.json`: the true name and the kind of a collection. Its text is kept as stored. */
import { RestorePlanError } from '../../errors.ts';
import type { CollectionMetadata } from '../backup.ts';
import { collectionOf, fileNameOf } from './dump-paths.ts';

/** A metadata document is at most as large as a BSON document, and its JSON a few times that. */
export const MAX_METADATA_BYTES = 64 * 1024 * 1024;

interface StoredMetadata {
  readonly collectionName?: unknown;
  readonly type?: unknown;
  readonly options?: { readonly viewOn?: unknown; readonly timeseries?: unknown };
}

/** `path` names the file in messages; `fileName` is the escaped collection name in it. */
export function readMetadata(text: string, path: string, fileName: string): CollectionMetadata {
  const stored = parse(text, path);
  const collection = nameOf(stored, path, fileName);
  return { collection, text, type: typeOf(stored, path) };
}

/** For a `.bson` that lies there without its metadata, as `mongodump` 2.2 and hand-made backups leave it. */
export function metadataOfNameOnly(path: string, fileName: string): CollectionMetadata {
  const collection = collectionOf(fileName);
  if (collection !== undefined) return { collection, text: undefined, type: 'collection' };
  throw new RestorePlanError(
    'BACKUP',
    `${path} has a shortened name and no metadata file to tell its collection.`,
    {
      hint: 'Take a backup that holds the .metadata.json files too.',
    },
  );
}

function parse(text: string, path: string): StoredMetadata {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new RestorePlanError('BACKUP', `${path} is not valid JSON.`, {
      hint: 'The backup is damaged. Take another one.',
      cause,
    });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new RestorePlanError('BACKUP', `${path} does not hold a metadata object.`, {
    hint: 'The backup is damaged. Take another one.',
  });
}

function nameOf({ collectionName }: StoredMetadata, path: string, fileName: string): string {
  const byFile = collectionOf(fileName);
  if (typeof collectionName !== 'string' || collectionName === '') {
    return byFile ?? metadataOfNameOnly(path, fileName).collection;
  }
  if (byFile === collectionName || fileNameOf(collectionName) === fileName) return collectionName;
  // Older mongodumps wrote the escaped name into the metadata of a long one.
  const unescaped = collectionOf(collectionName);
  if (byFile === undefined && unescaped !== undefined && fileNameOf(unescaped) === fileName) return unescaped;
  throw new RestorePlanError(
    'BACKUP',
    `${path} says that it describes ${JSON.stringify(collectionName)}, which its file name does not.`,
    { hint: 'Somebody renamed files of the backup. Give them back their names, or take another backup.' },
  );
}

function typeOf({ type, options }: StoredMetadata, path: string): CollectionMetadata['type'] {
  if (options?.viewOn !== undefined) return 'view';
  if (options?.timeseries !== undefined) return 'timeseries';
  // A view without its definition was dumped with --viewsAsCollections: what lies beside it are documents.
  if (type === undefined || type === '' || type === 'collection' || type === 'view') return 'collection';
  if (type === 'timeseries') return type;
  throw new RestorePlanError(
    'BACKUP',
    `${path} describes a collection of the unknown type ${JSON.stringify(type)}.`,
    {
      hint: 'A newer mongodump may have written it. Update restore-plan.',
    },
  );
}
