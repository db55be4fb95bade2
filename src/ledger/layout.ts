/**
 * Where the ledger lies: three collections inside the target's own database, so that it cannot be mixed up with another. Which
 * of its documents this version must not act upon, and how they are written.
 */

import { createHash } from 'node:crypto';
import { advice, type Remedy } from '../advice.ts';
import { RestorePlanError } from '../errors.ts';
import { type Reply, readWriteFaults } from '../mongo/raw-messages.ts';
import { type Command, type Commands, MAJORITY } from '../target/commands.ts';
import { documentSequence } from '../target/driver-internals.ts';

export const RUNS = 'restore_plan.runs';
export const JOURNAL = 'restore_plan.journal';
export const LOCK = 'restore_plan.lock';

/** Format of every ledger document. A higher number was written by a newer version of this tool. */
export const LEDGER_FORMAT = 2;
export type LedgerFormat = 1 | 2;

/** Whose record it is: one plan, by its name, and one selection, by its digest. */
export interface RunKey {
  readonly plan: string;
  readonly selection: string;
}

/** What the `_id`s of a run's journal begin with: sha256 of the plan's name (hex), a dot, the selection's digest. */
export function journalKeyOf({ plan, selection }: RunKey): string {
  return `${createHash('sha256').update(plan).digest('hex')}.${selection}`;
}

/** The document's format. Throws TARGET when it is a newer one, or none. `where` is the collection's name. */
export function requireKnownFormat(where: string, document: Readonly<Record<string, unknown>>): LedgerFormat {
  const format = document['format'];
  if (typeof format === 'number' && Number.isInteger(format) && format > LEDGER_FORMAT) {
    throw new RestorePlanError(
      'TARGET',
      `${where} was written by a newer version of restore-plan (format ${format})`,
      { hint: `This version reads formats up to ${LEDGER_FORMAT}. Run again with the newer version.` },
    );
  }
  if (format === 1 || format === LEDGER_FORMAT) return format;
  throw damaged(where, document, 'format');
}

/** Numbers of the lock lie below: what is higher was written by somebody else, and would leave no room to count on. */
export const FENCING_END = 2 ** 52;

export const isFencing = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < FENCING_END;

/** A document whose `field` is not what this tool writes there. */
export function damaged(
  where: string,
  document: Readonly<Record<string, unknown>>,
  field: string,
): RestorePlanError {
  const { _id } = document;
  const id = typeof _id === 'string' ? _id : JSON.stringify(_id);
  return new RestorePlanError('TARGET', `${where} is damaged: document ${id} has no valid ${field}`, {
    hint: wayOut(where, field),
    facts: { where, id, field },
  });
}

function wayOut(where: string, field: string): Remedy {
  if (where === LOCK) {
    return `Somebody may have edited it by hand. Make sure that no run is at work, then remove the document: \`db.getCollection('${LOCK}').deleteOne({ _id: 'lock' })\`. The next run makes it anew, with a number above those in ${RUNS}.`;
  }
  if (where === RUNS && field === 'fencing') {
    return `Somebody may have edited it by hand. Set it to the highest fencing of the other documents of ${RUNS} and 1 more, or to 1 where it is the only one: by this number runs are put in order, the newest last. Then run again.`;
  }
  return advice`Somebody may have edited it by hand; put it back from a backup of that collection. If that is impossible, remove the document and run ${{ command: 'apply' }} again: it compares every document with the target and records them anew.`;
}

// How ledger documents are written: at majority, repeated while faults are transient, so every write must be idempotent.

const DUPLICATE_KEY = 11000;

/** Times are taken by the server's clock, so that leases and records of several machines can be compared. */
export const SERVER_NOW = '$$NOW';

/** Inside a pipeline update a plain value would be read as an expression. */
export function literal(value: unknown): { readonly $literal: unknown } {
  return { $literal: value };
}

interface LedgerUpdate {
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

/** One document, byte for byte; nothing where one of its `_id` is there. */
export async function insertRawIntoLedger(
  commands: Commands,
  collection: string,
  document: Buffer,
): Promise<void> {
  await insertAllIntoLedger(commands, collection, documentSequence('documents', document));
}

/** How many were not there yet. */
export async function insertAllIntoLedger(
  commands: Commands,
  collection: string,
  documents: readonly object[] | object,
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

/** A server keeps times that no `Date` can hold. */
export const isDate = (value: unknown): value is Date =>
  value instanceof Date && !Number.isNaN(value.getTime());
