/** How ledger documents are written: at majority, repeated while faults are transient, so every write must be idempotent. */
import { RestorePlanError } from '../errors.ts';
import { type Reply, readWriteFaults } from '../mongo/raw-messages.ts';
import { type Command, type Commands, MAJORITY } from '../target/commands.ts';

const DUPLICATE_KEY = 11000;

/** Times are taken by the server's clock, so that leases and records of several machines can be compared. */
export const SERVER_NOW = '$$NOW';

/** Inside a pipeline update a plain value would be read as an expression. */
export function literal(value: unknown): { readonly $literal: unknown } {
  return { $literal: value };
}

export interface LedgerUpdate {
  readonly collection: string;
  readonly filter: Readonly<Record<string, unknown>>;
  readonly pipeline: readonly Readonly<Record<string, unknown>>[];
  readonly upsert?: boolean;
  readonly multi?: boolean;
}

/** Number of documents matched or inserted. Of two upserts at once, one may meet the other's document: it counts none. */
export async function updateLedger(commands: Commands, update: LedgerUpdate): Promise<number> {
  const reply = await patiently(commands, {
    update: update.collection,
    updates: [
      { q: update.filter, u: update.pipeline, upsert: update.upsert ?? false, multi: update.multi ?? false },
    ],
    writeConcern: MAJORITY,
  });
  requireNoFault(reply);
  return Number(reply['n']);
}

/** False when a document of that `_id` is there already: an earlier attempt whose reply was lost, or somebody else's. */
export async function insertIntoLedger(
  commands: Commands,
  collection: string,
  document: Readonly<Record<string, unknown>>,
): Promise<boolean> {
  return (await insertAllIntoLedger(commands, collection, [document])) === 1;
}

/** How many were not there yet. */
export async function insertAllIntoLedger(
  commands: Commands,
  collection: string,
  documents: readonly object[],
): Promise<number> {
  const reply = await patiently(commands, {
    insert: collection,
    documents,
    ordered: false,
    writeConcern: MAJORITY,
  });
  requireNoFault(reply);
  return Number(reply['n']);
}

/** All that match. */
export async function deleteFromLedger(
  commands: Commands,
  collection: string,
  filter: Readonly<Record<string, unknown>>,
): Promise<void> {
  const reply = await patiently(commands, {
    delete: collection,
    deletes: [{ q: filter, limit: 0 }],
    writeConcern: MAJORITY,
  });
  requireNoFault(reply);
}

function requireNoFault(reply: Reply): void {
  const fault = readWriteFaults(reply).find(({ code }) => code !== DUPLICATE_KEY);
  if (fault === undefined) return;
  throw new RestorePlanError('TARGET', `the server refused to write the ledger (code ${fault.code})`, {
    hint: 'Nothing may restrict the restore_plan collections: look for validators or disk quotas on them.',
  });
}

function patiently(commands: Commands, command: Command): Promise<Reply> {
  return commands.runPatiently('writing the ledger', command);
}
