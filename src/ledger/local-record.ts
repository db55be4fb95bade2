/**
 * What could not be written to the ledger although documents went in, kept on this machine until the next run adopts it.
 * One file per target and run in the work directory, mode 0600; no document data beyond positions and counts.
 */
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import type { ServerIdentity } from '../target/target.ts';
import type { BatchEnd } from './journal.ts';
import { journalKeyOf, type RunKey } from './layout.ts';
import type { RunProgress } from './runs.ts';

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
  return join(workDirectory, 'ledger', `${target}-${name}.json`);
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

/** Undefined when there is none, or none for this server and database. */
export async function findLocalRecord(
  place: RecordPlace,
  reader: { readonly database: string; readonly identity: ServerIdentity },
): Promise<FoundRecord | undefined> {
  const names = [journalKeyOf(place.key), ...(place.isMigrated ? [place.key.selection] : [])];
  for (const name of names) {
    const path = pathFor(place, name);
    const record = await read(path, place.key);
    if (record?.server === reader.identity.id && record.database === reader.database) return { path, record };
  }
  return undefined;
}

async function read(path: string, { plan, selection }: RunKey): Promise<LocalRecord | OldRecord | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const record = parse(text);
  const isOurs =
    record?.format === 2
      ? record.key?.plan === plan && record.key.selection === selection
      : record?.format === 1 && record.digest === selection;
  if (record === undefined || !isOurs || !Array.isArray(record.batches)) {
    throw new RestorePlanError('TARGET', `the local ledger record ${path} is damaged or of a newer version`, {
      hint: 'Remove the file and run again: what it held is found out by comparing every document with the target.',
    });
  }
  return record;
}

export async function removeLocalRecord(path: string): Promise<void> {
  await rm(path, { force: true });
}

function parse(text: string): LocalRecord | OldRecord | undefined {
  try {
    return JSON.parse(text) as LocalRecord | OldRecord;
  } catch {
    return undefined;
  }
}
