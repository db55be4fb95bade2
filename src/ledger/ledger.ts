/**
 * The ledger of one target database: what was done there, by whom, and who is doing something now.
 * Also what becomes of an older ledger, and of what could not be written to it. Only apply, revert, approve and unlock open it; everybody else reads runs through a TargetReader (`readRuns`).
 */
import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { deserialize } from 'bson';
import { DocumentBuilder } from '../bson/document-builder.ts';
import { elements } from '../bson/elements.ts';
import { BSON } from '../bson/types.ts';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import { makeDirectory, PRIVATE_FILE } from '../files.ts';
import { rawDocument, readCursor } from '../mongo/raw-messages.ts';
import { trusted } from '../selection/directory.ts';
import type { Command, Commands } from '../target/commands.ts';
import { accessTo, type ServerIdentity, type Target } from '../target/target.ts';
import { AcceptedWrites } from './accepted.ts';
import { type BatchEnd, Journal } from './journal.ts';
import {
  insertAllIntoLedger,
  JOURNAL,
  journalKeyOf,
  LEDGER_FORMAT,
  RUNS,
  type RunKey,
  updateLedger,
} from './layout.ts';
import { acquireLock, breakLock, type Lease, type LockOptions, notHeldBy, requireNotAlive } from './lock.ts';
import type { LockHolder } from './lock-state.ts';
import type { Actor } from './run-record.ts';
import { idOf, type RunProgress, Runs } from './runs.ts';

export interface Ledger {
  readonly runs: Runs;
  readonly accepted: AcceptedWrites;
  /** `key`: `RunRecord.journalKey`. */
  journal(key: string): Journal;
  lock(holder: LockHolder, options?: LockOptions): Promise<Lease>;
  /** Takes the lock from a holder that is known to be dead. Throws LOCKED where its process lives on this machine, and where it does not hold it. */
  unlock(holderName: string): Promise<void>;
  /** For whoever holds the lock: brings the runs of a plan of this name into the newest format. */
  migrateUnderLock(plan: string, lease: Lease): Promise<void>;
  /** The same for whoever does not; takes the lock where there is something to do, and nowhere else. */
  migrate(plan: string, actor: Actor): Promise<void>;
}

export function openLedger(target: Target): Ledger {
  const { commands } = accessTo(target);
  return {
    runs: new Runs(commands),
    accepted: new AcceptedWrites(commands),
    journal: (key) => new Journal(commands, key),
    lock: (holder, options) => acquireLock(commands, holder, options),
    unlock: async (holderName) => {
      await requireNotAlive(commands, holderName);
      if (!(await breakLock(commands, holderName))) throw await notHeldBy(commands, holderName);
    },
    migrateUnderLock: (plan, lease) => migrateRuns(commands, plan, lease),
    migrate: async (plan, { user, host }) => {
      if (!(await hasOldRuns(commands, plan))) return;
      const token = randomBytes(12).toString('hex');
      const lease = await acquireLock(commands, { name: `${user}@${host}`, token, command: 'migrate' });
      try {
        await migrateRuns(commands, plan, lease);
      } finally {
        await lease.release();
      }
    },
  };
}

// Brings runs of format 1 into format 2, under the lock: the record first, as a copy that says that its journal is still to come;
// then the journal; then the copy says that it is complete. What is copied stays where it was. A document that is there already
// was copied by an attempt that was cut off, so every step may be repeated.
//
// Taking the lock has raised the format of its document, so no older program writes to the originals meanwhile.

/** Documents of the journal in one read, fewer where they are large: a reply holds 16 MiB. */
const COPIED_AT_ONCE = 100;

/** Whether a plan of this name has a run in format 1 that was not copied whole. */
async function hasOldRuns(commands: Commands, plan: string): Promise<boolean> {
  return (await oldRuns(commands, plan)).length > 0;
}

export async function migrateRuns(commands: Commands, plan: string, lease: Lease): Promise<void> {
  for (const selection of await oldRuns(commands, plan)) {
    const key = { plan, selection };
    await lease.ensure();
    const [raw] = await find(commands, { find: RUNS, filter: { _id: selection }, limit: 1 });
    if (raw === undefined) continue;
    const copy = { ...deserialize(raw), _id: idOf(key), format: LEDGER_FORMAT, journalCopied: false };
    await insertAllIntoLedger(commands, RUNS, [copy]);
    await copyJournal(commands, key, lease);
    await updateLedger(commands, {
      collection: RUNS,
      filter: { _id: idOf(key), journalCopied: false },
      pipeline: [{ $set: { journalCopied: true } }],
    });
  }
}

/** The digests of their selections. A run whose copy is complete, or that was begun anew in format 2, is left out. */
async function oldRuns(commands: Commands, plan: string): Promise<string[]> {
  const ids = async (filter: Readonly<Record<string, unknown>>): Promise<unknown[]> => {
    const found = await find(commands, { find: RUNS, filter, projection: { _id: 1 } });
    return found.map((raw) => deserialize(raw)['_id']);
  };
  const old = (await ids({ format: 1, 'plan.name': plan })) as string[];
  if (old.length === 0) return [];
  const there = await ids({ format: LEDGER_FORMAT, '_id.plan': plan, journalCopied: { $ne: false } });
  const done = new Set((there as RunKey[]).map(({ selection }) => selection));
  return old.filter((selection) => !done.has(selection));
}

/** Entries and images under the new key, the bytes of all other fields as they are. */
async function copyJournal(commands: Commands, key: RunKey, lease: Lease): Promise<void> {
  const from = key.selection;
  const to = journalKeyOf(key);
  for (let after = `${from}:`; ; ) {
    const page = await find(commands, {
      find: JOURNAL,
      filter: { _id: { $gt: after, $lt: `${from};` } },
      sort: { _id: 1 },
      limit: COPIED_AT_ONCE,
    });
    const last = page.at(-1);
    if (last === undefined) return;
    await lease.ensure();
    await insertAllIntoLedger(
      commands,
      JOURNAL,
      page.map((raw) => rawDocument(withId(raw, to + idText(raw).slice(from.length)))),
    );
    after = idText(last);
  }
}

function idText(raw: Buffer): string {
  const [id] = elements(raw);
  if (id === undefined) throw new TypeError('a stored document starts with its _id');
  return raw.toString('utf8', id.start + 4, id.end - 1);
}

function withId(raw: Buffer, text: string): Buffer {
  const [id] = elements(raw);
  const builder = new DocumentBuilder();
  const start = builder.beginDocument();
  builder.element(BSON.STRING, '_id');
  builder.string(text);
  builder.raw(raw.subarray(id?.end, raw.length - 1));
  builder.endDocument(start);
  return builder.finish();
}

async function find(commands: Commands, command: Command): Promise<Buffer[]> {
  const reply = await commands.runPatiently('reading the ledger', {
    ...command,
    batchSize: 100_000,
    singleBatch: true,
    readConcern: { level: 'majority' },
  });
  return readCursor(reply).documents;
}

// What could not be written to the ledger although documents went in, kept on this machine until the next run adopts it.
// One file per target and run in the work directory, mode 0600; no document data beyond positions and counts.

const RECORDS_FOLDER = 'ledger';
/** Of a million documents that were left alone it has some 10 MB. */
const MOST_RECORD_BYTES = 64 * 1024 * 1024;

interface LocalRecord {
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

interface RecordPlace {
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
  await makeDirectory(dirname(path));
  const file = await open(`${path}.new`, 'w', PRIVATE_FILE);
  try {
    await file.writeFile(`${JSON.stringify(record, undefined, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
  return path;
}

interface FoundRecord {
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
