/** What a target's ledger says, read without a write: for the gate, for status, for a dry-run. */
import { EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import type { Plan } from '../plan/plan.ts';
import type { ServerIdentity, TargetReader } from '../target/target.ts';
import { journalKeyOf, RUNS } from './layout.ts';
import { type RecordedServer, type RunRecord, readRunRecord } from './run-record.ts';

/** More selections than anybody restores into one database. */
const MOST_RUNS = 100_000;

/**
 * All runs ever recorded in this database, also of other plans and foreign ones; the one that was last applied or reverted first.
 * A record of format 1 whose copy is there is left out. Throws RestorePlanError TARGET when one is newer than this version or
 * damaged.
 */
export async function readRuns(reader: TargetReader): Promise<RunRecord[]> {
  const documents = await reader.find(RUNS, EMPTY_DOCUMENT, { limit: MOST_RUNS });
  const runs = documents.map(readRunRecord);
  const copied = new Set(runs.filter(({ format }) => format > 1).map(({ key }) => journalKeyOf(key)));
  return runs.filter(({ format, key }) => format > 1 || !copied.has(journalKeyOf(key))).sort(newestFirst);
}

/** Every run takes a higher fencing number than all before it in this database, whatever the clocks say. */
function newestFirst(a: RunRecord, b: RunRecord): number {
  return b.fencing - a.fencing || b.updatedAt.getTime() - a.updatedAt.getTime();
}

/**
 * The runs of a plan, newest first, without foreign ones.
 * `runs`: as `readRuns` gives them.
 */
export function runsOfPlan(
  runs: readonly RunRecord[],
  plan: Pick<Plan, 'name'>,
  here: LedgerPlace,
): RunRecord[] {
  return runs.filter((run) => run.key.plan === plan.name && !isForeign(run, here));
}

/**
 * The record that a command means which is given a plan and no selection: the newest run of this very plan, or else of a plan
 * of this name. Undefined when there is none.
 */
export async function runOfPlan(
  reader: TargetReader,
  plan: Pick<Plan, 'name' | 'digest'>,
): Promise<RunRecord | undefined> {
  return runMeant(await readRuns(reader), plan, reader);
}

/** The same among runs that were read. */
export function runMeant(
  runs: readonly RunRecord[],
  plan: Pick<Plan, 'name' | 'digest'>,
  here: LedgerPlace,
): RunRecord | undefined {
  const own = runsOfPlan(runs, plan, here);
  return own.find((run) => run.plan.digest === plan.digest) ?? own[0];
}

/** A database, as whoever reads its ledger knows it. */
export interface LedgerPlace {
  readonly database: string;
  readonly identity: ServerIdentity;
}

/**
 * Whether a record was written in another database and came here with a copy of it, as when a staging is refreshed from
 * production. Only where the record says enough: one of format 1, or of a standalone, is not by its server alone.
 */
export function isForeign(
  { server }: Pick<RunRecord, 'server'>,
  { database, identity }: LedgerPlace,
): boolean {
  if (server === undefined) return false;
  const here = recordedServer({ database, identity });
  if (server.database !== here.database) return true;
  if (server.id === undefined) return false;
  if (server.kind !== here.kind) return true;
  if (here.id === undefined) return false;
  const [name, setId] = server.id.split('/');
  const [nameHere, setIdHere] = here.id.split('/');
  return setId === undefined || setIdHere === undefined ? name !== nameHere : setId !== setIdHere;
}

/** What a record keeps of the server that it is written in. */
export function recordedServer({ database, identity }: LedgerPlace): RecordedServer {
  const { kind, id, exact } = identity;
  const outlivesProcess = kind === 'replica set' || (kind === 'sharded cluster' && exact);
  return { kind, id: outlivesProcess ? id : undefined, database };
}
