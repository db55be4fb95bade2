/** What a backup holds, to be offered while a plan is written. Reads as little as the backup's form allows. */
import { resolve } from 'node:path';
import { openBackup } from '../../backup/open-backup.ts';
import { RestorePlanError } from '../../errors.ts';
import type { DraftLocation } from '../../plan/draft.ts';
import { parseInstant } from '../../plan/instant.ts';
import type { Source } from '../../plan/plan.ts';
import type { CommandContext } from '../context.ts';

export interface BackupQuestion {
  readonly location: DraftLocation;
  readonly at: string | undefined;
  /** Undefined: which databases there are is the question. */
  readonly database: string | undefined;
  /** Folder that a relative path starts from, absolute. */
  readonly folder: string;
}

export interface BackupContents {
  /** For people: which backup was looked into. */
  readonly location: string;
  /** Undefined when only reading all of the backup would tell. */
  readonly collections: readonly string[] | undefined;
}

/** Throws RestorePlanError BACKUP when it cannot be opened. */
export async function contentsOf(context: CommandContext, question: BackupQuestion): Promise<BackupContents> {
  const backup = await openBackup(sourceOf(question), {
    wanted: new Set(),
    emit: () => {},
    signal: context.signal,
  });
  try {
    const collections = await backup.collections();
    return {
      location: backup.identity.location,
      collections: collections
        ?.filter(({ type, collection }) => type === 'collection' && !collection.startsWith('system.'))
        .map(({ collection }) => collection)
        .sort(),
    };
  } finally {
    await backup.close();
  }
}

/** The databases of a backup: the refusal of one that is not there names those that are. Undefined: not known. */
export async function databasesOf(
  context: CommandContext,
  question: Omit<BackupQuestion, 'database'>,
): Promise<readonly string[] | undefined> {
  try {
    await contentsOf(context, { ...question, database: undefined });
    return undefined;
  } catch (error) {
    const databases = error instanceof RestorePlanError ? error.facts['databases'] : undefined;
    if (Array.isArray(databases)) return databases as string[];
    throw error;
  }
}

function sourceOf({ location, at, database, folder }: BackupQuestion): Source {
  const reading = at === undefined ? undefined : parseInstant(at);
  return {
    at: reading !== undefined && 'instant' in reading ? reading.instant : undefined,
    // No database has an empty name.
    database: database ?? '',
    maxAgeMs: undefined,
    integrity: 'needed',
    maxDecompressionRatio: undefined,
    location:
      location.kind === 'path'
        ? {
            kind: 'path',
            path: `${resolve(folder, location.path)}${location.path.endsWith('/') ? '/' : ''}`,
            timezone: location.timezone,
          }
        : {
            kind: 's3',
            bucket: location.bucket,
            key: location.key,
            timezone: location.timezone,
            region: undefined,
            profile: undefined,
            endpoint: location.endpoint,
            forcePathStyle: location.endpoint === undefined ? undefined : true,
            requestPayer: undefined,
          },
  };
}
