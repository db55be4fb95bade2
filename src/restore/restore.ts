/**
 * One plan, and what can be done with it: the same steps as the commands, in the same order and behind the same gate.
 *
 * What a step needs, it makes: the first one that needs the documents selects them, connections are kept until `close`.
 */

import { resolve } from 'node:path';
import { advice } from '../advice.ts';
import {
  type Acceptance,
  type AcceptRequest,
  type ApprovedRun,
  acceptAtHand,
  approveRun,
  leftOutOf,
  withdrawAccepted,
} from '../apply/accept.ts';
import { checkGate } from '../apply/admission.ts';
import type { ApplyRequest } from '../apply/apply-run.ts';
import { type ApplyResult, applySelection } from '../apply/apply-selection.ts';
import type { GateVerdict } from '../apply/gate.ts';
import { type TargetStatus, targetStatus } from '../apply/restore-status.ts';
import { previewRevert, type RevertRequest, revertPlan } from '../apply/revert.ts';
import type { RevertReport } from '../apply/revert-entry.ts';
import { type Verification, verifyRestore } from '../apply/verify-selection.ts';
import type { Backup } from '../backup/backup.ts';
import { type BackupListing, listBackups } from '../backup/list-backups.ts';
import { openBackup } from '../backup/open-backup.ts';
import { type RemotePatience, USUAL_PATIENCE } from '../backup/remote/patience.ts';
import { type CompareRequest, compareWithTarget } from '../comparison/compare-with-target.ts';
import type { TargetComparison } from '../comparison/comparison.ts';
import { TargetMemory } from '../comparison/target-memory.ts';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import { type FollowUpStatus, followUpStatuses, restoresOf } from '../follow-ups/follow-up-status.ts';
import { runFollowUps, tickOff } from '../follow-ups/run-follow-ups.ts';
import { lostTogether } from '../follow-ups/suggestions/lost-together.ts';
import { refuseProposals } from '../follow-ups/suggestions/suggestion.ts';
import type { RunKey } from '../ledger/layout.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { RunRecord } from '../ledger/run-record.ts';
import { isForeign, readRuns, runOfPlan, runsOfPlan } from '../ledger/runs.ts';
import { planFailure } from '../plan/fault.ts';
import type { Environment } from '../plan/interpolate.ts';
import { collectionNames, type Plan } from '../plan/plan.ts';
import { type PlanReading, type ReadPlanOptions, readPlan } from '../plan/read-plan.ts';
import { isStored } from '../plan/sources/sources.ts';
import { operator, type Run, runIn } from '../run.ts';
import { keptSelection } from '../selection/open-selection.ts';
import { type PrepareRequest, prepareSelection } from '../selection/select-documents.ts';
import type { Selection } from '../selection/selection.ts';
import type { ServerIdentity, Target } from '../target/target.ts';
import { requireVariables, type TargetPair, Targets } from './targets.ts';

/** A run, and what a plan takes from the machine that it is carried out on. */
export interface Surroundings extends Run {
  /** Values of the plan's `${VARIABLE}`s, and what commands of follow-ups are handed of. */
  readonly env: Environment;
  /** Who does it, for the ledger: as the operating system says. */
  readonly operator: { readonly user: string; readonly host: string };
  /** Tells the holder of a lock from others of the same person. */
  readonly processId: number;
  /** How long a store is waited for. */
  readonly patience: RemotePatience;
  /** How many threads read a backup, at most; one for each core where nothing is said. */
  readonly threads?: number;
}

/**
 * Reads and checks a plan file. Throws RestorePlanError PLAN_INVALID with every fault; `facts.faults` lists them. Variables that are not
 * set are faults of the step that needs them. `workDirectory` keeps selections and local records; it and `file`, where they are relative, lie in `cwd`.
 * What is not given is quiet, or as usual.
 */
export async function openRestore(
  file: string,
  given: Pick<Surroundings, 'workDirectory' | 'env'> & Partial<Surroundings> & Pick<ReadPlanOptions, 'cwd'>,
): Promise<Restore> {
  const { cwd = '' } = given;
  const usual = { operator: operator(), processId: process.pid, patience: USUAL_PATIENCE };
  const run: Surroundings = { ...usual, env: given.env, ...runIn(resolve(cwd, given.workDirectory), given) };
  const reading = await readPlan(file, { cwd, env: run.env, now: run.now(), refuseFuture: true });
  const restore = Restore.of(run, reading);
  run.emit({ type: 'plan-read', name: restore.plan.name, digest: restore.plan.digest });
  return restore;
}

const ACCEPT_KEPT =
  'gate.acceptKept: production opens also after a staging run in which every document was kept, so that nothing was verified there';

export class Restore {
  readonly plan: Plan;
  readonly #run: Surroundings;
  readonly #targets: Targets;
  #selection: Selection | undefined;

  private constructor(run: Surroundings, plan: Plan) {
    this.plan = plan;
    this.#run = run;
    this.#targets = new Targets(run, plan);
  }

  /** Throws PLAN_INVALID with every fault. */
  static of(run: Surroundings, { plan, faults, notes }: PlanReading): Restore {
    if (plan === undefined) throw planFailure(faults, notes);
    if (plan.targets.production?.gate.acceptKept) run.emit({ type: 'warning', message: ACCEPT_KEPT });
    return new Restore(run, plan);
  }

  /** The backups around the wanted moment: what each holds, which one is taken, why not the others. Throws BACKUP. */
  backups(): Promise<BackupListing> {
    this.require();
    const { location } = this.plan.source;
    if (!isStored(location)) {
      throw new RestorePlanError(
        'USAGE',
        `source.${location.kind} is one database: there is nothing to choose from`,
        {
          hint: advice`${{ command: 'dry-run' }} reads it.`,
        },
      );
    }
    const wanted = collectionNames(this.plan);
    return listBackups(
      this.#run,
      { ...this.plan.source, location },
      { wanted, patience: this.#run.patience },
    );
  }

  /**
   * The documents, in a directory of the work directory: kept from an earlier time, or chosen from the backup now. Throws BACKUP, or
   * WORK_DIRECTORY. `further`: what else a caller does while the backup is open.
   */
  async select(further: Omit<PrepareRequest, 'plan' | 'patience' | 'threads'> = {}): Promise<Selection> {
    if (this.#selection !== undefined) return this.#selection;
    this.require();
    const { plan } = this;
    const { patience, threads } = this.#run;
    this.#selection = await prepareSelection(this.#run, { ...further, plan, patience, threads: { threads } });
    return this.#selection;
  }

  /**
   * What an apply would meet: reads only. What was seen is remembered, so that the apply can name what changed meanwhile; not with
   * `remember: false`. Throws TARGET. `shown`: how much is kept for showing; five documents of each class and collection where nothing is said.
   */
  async compare(name: TargetName, shown: Shown = {}): Promise<TargetComparison> {
    this.require(name);
    const selection = await this.select();
    const { patienceMs, remember = true, ...request } = shown;
    const target = await this.connect(name, patienceMs);
    await this.#targets.requireDatabase(target);
    const { reader } = target;
    const about = { plan: this.plan, selection, reader };
    const memory = TargetMemory.empty(selection.manifest, this.#run.now());
    const leftOut = await leftOutOf(this.#run, about);
    const begun = await begunIn(target, { plan: this.plan.name, selection: selection.manifest.digest });
    const comparison = await compareWithTarget(this.#run, {
      show: SHOWN,
      ...request,
      ...about,
      leftOut,
      memory,
      begun,
    });
    if (remember) await memory.save(this.#run.workDirectory, reader);
    return comparison;
  }

  /**
   * Writes the documents, reads them back, records it in the target's ledger. Production opens only behind its gate. Stopped part-way, the
   * next call goes on. Throws PLAN_INVALID (`dependents: auto` proposes something), GATE, LOCKED, TARGET, CONFLICTS before anything is written; INCOMPLETE or LEDGER_UNSAVED when it
   * stopped part-way.
   */
  async apply(name: TargetName, words: Words<ApplyRequest> = {}): Promise<ApplyResult> {
    const pair = this.pair(name);
    pair.catch(() => undefined); // a target that cannot be reached is known before much is read
    const selection = await this.select({ needs: pair });
    await this.#refuseProposals(selection);
    const { target, other } = await pair;
    return applySelection(this.#run, {
      ...words,
      ...{ plan: this.plan, selection, target, other: other?.reader, actor: this.#actor() },
      memory: await TargetMemory.load(this.#run.workDirectory, selection.manifest, target.reader),
    });
  }

  /** Compares what was restored with the target again; `every`: one document in so many. Throws VERIFICATION where nothing was. */
  async verify(name: TargetName, every = 1): Promise<Verification & { readonly digest: string }> {
    const target = await this.connect(name);
    const run = await runOfPlan(target.reader, this.plan);
    const status = run?.status ?? 'planned';
    if (run === undefined || status === 'planned' || status === 'reverted') {
      const fact =
        status === 'planned'
          ? `the plan was never applied to ${name}`
          : `what the plan restored in ${name} was reverted`;
      throw new RestorePlanError('VERIFICATION', fact, {
        hint: advice`Restore it with ${{ command: 'apply', target: name }}.`,
      });
    }
    const selection = await this.selectionOf(run);
    const verification = await verifyRestore(this.#run, { plan: this.plan, selection, target, every });
    return { ...verification, digest: selection.manifest.digest };
  }

  /** Where the plan stands there: what was done, by whom, who is at it. Throws TARGET. */
  async status(name: TargetName, patienceMs?: number): Promise<TargetStatus> {
    return targetStatus(this.plan, (await this.connect(name, patienceMs)).reader);
  }

  /** What still keeps the documents from production; reads both targets. */
  async gate(): Promise<GateVerdict> {
    const selection = await this.select();
    const { target, other } = await this.pair('production');
    if (other === undefined) throw new TypeError('production is not connected to without staging');
    const readers = { staging: other.reader, production: target.reader };
    return checkGate(this.#run, { plan: this.plan, selection, ...readers });
  }

  /** Writes down, for this selection in this target, that documents that cannot be written or differ are left out. */
  async accept(name: TargetName, words: Accepting): Promise<Acceptance> {
    const about = await this.#acceptance(name);
    return acceptAtHand(this.#run, { show: SHOWN, confirm: async () => {}, ...words, ...about });
  }

  /** Takes back what was accepted; returns how many documents that were. */
  async withdrawAccepted(name: TargetName, confirm: (count: number) => Promise<void> = async () => {}) {
    return withdrawAccepted(this.#run, { ...(await this.#acceptance(name)), confirm });
  }

  /** A second person's word on the run in staging, or on what was accepted in production. `digest`: of the selection looked at. */
  async approve(name: TargetName = 'staging', digest?: string): Promise<ApprovedRun> {
    const target = await this.connect(name);
    const production = name === 'staging' ? await this.productionServer() : undefined;
    return approveRun({ plan: this.plan, target, actor: this.#run.operator, digest, production });
  }

  /** What an approval is bound to; undefined where production cannot be reached from here. */
  async productionServer(): Promise<ServerIdentity | undefined> {
    const byName = 'an approval is of its database by name, on whichever server';
    return (await this.#targets.productionIfReachable(byName))?.reader.identity;
  }

  /** Takes out what this plan wrote and nobody changed since. */
  async revert(name: TargetName, words: Words<RevertRequest> = {}): Promise<RevertReport> {
    return revertPlan(this.#run, { ...words, ...(await this.reverting(name)) });
  }

  /** What a revert would do; reads only. */
  async previewRevert(name: TargetName, words: Words<RevertRequest> = {}): Promise<RevertReport> {
    return previewRevert(this.#run, { ...words, ...(await this.reverting(name)) });
  }

  /** Does the follow-ups that are due and need no person; returns where all of them stand. Throws USAGE before a verified run. */
  async followUps(
    name: TargetName,
    words: { readonly only?: string | undefined; readonly again?: boolean } = {},
  ): Promise<FollowUpStatus[]> {
    const target = await this.#verifiedTarget(name);
    const { env: environment, operator: actor } = this.#run;
    return runFollowUps(this.#run, { ...words, ...{ plan: this.plan, target, actor, environment } });
  }

  /** Where all follow-ups stand; reads only. */
  async followUpStatuses(name: TargetName): Promise<FollowUpStatus[]> {
    const { reader } = await this.connect(name);
    const runs = runsOfPlan(await readRuns(reader), this.plan, reader);
    return followUpStatuses(this.plan.followUps, name, runs);
  }

  /** Records that a person did a follow-up; false where that was recorded before. */
  async tickOff(name: TargetName, followUp: string, note?: string): Promise<boolean> {
    const target = await this.#verifiedTarget(name);
    return tickOff(followUp, note, { plan: this.plan, target, actor: this.#run.operator });
  }

  /** Takes the lock from a holder that is known to be dead. Throws LOCKED where another one holds it, or nobody. */
  async unlock(name: TargetName, holder: string): Promise<void> {
    await openLedger(await this.connect(name)).unlock(holder);
  }

  /** Closes the connections. What is used afterwards makes them anew. */
  close(): Promise<void> {
    return this.#targets.close();
  }

  // For who shows more than results.

  /** Throws PLAN_INVALID for variables that are not set and that the source, the queries or these targets need. */
  require(...targets: readonly TargetName[]): void {
    requireVariables(this.plan, targets);
  }

  connect(name: TargetName, patienceMs?: number): Promise<Target> {
    this.require(name);
    return this.#targets.connect(name, patienceMs);
  }

  /** The target to write to, and the other one. */
  async pair(name: TargetName): Promise<TargetPair> {
    this.require(...(name === 'production' ? (['staging', 'production'] as const) : (['staging'] as const)));
    return this.#targets.pair(name);
  }

  /** What a revert is handed of the plan. */
  async reverting(name: TargetName) {
    const selectionOf = (run: RunRecord) => this.selectionOf(run);
    return { plan: this.plan.name, target: await this.connect(name), actor: this.#actor(), selectionOf };
  }

  /**
   * The documents of a run: kept in the work directory, or selected again. Throws BACKUP when the plan gives another selection by now.
   */
  async selectionOf({ key, target, appliedBy }: RunRecord): Promise<Selection> {
    const kept = await keptSelection(this.#run.workDirectory, key.selection);
    if (kept !== undefined) return kept;
    const selection = await this.select();
    if (selection.manifest.digest === key.selection) return selection;
    const people = new Set(appliedBy.map(({ user, host }) => `${user} on ${host}`));
    throw new RestorePlanError(
      'BACKUP',
      `${target} holds another selection than the plan gives now, and the documents of that one are not kept here`,
      {
        hint: `Run this where it was applied (by ${[...people].join(', ')}), or with the plan and the backup as they were then.`,
        facts: { applied: key.selection, selected: selection.manifest.digest },
      },
    );
  }

  /** Throws PLAN_INVALID where `dependents: auto` proposes something: what else comes back, a person says. */
  async #refuseProposals(selection: Selection): Promise<void> {
    const { plan } = this;
    const { patience } = this.#run;
    let opened: Promise<Backup> | undefined;
    const backup = (): Promise<Backup> => {
      opened ??= openBackup(this.#run, plan.source, { wanted: collectionNames(plan), patience });
      return opened;
    };
    try {
      refuseProposals(await lostTogether(this.#run, { plan, selection, backup, patience }));
    } finally {
      await (await opened)?.close();
    }
  }

  #actor() {
    return { ...this.#run.operator, pid: this.#run.processId };
  }

  async #acceptance(name: TargetName) {
    this.require(name);
    const selection = await this.select();
    const target = await this.connect(name);
    await this.#targets.requireDatabase(target);
    return { plan: this.plan, selection, target, actor: this.#actor() };
  }

  async #verifiedTarget(name: TargetName): Promise<Target> {
    const target = await this.connect(name);
    const runs = runsOfPlan(await readRuns(target.reader), this.plan, target.reader);
    if (restoresOf(runs).length > 0) return target;
    throw new RestorePlanError('USAGE', `follow-ups are not due: the plan is not verified in ${name}`, {
      hint: advice`Restore it first: ${{ command: 'apply', target: name }}`,
      facts: { target: name, status: runs[0]?.status ?? null },
    });
  }
}

/** Documents shown per class and collection where no number is said. */
export const SHOWN = 5;

/** What is said to an act beside the plan: who confirms, and how. */
type Words<Request> = Omit<
  Partial<Request>,
  'plan' | 'target' | 'other' | 'actor' | 'memory' | 'selectionOf'
>;
type Accepting = Pick<AcceptRequest, 'reason'> & Omit<Partial<AcceptRequest>, 'plan' | 'target' | 'actor'>;
type Shown = Omit<Partial<CompareRequest>, 'plan' | 'selection' | 'reader' | 'leftOut' | 'memory'> & {
  readonly patienceMs?: number;
  readonly remember?: boolean;
};

/** What a run that was cut off began to create, see CompareRequest. A ledger that cannot be read is said elsewhere, and stops no comparison. */
async function begunIn(
  target: Target,
  key: RunKey,
): Promise<ReadonlyMap<string, string | undefined> | undefined> {
  try {
    const record = await openLedger(target).runs.find(key);
    if (record === undefined || isForeign(record, target.reader)) return undefined;
    return new Map(record.creations.flatMap(({ into, done, uuid }) => (done ? [] : [[into, uuid] as const])));
  } catch (error) {
    if (!(error instanceof RestorePlanError)) throw error;
    return undefined;
  }
}
