import { createHash } from 'node:crypto';
import { RestorePlanError } from '../../errors.ts';
import type { CollectionMetadata } from '../backup.ts';

/**
 * What a path means in a mongodump tree: `<anything>/<database>/<escaped collection>.bson[.gz]` and its neighbours.
 *
 * Works on one path at a time, so that folders, tars and streams are read by the same rules.
 */
type DumpPath =
  | {
      /** buckets: the stored form of a time series collection. */
      readonly kind: 'documents' | 'metadata' | 'buckets';
      readonly database: string;
      /** Name without extension, as written: still escaped. */
      readonly fileName: string;
    }
  /** Users, roles, JavaScript, profiles … of a database: never restored by a plan. */
  | { readonly kind: 'system'; readonly database: string }
  /** Operations recorded while the dump ran (`--oplog`). */
  | { readonly kind: 'oplog' }
  /** Versions of server and tools; nothing is needed of it. */
  | { readonly kind: 'prelude' }
  | { readonly kind: 'other' };

/** `path` has `/` between its parts; `database` is the one the plan wants. */
export function readDumpPath(path: string, database: string): DumpPath {
  const parts = path.split('/');
  const name = (parts.at(-1) ?? '').replace(/\.gz$/, '');
  const folder = parts.at(-2) ?? '';
  if (name.startsWith('._')) return { kind: 'other' }; // resource forks that macOS tars add
  if (name === 'prelude.json') return { kind: 'prelude' };
  if (name === 'oplog.bson' && folder !== database) return { kind: 'oplog' };
  const documents = /^(.+)\.(?:bson|bin)$/s.exec(name)?.[1];
  const metadata = /^(.+)\.metadata\.json$/s.exec(name)?.[1];
  const fileName = documents ?? metadata;
  if (fileName === undefined || folder === '') return { kind: 'other' };
  if (documents?.startsWith('system.buckets.')) {
    return { kind: 'buckets', database: folder, fileName: documents.slice('system.buckets.'.length) };
  }
  if (fileName.startsWith('system.') || fileName.startsWith('$')) return { kind: 'system', database: folder };
  return { kind: documents === undefined ? 'metadata' : 'documents', database: folder, fileName };
}

/**
 * The folder that can only be that of the plan's database: the only one with files of collections, whose own name is no
 * database's. It has none (`x.bson` at the top of a tar), or was renamed to a time. Undefined where there is no such.
 */
export function namelessFolder(paths: Iterable<string>): string | undefined {
  const folders = new Set<string>();
  for (const path of paths) {
    const { kind } = readDumpPath(`_/${path}`, '_');
    if (kind === 'documents' || kind === 'metadata' || kind === 'buckets') folders.add(folderOf(path));
  }
  const [only] = folders;
  if (only === undefined || folders.size > 1) return undefined;
  const name = only.slice(only.lastIndexOf('/') + 1);
  return name === '' || timeInName(name) !== undefined ? only : undefined;
}

/** The path as it would be if the folder bore the name of the database. */
export function inDatabase(path: string, folder: string | undefined, database: string): string {
  if (folder === undefined || folderOf(path) !== folder) return path;
  return `${folder.slice(0, folder.lastIndexOf('/') + 1)}${database}/${path.slice(path.lastIndexOf('/') + 1)}`;
}

/** The folder of a file, without the `/` at its end; empty at the top. */
export function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

/** A dump in one file, or something compressed, by its name. */
export function looksPacked(path: string): boolean {
  return /\.(?:tar|tgz|tbz|txz|archive|dump|gz|bz2|xz|zst|lz4|snappy|s2|zip|7z|gpg|enc)(?:\.\w+)?$/i.test(
    path,
  );
}

/** A file of a mongod's dbPath, as it is or compressed: of a physical backup, or a snapshot of the disk. */
export function isDataFile(path: string): boolean {
  return /(?:^|\/)(?:WiredTiger|mongod\.lock|[^/]+\.(?:wt|ns))(?:\.(?:gz|s2|snappy|lz4|zst))?$/.test(path);
}

/** A part of a collection as ApsaraDB for MongoDB lays its logical backups out: `gravity/artworks/data/artworks_0_part0.bson`. */
export function apsaraPart(path: string): { readonly collection: string; readonly file: string } | undefined {
  const found = /(?:^|\/)([^/]+)\/data\/(\1_\d+_part\d+\.bson(?:\.gz)?)$/s.exec(path);
  return found === null ? undefined : { collection: found[1] as string, file: found[2] as string };
}

// How mongodump writes a collection's name into a file name: Go's `url.QueryEscape`, cut and hashed when it gets long.

/** Longest escaped name that mongodump leaves whole, in bytes. */
const MAX_ESCAPED = 238;
const KEPT_OF_LONG = 208;

/** The file name, without extension, that mongodump gives to a collection. */
export function fileNameOf(collection: string): string {
  const escaped = encodeURIComponent(collection)
    .replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
    .replace(/%20/g, '+');
  if (escaped.length <= MAX_ESCAPED) return escaped;
  const hash = createHash('sha1').update(collection, 'utf8').digest('base64url');
  return `${escaped.slice(0, KEPT_OF_LONG)}%24${hash}`;
}

/** The collection that a file name stands for; undefined for a long name, whose metadata alone knows. */
export function collectionOf(fileName: string): string | undefined {
  if (isLongFileName(fileName)) return undefined;
  try {
    return decodeURIComponent(fileName.replace(/\+/g, '%20'));
  } catch {
    return fileName; // written by a tool that did not escape
  }
}

function isLongFileName(fileName: string): boolean {
  return fileName.length === MAX_ESCAPED && fileName.slice(KEPT_OF_LONG, KEPT_OF_LONG + 3) === '%24';
}
/** Times that people put into the names of backups, and the template that finds all of a kind. */

interface TimedName {
  /** The name with its time as a template spells it: `db-{time:yyyy-MM-dd}.tar`. */
  readonly template: string;
  /** The time as the name spells it. */
  readonly text: string;
}

const YEAR = String.raw`(?:19|20)\d\d`;
const DATE = String.raw`(?<y>${YEAR})(?<s>[-._]?)(?<M>0[1-9]|1[0-2])\k<s>(?<d>0[1-9]|[12]\d|3[01])`;
const CLOCK = String.raw`(?<t>[T_.\- ]?)(?<H>[01]\d|2[0-3])(?:(?<c>[-:._hH]?)(?<m>[0-5]\d)(?:(?<c2>[-:._mM]?)(?<sec>[0-5]\d))?)?`;
const TIME = new RegExp(String.raw`(?<!\d)${DATE}(?:${CLOCK})?(?!\d)`);

/** Undefined where the name has no date. */
export function timeInName(name: string): TimedName | undefined {
  const found = TIME.exec(name);
  if (found?.groups === undefined) return undefined;
  const { s = '', t, c = '', c2 = '', H, m, sec } = found.groups;
  const day = ['yyyy', 'MM', 'dd'].join(quoted(s));
  const clock = [
    H === undefined ? '' : `${quoted(t ?? '')}HH`,
    m === undefined ? '' : `${quoted(c)}mm`,
    sec === undefined ? '' : `${quoted(c2)}ss`,
  ];
  const [text] = found;
  const [before, after] = [name.slice(0, found.index), name.slice(found.index + text.length)];
  return { template: `${before}{time:${day}${clock.join('')}}${after}`, text };
}

/** Letters stand for fields in a time pattern, unless they are quoted; `T` is one that stands for itself. */
function quoted(separator: string): string {
  return /[a-z]/i.test(separator) && separator !== 'T' ? `'${separator}'` : separator;
}

/** The template that finds most of these paths by the times in their last parts, where it finds two or more of them. */
export function templateOf(paths: readonly string[]): string | undefined {
  const found = new Map<string, Set<string>>();
  for (const path of paths) {
    const start = path.lastIndexOf('/', path.length - 2) + 1;
    const timed = timeInName(path.slice(start));
    if (timed === undefined) continue;
    const template = path.slice(0, start) + timed.template;
    found.set(template, (found.get(template) ?? new Set()).add(timed.text));
  }
  const [most] = [...found].sort(([, a], [, b]) => b.size - a.size);
  return most !== undefined && most[1].size > 1 ? most[0] : undefined;
}

// Reads `<collection>.metadata.json`: the true name and the kind of a collection. Its text is kept as stored.

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
