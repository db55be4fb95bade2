/** `plan dry-run`: selects the documents and compares them with every reachable target. Writes to none. */

import type { TargetStatus } from '../../apply/restore-status.ts';
import { nextSteps, type PlanFacts, type TargetFacts } from '../../apply/restore-status.ts';
import type { TargetComparison } from '../../comparison/comparison.ts';
import { RestorePlanError } from '../../errors.ts';
import type { TargetName } from '../../events.ts';
import { commandFaults } from '../../follow-ups/check-commands.ts';
import { PassingCollections } from '../../follow-ups/suggestions/passing-collections.ts';
import { suggestFollowUps } from '../../follow-ups/suggestions/suggest.ts';
import type { Suggestion } from '../../follow-ups/suggestions/suggestion.ts';
import type { Plan } from '../../plan/plan.ts';
import { foretold } from '../../report/document-classes.ts';
import type { DryRun } from '../../report/report-model.ts';
import type { ExitName, OptionValues } from '../command.ts';
import { compareTargets, SpilledDocuments, type TargetFailure } from '../compare-targets.ts';
import type { CommandContext } from '../context.ts';
import { dryRunView } from '../dry-run-output.ts';
import { checkReports, keptForShowing, reportMode, toldInReports, writeReports } from '../dry-run-reports.ts';
import { openPlan } from '../load-plan.ts';
import { approvalsOf, knownTarget, writeNextSteps } from '../next-step.ts';
import { show } from '../view.ts';
import { sayTyped, typed } from '../views/next-step.ts';

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
  for (const fault of await commandFaults({ plan, targets, environment: context.env })) {
    const { target, followUp, fact, remedy } = fault;
    const message = `plan apply --target ${target} will refuse: follow-up "${followUp}": ${fact}. ${sayTyped(remedy)}`;
    context.emit({ type: 'warning', message });
  }

  let suggestions: readonly Suggestion[] = [];
  const passed = new PassingCollections();
  const selection = await restore.select({
    onlooker: passed,
    meanwhile: async (backup, made, isNew) => {
      suggestions = await suggestFollowUps(context, {
        ...{ plan, selection: made, backup },
        ...(isNew && { passed }),
      });
    },
  });
  const kept = keptForShowing(context, { reports: files, told, isFull });
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
    const shown = { now: context.now(), isRead: !context.stdout.isTTY };
    await show(context, dryRunView(dryRun, { isFull, spilled }, shown));
    await writeReports(context, dryRun, { files, told, spilled, mode });
    await writeNextSteps(context, nextSteps(factsOf(dryRun, statuses, failures)), file);

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

function factsOf(
  { plan, manifest, comparisons }: DryRun,
  statuses: readonly TargetStatus[],
  failures: readonly TargetFailure[],
): PlanFacts {
  const factsOn = (name: TargetName): TargetFacts => {
    if (failures.some(({ target }) => target === name)) return 'silent';
    const comparison = comparisons.find(({ target }) => target === name);
    const status = statuses.find(({ target }) => target === name);
    if (comparison === undefined || status === undefined) return 'unknown';
    return knownTarget(plan, status, { digest: manifest.digest, toWrite: toWrite(comparison) });
  };
  const onStaging = statuses.find(({ target }) => target === 'staging');
  return {
    staging: factsOn('staging'),
    production: plan.targets.production === undefined ? undefined : factsOn('production'),
    approvals: approvalsOf(plan, onStaging),
    gate: undefined,
  };
}
