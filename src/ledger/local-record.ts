/**
 * What could not be written to the ledger although documents went in, kept on this machine until the next run adopts it.
 * One file per target and run in the work directory, mode 0600; no document data beyond positions and counts.
 */
import type { Stats } from 'node:fs';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import { trusted } from '../selection/directory.ts';
import type { ServerIdentity } from '../target/target.ts';
import type { BatchEnd } from './journal.ts';
import { journalKeyOf, type RunKey } from './layout.ts';
import type { RunProgress } from './runs.ts';

const RECORDS_FOLDER = 'ledger';
/** Of a million documents that were left alone it has some 10 MB. */
const MOST_RECORD_BYTES = 64 * 1024 * 1024;

export interface LocalRecord {
  readonly format: 2;
  readonly target: TargetName;
  readonly database: string;
  /** `ServerIdentity.id`: a record is adopted only by the ledger it was meant for. */
  readonly server: string;
  readonly key: RunKey;
  /** Journal batches whose outcome is not recorded there. */
  readonly batches: readonly BatchEnd[];
  readonly progress: RunProgress;
  readonly savedAt: string;
}

export interface RecordPlace {
  readonly workDirectory: string;
  readonly target: TargetName;
  readonly key: RunKey;
  /** The run was begun in format 1: then a record of format 1, which names the selection alone, may belong to it. */
  readonly isMigrated?: boolean;
}

/** A record of format 1: `digest` in the place of `key`. */
interface OldRecord extends Omit<LocalRecord, 'format' | 'key'> {
  readonly format: 1;
  readonly digest: string;
}

function pathFor({ workDirectory, target }: RecordPlace, name: string): string {
  return join(workDirectory, RECORDS_FOLDER, `${target}-${name}.json`);
}

/** Written beside its place and renamed, so that what is there is always whole. */
export async function saveLocalRecord(place: RecordPlace, record: LocalRecord): Promise<string> {
  const path = pathFor(place, journalKeyOf(place.key));
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(record, undefined, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
  return path;
}

export interface FoundRecord {
  readonly path: string;
  readonly record: Pick<LocalRecord, 'batches' | 'progress'>;
}

/**
 * Undefined when there is none, or none for this server and database. Throws RestorePlanError TARGET for one that cannot be read, and
 * WORK_DIRECTORY for one that somebody else may have written.
 */
export async function findLocalRecord(
  place: RecordPlace,
  reader: { readonly database: string; readonly identity: ServerIdentity },
): Promise<FoundRecord | undefined> {
  const names = [journalKeyOf(place.key), ...(place.isMigrated ? [place.key.selection] : [])];
  for (const name of names) {
    const path = pathFor(place, name);
    const found = await trusted(place.workDirectory, RECORDS_FOLDER, basename(path));
    const record = found && (await read(path, found, place.key));
    if (record?.server === reader.identity.id && record.database === reader.database) return { path, record };
  }
  return undefined;
}

async function read(
  path: string,
  found: Stats,
  { plan, selection }: RunKey,
): Promise<LocalRecord | OldRecord> {
  const isRecord = found.isFile() && found.size <= MOST_RECORD_BYTES;
  const record = isRecord ? parse(await readFile(path, 'utf8')) : undefined;
  const isOurs =
    record?.format === 2
      ? record.key?.plan === plan && record.key.selection === selection
      : record?.format === 1 && record.digest === selection;
  if (
    record === undefined ||
    !isOurs ||
    !Array.isArray(record.batches) ||
    !record.batches.every(isBatchEnd)
  ) {
    throw new RestorePlanError('TARGET', `the local ledger record ${path} is damaged or of a newer version`, {
      hint: 'Remove the file and run again: what it held is found out by comparing every document with the target.',
    });
  }
  return record;
}

function isBatchEnd(value: unknown): value is BatchEnd {
  const { batch, skipped, doubtful = [] } = (value ?? {}) as Partial<Record<keyof BatchEnd, unknown>>;
  return isCount(batch) && isCounts(skipped) && isCounts(doubtful);
}

function isCounts(value: unknown): boolean {
  return Array.isArray(value) && value.every(isCount);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

export async function removeLocalRecord(path: string): Promise<void> {
  await rm(path, { force: true });
}

function parse(text: string): LocalRecord | OldRecord | undefined {
  try {
    return (JSON.parse(text) as LocalRecord | OldRecord | null) ?? undefined;
  } catch {
    return undefined;
  }
}
