/** What a dump can hold, or lack, that keeps a collection from being restored. */
import { RestorePlanError } from '../../errors.ts';
import { apsaraPart } from '../layout/dump-paths.ts';

/** A view or a time series: refused by name, whichever reader meets it. */
export function notDocuments(
  collection: string,
  type: 'view' | 'timeseries',
  location: string,
): RestorePlanError {
  const [what, hint] =
    type === 'view'
      ? ['a view', 'A view has no documents of its own: name the collection it reads from.']
      : [
          'a time series collection',
          'Its buckets cannot be restored document by document: restore it with mongorestore.',
        ];
  return new RestorePlanError('BACKUP', `${collection} is ${what} in ${location}.`, { hint });
}

/** mongodump writes an empty `.bson` for an empty collection, so metadata alone means that a file was lost. */
export function documentsMissing(collection: string, location: string): RestorePlanError {
  return new RestorePlanError(
    'BACKUP',
    `${location} has the metadata of ${collection} but not its documents.`,
    {
      hint: 'The .bson file was lost or never copied. Take another backup.',
    },
  );
}

/** A `{collection}` that leads to a whole dump. */
export function notSingle(location: string, kind: string): RestorePlanError {
  return new RestorePlanError('BACKUP', `${location} is a ${kind}, and no file of a single collection.`, {
    hint: 'Name it without {collection}, or name files of single collections: {collection}.bson, {collection}.bson.gz.',
  });
}

/** The plan's database is not there: says which are. */
export function noSuchDatabase(
  database: string,
  found: readonly string[],
  location: string,
): RestorePlanError {
  const list = found.length === 0 ? 'no database at all' : `only ${found.slice(0, 20).join(', ')}`;
  return new RestorePlanError(
    'BACKUP',
    `${location} does not hold the database ${database}; it holds ${list}.`,
    {
      hint:
        found.length === 0
          ? 'Correct where source leads to: there is nothing of a dump or a database.'
          : 'Correct source.database in the plan.',
      facts: { databases: found },
    },
  );
}

/** Old metadata says in its indexes of which database it is. Throws BACKUP where that is not the plan's. */
export function refuseOtherDatabase(metadata: string, database: string, location: string): void {
  const namespace = /"ns"\s*:\s*"([^".]+)\./.exec(metadata)?.[1];
  if (namespace !== undefined && namespace !== database)
    throw noSuchDatabase(database, [namespace], location);
}

/** Whether a backup was refused only because it is one of other databases: the refusal lists those that are there. */
export function isOfOtherDatabases(error: unknown): boolean {
  if (!(error instanceof RestorePlanError)) return false;
  const { databases } = error.facts;
  return Array.isArray(databases) && databases.length > 0;
}

/** An archive that lies in a compressed tar behind other files: where it begins shows only when all before it was inflated. */
export function archiveBehind(path: string): RestorePlanError {
  return new RestorePlanError(
    'BACKUP',
    `${path} is a mongodump archive behind other files of a compressed tar.`,
    {
      hint: 'Unpack the tar and name the archive as the source.',
    },
  );
}

/** A physical backup: what lies in a mongod's dbPath. */
export function dataFiles(location: string): RestorePlanError {
  return new RestorePlanError(
    'BACKUP',
    `${location} is a copy of a mongod's data files, which only a mongod can read.`,
    {
      hint: 'Unpack them where they are packed, start a mongod of the same version on a copy of them and name it as source.mongodb; or use a logical backup (mongodump, pbm backup --type logical).',
    },
  );
}

/** `path`: of a part of a collection in the layout of ApsaraDB for MongoDB. `setting`: what of the plan leads there. */
export function apsaraLayout(
  path: string,
  { location, setting }: { readonly location: string; readonly setting: string },
): RestorePlanError {
  const { collection, file } = apsaraPart(path) ?? { collection: '', file: '' };
  const folder = path.slice(0, -`${collection}/data/${file}`.length);
  const template = `${folder}{collection}/data/${file.replace(collection, '{collection}')}`;
  return new RestorePlanError(
    'BACKUP',
    `${location} is laid out as ApsaraDB for MongoDB does it, each collection in parts of its own: ${path}.`,
    {
      hint:
        `Name the files by collection: ${setting} that ends in ${template} (unpacked, where they are packed). A collection in several parts is ` +
        `put together first, in their order: cat ${collection}/data/${collection}_*_part*.bson > ${collection}.bson, and {collection}.bson.`,
    },
  );
}

/** A warning about entries of a tar that are no plain files. */
export function entriesPassedOver(
  entries: readonly { readonly path: string; readonly what: string }[],
  location: string,
): string {
  const shown = entries.slice(0, 3).map(({ path, what }) => `${path} is ${what}`);
  const more = entries.length > 3 ? `, and ${entries.length - 3} more` : '';
  return `${location}: ${entries.length} entries of the tar are no files of a dump and were passed over (${shown.join(', ')}${more}).`;
}

/** A warning. `folder`: where the files lie; empty = at the top. */
export function takenFor(database: string, folder: string, location: string): string {
  const where = folder === '' ? 'at the top' : `in ${folder}/`;
  return `${location} has its only files of collections ${where}, without the name of a database: they were taken for ${database}.`;
}

export function noOplog(location: string, path: string): RestorePlanError {
  return new RestorePlanError(
    'BACKUP',
    `${location}!${path} is a collection of another database, and no oplog.`,
    {
      hint: 'Take a backup made with `mongodump --oplog`, or name another oplog in source.oplog.',
    },
  );
}

export function severalOplogs(location: string): RestorePlanError {
  return new RestorePlanError('BACKUP', `${location} holds several oplogs (oplog.bson).`, {
    hint: 'For the backup of a sharded cluster, name the oplog of each shard in source.oplog.shards, by the folder that holds its dump.',
  });
}

export const OPLOG_WARNING =
  'The backup holds an oplog (mongodump --oplog). It is not replayed: each collection is as it was when it was read. `source.oplog: { backup: true }` applies it.';

export function noMetadataWarning(path: string): string {
  return `${path} has no metadata file: if a target lacks the collection, it is created without options and indexes.`;
}
