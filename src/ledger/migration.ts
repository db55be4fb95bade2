/**
 * Brings runs of format 1 into format 2, under the lock: the record first, as a copy that says that its journal is still to come;
 * then the journal; then the copy says that it is complete. What is copied stays where it was. A document that is there already
 * was copied by an attempt that was cut off, so every step may be repeated.
 *
 * Taking the lock has raised the format of its document, so no older program writes to the originals meanwhile.
 */
import { deserialize } from 'bson';
import { DocumentBuilder } from '../bson/document-builder.ts';
import { elements } from '../bson/elements.ts';
import { BSON } from '../bson/types.ts';
import { rawDocument, readCursor } from '../mongo/raw-messages.ts';
import type { Command, Commands } from '../target/commands.ts';
import { JOURNAL, journalKeyOf, LEDGER_FORMAT, RUNS, type RunKey } from './layout.ts';
import { insertAllIntoLedger, updateLedger } from './ledger-writes.ts';
import type { Lease } from './lock.ts';
import { idOf } from './runs.ts';

/** Documents of the journal in one read, fewer where they are large: a reply holds 16 MiB. */
const COPIED_AT_ONCE = 100;

/** Whether a plan of this name has a run in format 1 that was not copied whole. */
export async function hasOldRuns(commands: Commands, plan: string): Promise<boolean> {
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
