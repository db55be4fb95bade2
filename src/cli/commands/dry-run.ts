/** `plan dry-run`: selects the documents and compares them with every reachable target. Writes to none. */

import { compareServers, sameServerObstacle } from '../../apply/gate.ts';
import {
  type NextStep,
  nextSteps,
  type PlanFacts,
  type TargetFacts,
  type TargetStatus,
} from '../../apply/restore-status.ts';
import type { DocumentForms } from '../../comparison/compare-with-target.ts';
import type { ComparedDocument, TargetComparison } from '../../comparison/comparison.ts';
import { RestorePlanError } from '../../errors.ts';
import type { TargetName } from '../../events.ts';
import { commandFaults } from '../../follow-ups/run-follow-ups.ts';
import { lostTogether } from '../../follow-ups/suggestions/lost-together.ts';
import { PassingCollections } from '../../follow-ups/suggestions/passing-collections.ts';
import { suggestFollowUps } from '../../follow-ups/suggestions/suggest.ts';
import { type Suggestion, withLosses } from '../../follow-ups/suggestions/suggestion.ts';
import { UNWRITTEN } from '../../outcomes.ts';
import type { Plan } from '../../plan/plan.ts';
import { foretold } from '../../report/document-classes.ts';
import type { DryRun } from '../../report/report-model.ts';
import type { Restore } from '../../restore/restore.ts';
import { SHORT_PATIENCE_MS } from '../../restore/targets.ts';
import { CommandFailure } from '../../target/command-failure.ts';
import type { ServerIdentity } from '../../target/target.ts';
import type { ExitName, OptionValues } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { openPlan } from '../load-plan.ts';
import { readerOf, sayTyped, show, typed } from '../view.ts';
import { dryRunView, SpilledDocuments } from '../views/dry-run-documents.ts';
import {
  checkReports,
  keptForShowing,
  reportMode,
  toldInReports,
  writeReports,
} from '../views/dry-run-reports.ts';
import { approvalsOf, knownTarget, warnOfApprovals, writeNextSteps } from '../views/next-step.ts';

/** An apply refuses as long as the plan does not say what comes back in the place of `dependents: auto`. */
const TO_ANSWER: NextStep = { command: 'dry-run', target: undefined, why: { kind: 'proposed' } };

export async function run(
  context: CommandContext,
  [file = '']: readonly string[],
  options: OptionValues,
): Promise<ExitName> {
  const restore = await openPlan(context, file, { refuseFuture: true });
  const { plan } = restore;
  const targets = targetsOf(plan, options['target']);
  const isFull = options['full'] === true;
  const files = checkReports(options['report']);
  const mode = reportMode(options['reportMode']);
  const told = toldInReports(plan, options['reportDocuments']);
  restore.require(...targets);
  await context.follow(['backup', 'selection', ...targets.map((name) => `comparison with ${name}` as const)]);
  context.emit({ type: 'plan-read', name: plan.name, digest: plan.digest });
  for (const fault of await commandFaults(plan, targets, context.env)) {
    const { target, followUp, fact, remedy } = fault;
    const message = `plan apply --target ${target} will refuse: follow-up "${followUp}": ${fact}. ${sayTyped(remedy)}`;
    context.emit({ type: 'warning', message });
  }

  let suggestions: readonly Suggestion[] = [];
  let isAsked = false;
  const passed = new PassingCollections();
  const selection = await restore.select({
    onlooker: passed,
    meanwhile: async (backup, made, isNew) => {
      const { patience } = context;
      const source = { plan, selection: made };
      const lost = await lostTogether(context, { ...source, backup: async () => backup, patience });
      const forgotten = await suggestFollowUps(context, { ...source, backup, ...(isNew && { passed }) });
      suggestions = withLosses(lost, forgotten);
      isAsked = lost.length > 0;
    },
  });
  const kept = keptForShowing(readerOf(context), { reports: files, told, isFull });
  const spilled = kept.spilled && new SpilledDocuments(context.workDirectory);
  try {
    const { comparisons, failures, statuses } = await compareTargets(context, restore, {
      ...{ targets, show: kept.show, showDangling: kept.showDangling },
      ...(spilled && kept.spilled && { each: { ...kept.spilled, take: spilled.add } }),
    });
    const dryRun: DryRun = {
      plan,
      manifest: selection.manifest,
      comparisons,
      notCompared: failures.map(({ target, error }) => ({
        target,
        reason: error.message,
        hint: error.advice?.say(typed()),
      })),
      warnings: context.warnings,
      suggestions,
    };
    const shown = { now: context.now(), isRead: readerOf(context) !== 'terminal' };
    await show(context, dryRunView(dryRun, { isFull, spilled }, shown));
    await writeReports(context, dryRun, { files, told, spilled, mode });
    await writeNextSteps(context, isAsked ? [TO_ANSWER] : nextSteps(factsOf(dryRun, statuses, failures)));

    if (failures.some(({ unreachable }) => !unreachable)) return 'TARGET';
    return options['detailedExitcode'] === true && dryRun.comparisons.some((each) => toWrite(each) > 0)
      ? 'CHANGES_PENDING'
      : 'OK';
  } finally {
    await spilled?.close();
  }
}

/** Those of the plan, or the one asked for. Throws USAGE when the plan does not have it. */
function targetsOf(plan: Plan, asked: unknown): readonly TargetName[] {
  const names = (['staging', 'production'] as const).filter((name) => plan.targets[name] !== undefined);
  if (asked === undefined) return names;
  const chosen = names.filter((name) => name === asked);
  if (chosen.length > 0) return chosen;
  throw new RestorePlanError('USAGE', `the plan has no target ${asked}`, {
    hint: `Its targets are: ${names.join(', ')}.`,
  });
}

/** Documents that an apply would insert or replace. */
function toWrite({ collections }: TargetComparison): number {
  const { inserted = 0, replaced = 0 } = foretold(collections);
  return inserted + replaced;
}

function foreseen(comparison: TargetComparison) {
  const counts = foretold(comparison.collections);
  const stuck = UNWRITTEN.reduce((sum, outcome) => sum + (counts[outcome] ?? 0), 0);
  return { toWrite: toWrite(comparison), stuck, stopping: counts.stopped ?? 0 };
}

function factsOf(
  { plan, manifest, comparisons }: DryRun,
  statuses: readonly TargetStatus[],
  failures: readonly TargetFailure[],
): PlanFacts {
  const factsOn = (name: TargetName): TargetFacts => {
    const failure = failures.find(({ target }) => target === name);
    if (failure !== undefined) return failure.unreachable ? 'silent' : 'unfit';
    const comparison = comparisons.find(({ target }) => target === name);
    const status = statuses.find(({ target }) => target === name);
    if (comparison === undefined || status === undefined) return 'unknown';
    return knownTarget(plan, status, { digest: manifest.digest, foreseen: foreseen(comparison) });
  };
  const onStaging = statuses.find(({ target }) => target === 'staging');
  return {
    staging: factsOn('staging'),
    production: plan.targets.production === undefined ? undefined : factsOn('production'),
    approvals: approvalsOf(plan, onStaging),
    gate: undefined,
  };
}

// Compares a selection with every target that can be reached, one after the other.

interface Shown {
  readonly targets: readonly TargetName[];
  /** Documents kept per class and collection. */
  readonly show: number;
  /** Dangling references kept per collection. */
  readonly showDangling: number;
  readonly each?: EachDocument;
}

/** Who is given documents one by one, in which forms, and how many per class and collection. */
interface EachDocument {
  readonly take: (target: TargetName, collection: string, document: ComparedDocument) => Promise<void>;
  readonly most: number;
  readonly forms: DocumentForms;
}

interface ComparisonResults {
  readonly comparisons: readonly TargetComparison[];
  readonly failures: readonly TargetFailure[];
  /** Where the plan stands in the targets that were compared; one whose ledger cannot be read is not in it. */
  readonly statuses: readonly TargetStatus[];
}

export interface TargetFailure {
  readonly target: TargetName;
  readonly error: RestorePlanError;
  /** Nobody answered: a reviewer's machine often reaches staging only. Anything else is wrong with the target itself. */
  readonly unreachable: boolean;
}

/** Throws the first failure when not a single target could be compared. */
export async function compareTargets(
  context: CommandContext,
  restore: Restore,
  { targets, show, showDangling, each }: Shown,
): Promise<ComparisonResults> {
  const comparisons: TargetComparison[] = [];
  const failures: TargetFailure[] = [];
  const statuses: TargetStatus[] = [];
  const servers: ServerIdentity[] = [];
  for (const target of targets) {
    try {
      const shown = {
        ...{ show, showDangling, patienceMs: SHORT_PATIENCE_MS },
        ...(each && {
          each: ({ collection }, document) => each.take(target, collection, document),
          most: each.most,
          forms: each.forms,
        }),
      } satisfies Parameters<Restore['compare']>[1];
      comparisons.push(await restore.compare(target, shown));
      servers.push((await restore.connect(target, SHORT_PATIENCE_MS)).reader.identity);
      statuses.push(...(await statusIfReadable(context, restore, target)));
    } catch (error) {
      context.signal.throwIfAborted();
      if (!(error instanceof RestorePlanError) || error.code !== 'TARGET') throw error;
      failures.push({ target, error, unreachable: isUnreachable(error) });
      context.emit({ type: 'target-skipped', target, reason: error.message });
    }
  }
  warnOfSameServer(context, servers);
  if (comparisons.length === 0 && failures[0] !== undefined) throw failures[0].error;
  return { comparisons, failures, statuses };
}

/** Apply will refuse; the reviewer should hear of it first. */
function warnOfSameServer({ emit }: CommandContext, [staging, production]: readonly ServerIdentity[]): void {
  if (staging === undefined || production === undefined) return;
  if (compareServers(staging, production) !== 'same') return;
  const { fact, remedy } = sameServerObstacle('same');
  emit({ type: 'warning', message: `${fact}: plan apply will refuse. ${sayTyped(remedy)}` });
}

/** A comparison does not need the ledger, and an apply will refuse one that it cannot read. */
async function statusIfReadable(
  context: CommandContext,
  restore: Restore,
  name: TargetName,
): Promise<TargetStatus[]> {
  try {
    const status = await restore.status(name, SHORT_PATIENCE_MS);
    warnOfApprovals(context, status);
    return [status];
  } catch (error) {
    context.signal.throwIfAborted();
    if (!(error instanceof RestorePlanError)) throw error;
    context.emit({
      type: 'warning',
      message: `the ledger of ${name} cannot be read: ${error.message}`,
    });
    return [];
  }
}

function isUnreachable(error: RestorePlanError): boolean {
  return error instanceof CommandFailure ? error.transient : error.cause !== undefined;
}
