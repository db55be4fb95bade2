/** `plan dry-run`: selects the documents and compares them with every reachable target. Writes to none. */
import type { TargetComparison } from '../../comparison/comparison.ts';
import { RestorePlanError } from '../../errors.ts';
import type { Emit, TargetName } from '../../events.ts';
import { PassingCollections } from '../../follow-ups/suggestions/passing-collections.ts';
import { suggestFollowUps } from '../../follow-ups/suggestions/suggest.ts';
import type { Suggestion } from '../../follow-ups/suggestions/suggestion.ts';
import type { Plan } from '../../plan/plan.ts';
import { foretold } from '../../report/document-classes.ts';
import type { DryRun } from '../../report/dry-run/page.ts';
import { shellWord } from '../../report/shell-word.ts';
import { prepareSelection } from '../../selection/prepare-selection.ts';
import { VERSION } from '../../version.ts';
import type { ExitName, OptionValues } from '../command.ts';
import { compareTargets } from '../compare-targets.ts';
import type { CommandContext } from '../context.ts';
import { writeDryRun } from '../dry-run-output.ts';
import { checkReports, keptForShowing, reportMode, toldInReports, writeReports } from '../dry-run-reports.ts';
import { loadPlan } from '../load-plan.ts';
import { requireVariables } from '../require-variables.ts';
import { SpilledDocuments } from '../spilled-documents.ts';

export async function run(
  context: CommandContext,
  [file = '']: readonly string[],
  options: OptionValues,
): Promise<ExitName> {
  const plan = await loadPlan(context, file, { refuseFuture: true });
  const targets = targetsOf(plan, options['target']);
  const isFull = options['full'] === true;
  const files = checkReports(options['report']);
  const mode = reportMode(options['reportMode']);
  const told = toldInReports(plan, options['reportDocuments']);
  requireVariables(plan, targets);
  await context.follow(['backup', 'selection', ...targets.map((name) => `comparison with ${name}` as const)]);
  context.emit({ type: 'plan-read', name: plan.name, digest: plan.digest });

  const warnings: string[] = [];
  const watched = { ...context, emit: keepingWarnings(context, warnings) };
  let suggestions: readonly Suggestion[] = [];
  const passed = new PassingCollections();
  const selection = await prepareSelection({
    ...watched,
    plan,
    toolVersion: VERSION,
    onlooker: passed,
    meanwhile: async (backup, made, isNew) => {
      const { signal } = context;
      suggestions = await suggestFollowUps({
        ...{ plan, selection: made, backup, signal },
        ...(isNew && { passed }),
      });
    },
  });
  const kept = keptForShowing(context, { reports: files, told, isFull });
  const spilled = kept.spilled && new SpilledDocuments(context.workDirectory);
  try {
    const { show, showDangling } = kept;
    const { comparisons, failures } = await compareTargets(watched, {
      ...{ plan, selection, targets, show, showDangling },
      ...(spilled && kept.spilled && { each: { ...kept.spilled, take: spilled.add } }),
    });
    const dryRun: DryRun = {
      plan,
      manifest: selection.manifest,
      comparisons,
      notCompared: failures.map(({ target, error }) => ({ target, reason: error.message, hint: error.hint })),
      warnings,
      suggestions,
    };
    await context.endProgress();
    await writeDryRun(context, dryRun, { isFull, spilled });
    await writeReports(context, dryRun, { files, told, spilled, mode });
    if (!context.options.quiet && !context.options.json) context.stderr.write(nextStep(dryRun, file));

    if (failures.some(({ unreachable }) => !unreachable)) return 'TARGET';
    return options['detailedExitcode'] === true && isAnythingToWrite(dryRun) ? 'CHANGES_PENDING' : 'OK';
  } finally {
    await spilled?.close();
  }
}

/** Reviewers read the result and its reports, never what was said on the way. */
function keepingWarnings({ emit }: CommandContext, warnings: string[]): Emit {
  return (event) => {
    if (event.type === 'warning') warnings.push(event.message);
    emit(event);
  };
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

function isAnythingToWrite({ comparisons }: DryRun): boolean {
  return comparisons.some(hasSomethingToWrite);
}

function hasSomethingToWrite({ collections }: TargetComparison): boolean {
  const { inserted = 0, replaced = 0 } = foretold(collections);
  return inserted + replaced > 0;
}

/** The first target that lacks something is the next one to apply to; never production as long as staging does not answer. */
function nextStep({ comparisons, notCompared }: DryRun, file: string): string {
  if (notCompared.some(({ target }) => target === 'staging')) {
    return `\nNothing was written. Staging comes first; once it answers:\n  plan apply ${shellWord(file)} --target staging\n`;
  }
  const next = comparisons.find(hasSomethingToWrite);
  // Asked of production alone, nothing is known of staging, which comes first.
  if (next !== undefined && !comparisons.some(({ target }) => target === 'staging')) {
    return `\nNothing was written. Where staging stands, and what production's gate still wants:\n  plan status ${shellWord(file)}\n`;
  }
  if (next === undefined) return '\nNothing was written, and there is nothing to write.\n';
  return `\nNothing was written. Next, when this is what you want:\n  plan apply ${shellWord(file)} --target ${next.target}\n`;
}
