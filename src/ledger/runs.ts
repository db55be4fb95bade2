/**
 * Writes and reads `restore_plan.runs`. Every write is conditional on the fencing number: a run that lost the lock cannot speak
 * for it.
 */

import { advice } from '../advice.ts';
import { EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import { readCursor } from '../mongo/raw-messages.ts';
import type { Plan } from '../plan/plan.ts';
import type { Commands } from '../target/commands.ts';
import type { TargetReader } from '../target/target.ts';
import {
  deleteFromLedger,
  journalKeyOf,
  LEDGER_FORMAT,
  literal,
  RUNS,
  type RunKey,
  SERVER_NOW,
  updateLedger,
} from './layout.ts';
import {
  type Actor,
  type ApprovalScope,
  type Creation,
  type RecordedGate,
  type RecordedServer,
  type RecordedSource,
  type RunCollection,
  type RunRecord,
  type RunStatus,
  readRunRecord,
} from './run-record.ts';

/** What is known when a run begins. */
export interface RunStart {
  readonly key: RunKey;
  readonly target: TargetName;
  readonly toolVersion: string;
  readonly planDigest: string;
  readonly server: RecordedServer;
  readonly source: RecordedSource;
  readonly gate: RecordedGate;
  readonly backup: RunRecord['backup'];
  readonly actor: Actor;
  /** The actor gave the word that nobody else writes meanwhile. */
  readonly exclusive: boolean;
}

export interface RunProgress {
  readonly status: RunStatus;
  readonly collections?: readonly RunCollection[];
  /** Of a reverted run: documents that were left alone. */
  readonly left?: number;
  /** Who gave the word that nobody else writes meanwhile. */
  readonly exclusive?: Actor | undefined;
}

export class Runs {
  readonly #commands: Commands;

  constructor(commands: Commands) {
    this.#commands = commands;
  }

  /** Also one of format 1, as long as it has no copy. */
  async find(key: RunKey): Promise<RunRecord | undefined> {
    const reply = await this.#commands.runPatiently('reading the ledger', {
      find: RUNS,
      filter: { $or: [{ _id: idOf(key) }, { _id: key.selection, 'plan.name': key.plan }] },
      limit: 2,
      readConcern: { level: 'majority' },
    });
    const found = readCursor(reply).documents.map(readRunRecord);
    return found.find(({ format }) => format > 1) ?? found[0];
  }

  /** Records that an apply begins, or goes on. */
  async begin(start: RunStart, fencing: number, collections: readonly RunCollection[]): Promise<void> {
    // By an attempt whose reply was lost: what this one finds is what that one has kept.
    const isBegun = { $eq: ['$fencing', fencing] };
    const isStillVerified = { $or: [isBegun, WAS_VERIFIED] };
    await this.#update(start.key, fencing, {
      upsert: true,
      fields: {
        format: LEDGER_FORMAT,
        target: literal(start.target),
        toolVersion: literal(start.toolVersion),
        plan: literal({ name: start.key.plan, digest: start.planDigest }),
        server: literal(withoutNone(start.server)),
        source: literal(start.source),
        gate: literal({ ...start.gate, fencing }),
        backup: literal(start.backup),
        status: 'applying' satisfies RunStatus,
        appliedBy: { $cond: [isBegun, '$appliedBy', oneMore('appliedBy', start.actor)] },
        ...(start.exclusive && {
          exclusive: { $cond: [isBegun, '$exclusive', oneMore('exclusive', start.actor)] },
        }),
        startedAt: { $cond: [IS_PLANNED, SERVER_NOW, { $ifNull: ['$startedAt', SERVER_NOW] }] },
        collections: {
          $cond: [IS_TO_BEGIN, literal(collections), { $ifNull: ['$collections', literal(collections)] }],
        },
        creations: { $ifNull: ['$creations', []] },
        left: '$$REMOVE',
        // What was approved and soaked is a verified run; one that was cut off has to be verified again first. In production it is
        // what was accepted there.
        approvals: { $cond: [isStillVerified, '$approvals', OF_PRODUCTION] },
        verifiedAt: { $cond: [isStillVerified, '$verifiedAt', '$$REMOVE'] },
        followUps: { $cond: [WAS_TAKEN_BACK, STARTED_FOLLOW_UPS, { $ifNull: ['$followUps', []] }] },
      },
    });
  }

  /** A record for what is to be accepted before anything is applied; one that is there stays as it is. */
  async plan(start: RunStart, fencing: number, collections: readonly RunCollection[]): Promise<void> {
    const unlessThere = (field: string, value: unknown) => ({ $ifNull: [`$${field}`, value] });
    await this.#update(start.key, fencing, {
      upsert: true,
      fields: {
        format: LEDGER_FORMAT,
        target: unlessThere('target', literal(start.target)),
        toolVersion: literal(start.toolVersion),
        plan: unlessThere('plan', literal({ name: start.key.plan, digest: start.planDigest })),
        server: unlessThere('server', literal(withoutNone(start.server))),
        source: unlessThere('source', literal(start.source)),
        gate: unlessThere('gate', literal(start.gate)),
        backup: unlessThere('backup', literal(start.backup)),
        status: unlessThere('status', 'planned' satisfies RunStatus),
        appliedBy: unlessThere('appliedBy', []),
        startedAt: unlessThere('startedAt', SERVER_NOW),
        collections: unlessThere('collections', literal(collections)),
        creations: unlessThere('creations', []),
        approvals: unlessThere('approvals', []),
        followUps: unlessThere('followUps', []),
      },
    });
  }

  /** How many documents are accepted by now, and which; undefined for none. */
  async saveAccepted(
    key: RunKey,
    fencing: number,
    accepted: { readonly count: number; readonly digest: string; readonly by: Actor } | undefined,
  ): Promise<void> {
    await this.#update(key, fencing, {
      fields: {
        accepted: accepted?.count ?? '$$REMOVE',
        acceptedDigest: accepted?.digest ?? '$$REMOVE',
        acceptedBy: accepted === undefined ? '$$REMOVE' : oneMore('acceptedBy', accepted.by),
      },
    });
  }

  async save(key: RunKey, fencing: number, progress: RunProgress): Promise<void> {
    await this.#update(key, fencing, {
      fields: {
        status: progress.status,
        ...(progress.collections && { collections: literal(progress.collections) }),
        ...(progress.left !== undefined && { left: progress.left }),
        ...(progress.exclusive && { exclusive: oneMore('exclusive', progress.exclusive) }),
        ...(progress.status === 'verified' && { verifiedAt: { $ifNull: ['$verifiedAt', SERVER_NOW] } }),
      },
    });
  }

  /** Before the first document is written: an earlier verification, and approvals of it, no longer hold. */
  async reopen(key: RunKey, fencing: number): Promise<void> {
    await this.#update(key, fencing, { fields: { approvals: OF_PRODUCTION, verifiedAt: '$$REMOVE' } });
  }

  /**
   * Before documents are taken out that these runs have verified, too: they have to be verified again. Their place among the runs
   * stays as it is.
   */
  async withdrawVerified(runs: readonly Pick<RunRecord, 'key'>[]): Promise<void> {
    for (const { key } of runs) {
      await updateLedger(this.#commands, {
        collection: RUNS,
        filter: { _id: idOf(key), status: 'verified' satisfies RunStatus },
        pipeline: [{ $set: { status: 'applied' satisfies RunStatus, verifiedAt: '$$REMOVE' } }],
      });
    }
  }

  /** Takes a record out; for a foreign one, whose own database has it still. */
  async discard(key: RunKey): Promise<void> {
    await deleteFromLedger(this.#commands, RUNS, { _id: idOf(key) });
  }

  /** Before a collection is created, and after: a rerun finishes what was cut off and leaves the indexes of others alone. */
  async saveCreations(key: RunKey, fencing: number, creations: readonly Creation[]): Promise<void> {
    await this.#update(key, fencing, { fields: { creations: literal(creations) } });
  }

  /** False when there is no verified run in staging to approve; in production, nothing that was accepted. */
  async approve(key: RunKey, actor: Actor, of?: ApprovalScope): Promise<boolean> {
    const scope = of === undefined ? {} : { of: literal({ ...of, ...withServer(of) }) };
    const matched = await updateLedger(this.#commands, {
      collection: RUNS,
      filter: { _id: idOf(key), $or: [{ status: 'verified' }, IS_ACCEPTED_IN_PRODUCTION] },
      pipeline: [
        { $set: { approvals: { $concatArrays: ['$approvals', [{ ...deedNow(actor), ...scope }]] } } },
      ],
    });
    return matched === 1;
  }

  async #update(
    key: RunKey,
    fencing: number,
    { fields, upsert = false }: { fields: Record<string, unknown>; upsert?: boolean },
  ): Promise<void> {
    const matched = await updateLedger(this.#commands, {
      collection: RUNS,
      filter: { _id: idOf(key), fencing: { $not: { $gt: fencing } } },
      pipeline: [{ $set: { ...fields, fencing, updatedAt: SERVER_NOW } }],
      upsert,
    });
    if (matched === 1) return;
    if (!(await this.#isThere(key))) throw recordLost(this.#commands.target);
    throw new RestorePlanError(
      'LOCKED',
      `${this.#commands.target}: this run lost the lock: another one has written the record of this selection`,
      { hint: 'Wait for the other run to end, then run again.' },
    );
  }

  async #isThere(key: RunKey): Promise<boolean> {
    const reply = await this.#commands.runPatiently('reading the ledger', {
      find: RUNS,
      filter: { _id: idOf(key) },
      projection: { _id: 1 },
      limit: 1,
      readConcern: { level: 'majority' },
    });
    return readCursor(reply).documents.length > 0;
  }
}

function recordLost(target: TargetName): RestorePlanError {
  return new RestorePlanError(
    'TARGET',
    `${target}: ${RUNS} has lost the record of this selection: it was dropped, renamed or emptied meanwhile`,
    {
      hint: advice`Put it back if it can be had. If not, run ${{ command: 'apply', target }}: it makes the record anew, by what the journal names; without it nothing is reverted.`,
      facts: { target, lost: RUNS },
    },
  );
}

/** Nobody else has it: there is no record any more. */
export function isRecordLost(error: unknown): boolean {
  return error instanceof RestorePlanError && error.facts['lost'] === RUNS;
}

const IS_PLANNED = { $eq: ['$status', 'planned' satisfies RunStatus] };
const IS_TO_BEGIN = {
  $in: ['$status', ['planned', 'reverting', 'reverted'] satisfies RunStatus[]],
};
const WAS_TAKEN_BACK = { $in: ['$status', ['reverting', 'reverted'] satisfies RunStatus[]] };

/** What was done after the documents were restored has to be done again once they are restored again; what is going on goes on. */
const STARTED_FOLLOW_UPS = {
  $filter: { input: '$followUps', as: 'item', cond: { $eq: ['$$item.state', 'started'] } },
};

const PRODUCTION: TargetName = 'production';
const IS_ACCEPTED_IN_PRODUCTION = { target: PRODUCTION, acceptedDigest: { $exists: true } };
const OF_PRODUCTION = { $cond: [{ $eq: ['$target', PRODUCTION] }, { $ifNull: ['$approvals', []] }, []] };

const WAS_VERIFIED = { $eq: ['$status', 'verified' satisfies RunStatus] };

/** Fields in one order: the server compares documents field by field. */
export function idOf({ plan, selection }: RunKey): RunKey {
  return { plan, selection };
}

/** The driver would write null for a field that is undefined. */
function withoutNone(server: RecordedServer): Partial<RecordedServer> {
  const { kind, id, database } = server;
  return id === undefined ? { kind, database } : { kind, id, database };
}

/** The same for where the database lay. */
function withServer({ server }: ApprovalScope): { readonly server?: Partial<RecordedServer> } {
  return server === undefined ? {} : { server: withoutNone(server) };
}

function oneMore(field: 'acceptedBy' | 'appliedBy' | 'exclusive', actor: Actor): Record<string, unknown> {
  return { $concatArrays: [{ $ifNull: [`$${field}`, []] }, [deedNow(actor)]] };
}

/** Somebody, and the time by the server's clock, inside a pipeline update. */
export function deedNow(actor: Actor): Record<string, unknown> {
  const { user, host, serverUser } = actor;
  return {
    user: literal(user),
    host: literal(host),
    ...(serverUser !== undefined && { serverUser: literal(serverUser) }),
    at: SERVER_NOW,
  };
}

// From here on read without a write: for the gate, for status, for a dry-run.

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
  here: Pick<TargetReader, 'database' | 'identity'>,
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
  here: Pick<TargetReader, 'database' | 'identity'>,
): RunRecord | undefined {
  const own = runsOfPlan(runs, plan, here);
  return own.find((run) => run.plan.digest === plan.digest) ?? own[0];
}

/**
 * Whether a record was written in another database and came here with a copy of it, as when a staging is refreshed from
 * production. Only where the record says enough: one of format 1, or of a standalone, is not by its server alone.
 */
export function isForeign(
  { server }: Pick<RunRecord, 'server'>,
  { database, identity }: Pick<TargetReader, 'database' | 'identity'>,
): boolean {
  return server !== undefined && isElsewhere(server, recordedServer({ database, identity }));
}

/** Whether a database that was recorded is another one than that which is here, as far as both say. */
export function isElsewhere(then: RecordedServer, here: RecordedServer): boolean {
  if (then.database !== here.database) return true;
  if (then.id === undefined) return false;
  if (then.kind !== here.kind) return true;
  if (here.id === undefined) return false;
  const [name, setId] = then.id.split('/');
  const [nameHere, setIdHere] = here.id.split('/');
  return setId === undefined || setIdHere === undefined ? name !== nameHere : setId !== setIdHere;
}

/** What a record keeps of the server that it is written in. */
export function recordedServer({
  database,
  identity,
}: Pick<TargetReader, 'database' | 'identity'>): RecordedServer {
  const { kind, id, exact } = identity;
  const outlivesProcess = kind === 'replica set' || (kind === 'sharded cluster' && exact);
  return { kind, id: outlivesProcess ? id : undefined, database };
}
