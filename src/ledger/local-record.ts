/**
 * What could not be written to the ledger although documents went in, kept on this machine until the next run adopts it.
 * One file per target and selection in the work directory, mode 0600; no document data beyond positions and counts.
 */
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import type { ServerIdentity } from '../target/target.ts';
import type { RunProgress } from './runs.ts';

export interface LocalRecord {
  readonly format: 1;
  readonly target: TargetName;
  readonly database: string;
  /** `ServerIdentity.id`: a record is adopted only by the ledger it was meant for. */
  readonly server: string;
  readonly digest: string;
  /** Journal batches whose outcome is not recorded there. */
  readonly batches: readonly { readonly batch: number; readonly skipped: readonly number[] }[];
  readonly progress: RunProgress;
  readonly savedAt: string;
}

export interface RecordPlace {
  readonly workDirectory: string;
  readonly target: TargetName;
  readonly digest: string;
}

function localRecordPath({ workDirectory, target, digest }: RecordPlace): string {
  return join(workDirectory, 'ledger', `${target}-${digest}.json`);
}

/** Written beside its place and renamed, so that what is there is always whole. */
export async function saveLocalRecord(place: RecordPlace, record: LocalRecord): Promise<string> {
  const path = localRecordPath(place);
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

/** Undefined when there is none, or none for this server and database. */
export async function findLocalRecord(
  place: RecordPlace,
  { database, identity }: { readonly database: string; readonly identity: ServerIdentity },
): Promise<LocalRecord | undefined> {
  const path = localRecordPath(place);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const record = parse(text);
  if (record?.format !== 1 || !Array.isArray(record.batches) || record.digest !== place.digest) {
    throw new RestorePlanError('TARGET', `the local ledger record ${path} is damaged or of a newer version`, {
      hint: 'Remove the file and run again: what it held is found out by comparing every document with the target.',
    });
  }
  return record.server === identity.id && record.database === database ? record : undefined;
}

export async function removeLocalRecord(place: RecordPlace): Promise<void> {
  await rm(localRecordPath(place), { force: true });
}

function parse(text: string): LocalRecord | undefined {
  try {
    return JSON.parse(text) as LocalRecord;
  } catch {
    return undefined;
  }
}
