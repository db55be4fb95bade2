/**
 * `plan apply`: opens the gate, writes the documents, reads them back. Stopped part-way, the same command goes on. Without
 * `--target`, on a terminal, it walks the whole runbook: staging, a pause to look at it, then production.
 */
import { advice } from '../../advice.ts';
import { decideGateOf } from '../../apply/admission.ts';
import type { ApplyResult } from '../../apply/apply-selection.ts';
import type { GateVerdict } from '../../apply/gate.ts';
import {
  type NextStep,
  nextSteps,
  type TargetFacts,
  type TargetStatus,
  targetStatus,
} from '../../apply/restore-status.ts';
import { RestorePlanError } from '../../errors.ts';
import type { TargetName } from '../../events.ts';
import type { FollowUpStatus } from '../../follow-ups/follow-up-status.ts';
import { requireCommands } from '../../follow-ups/run-follow-ups.ts';
import { kindOf } from '../../plan/follow-ups/kinds.ts';
import type { Plan } from '../../plan/plan.ts';
import type { Sum } from '../../report/sum.ts';
import { type Restore, SHOWN } from '../../restore/restore.ts';
import { readBatches } from '../../selection/file-batches.ts';
import type { Selection } from '../../selection/selection.ts';
import { showBytes, showCounted } from '../../text/quantities.ts';
import type { ExitName, OptionValue, OptionValues } from '../command.ts';
import { confirm, confirmPlan } from '../confirm.ts';
import type { CommandContext } from '../context.ts';
import { openPlan } from '../load-plan.ts';
import type { Stage } from '../progress.ts';
import { pageStyle, readerOf, show, typed, writeLines } from '../view.ts';
import { applyExit, applyView, totalOf, waysToLook } from '../views/apply.ts';
import { dryRunEnd, dryRunPage } from '../views/dry-run.ts';
import { documentsOf } from '../views/dry-run-documents.ts';
import { followUpExit } from '../views/follow-up.ts';
import { approvalsOf, knownTarget, writeNextSteps } from '../views/next-step.ts';
import { gateLines } from '../views/status.ts';

export async function run(
  context: CommandContext,
  [file = '']: readonly string[],
  { target, confirm, confirmPlan, ...given }: OptionValues,
): Promise<ExitName> {
  const chosen = target as TargetName | undefined;
  if (chosen === undefined) requireSomebody(context);
  const restore = await openPlan(context, file, { refuseFuture: true });
  const { plan } = restore;
  const name = chosen ?? 'staging';
  const needed = targetsNeeded(plan, chosen);
  restore.require(...needed);
  const targets = chosen === undefined ? needed : [chosen];
  await requireCommands(plan, targets, context.env);
  await context.follow(['backup', 'selection', ...applyStages(context, plan, { name, confirm })]);
  context.emit({ type: 'plan-read', name: plan.name, digest: plan.digest });

  const words = { confirm, confirmPlan, exclusive: given['exclusive'] === true };
  const { exit, steps } = await applyTo(context, restore, { ...words, name });
  if (exit === 'OK' && chosen === undefined) return goOnWithProduction(context, restore, words);
  await writeNextSteps(context, steps);
  return exit;
}

/** A walk asks questions; where nobody can answer, the target must be said. */
function requireSomebody(context: CommandContext): void {
  if (context.interactive && readerOf(context) !== 'program') return;
  throw new RestorePlanError('USAGE', 'say which target to apply to', {
    hint: advice`First ${{ command: 'apply', target: 'staging' }}. Without --target, plan apply walks through staging and production on a terminal.`,
  });
}

function targetsNeeded({ targets }: Plan, chosen: TargetName | undefined): TargetName[] {
  const goesOn = chosen === undefined && targets.production !== undefined;
  return chosen === 'production' || goesOn ? ['staging', 'production'] : ['staging'];
}

interface Words {
  /** Value of `--confirm`. */
  readonly confirm: OptionValue;
  /** Value of `--confirm-plan`. */
  readonly confirmPlan: OptionValue;
  /** Value of `--exclusive`. */
  readonly exclusive: boolean;
}

/** How it ended, and what comes next. */
interface AppliedTarget {
  readonly exit: ExitName;
  readonly steps: readonly NextStep[];
}

/** Applies to one target, does its follow-ups, and shows what came of it. */
async function applyTo(
  context: CommandContext,
  restore: Restore,
  { name, exclusive, ...given }: Words & { readonly name: TargetName },
): Promise<AppliedTarget> {
  const result = await restore.apply(name, {
    exclusive,
    confirmPlan: ({ fact }) =>
      confirmPlan(context, { what: fact, plan: restore.plan.name, given: given.confirmPlan }),
    confirm: () => lastWord(context, restore, { name, given: given.confirm }),
  });
  const statuses = result.verified ? await followUps(context, restore, result) : [];
  const sum = await sumOf(context, restore, result);
  await show(context, applyView(result, { statuses, sum, given: context.given }));
  const exit = applyExit(result) === 'OK' ? followUpExit(statuses) : applyExit(result);
  return { exit, steps: await stepsAfter(context, restore, name) };
}

/** None where a target no longer answers: the documents are in, and that is no failure of the apply. */
async function stepsAfter(
  { signal }: CommandContext,
  restore: Restore,
  name: TargetName,
): Promise<NextStep[]> {
  const { plan } = restore;
  const { digest } = (await restore.select()).manifest;
  const { target, other } = await restore.pair(name);
  const statuses: TargetStatus[] = [];
  let gate: GateVerdict | undefined;
  try {
    for (const { reader } of other === undefined ? [target] : [other, target]) {
      statuses.push(await targetStatus(plan, reader));
    }
    // Only where production was reached: by what the ledgers say, as the documents have been read back just now.
    if (name === 'staging' && other !== undefined) {
      gate = await decideGateOf({ plan, digest, staging: target.reader, production: other.reader });
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RestorePlanError) return [];
    throw error;
  }
  const factsOn = (name: TargetName): TargetFacts => {
    const status = statuses.find((each) => each.target === name);
    return status === undefined ? 'unknown' : knownTarget(plan, status, { digest });
  };
  return nextSteps({
    staging: factsOn('staging'),
    production: plan.targets.production === undefined ? undefined : factsOn('production'),
    approvals: approvalsOf(
      plan,
      statuses.find((each) => each.target === 'staging'),
    ),
    gate,
  });
}

async function sumOf(
  { now, warnings }: CommandContext,
  restore: Restore,
  { target, collections }: ApplyResult,
): Promise<Sum> {
  const { backup, warnings: ofBackup } = (await restore.select()).manifest;
  return {
    target,
    database: restore.plan.targets[target]?.database ?? '',
    outcomes: totalOf(collections),
    backup,
    warnings: warnings.length + ofBackup.length,
    now: now(),
  };
}

/** What an apply goes through once the selection is there. Production is compared before somebody is asked; see lastWord. */
function applyStages(
  { interactive }: CommandContext,
  plan: Plan,
  { name, confirm }: { readonly name: TargetName; readonly confirm: OptionValue },
): Stage[] {
  const asks = name === 'production' && interactive && confirm === undefined;
  const follows = plan.followUps.some(
    ({ on, action }) => !kindOf(action).isForPeople && (on === name || on === 'both'),
  );
  return [
    ...(name === 'production' ? (['gate'] as const) : []),
    ...(asks ? (['comparison with production'] as const) : []),
    'writing',
    'verification',
    ...(follows ? (['follow-ups'] as const) : []),
  ];
}

/** The documents are in: whatever becomes of the loose ends, what was restored is shown. */
async function followUps(
  context: CommandContext,
  restore: Restore,
  result: ApplyResult,
): Promise<FollowUpStatus[]> {
  try {
    return await restore.followUps(result.target);
  } catch (error) {
    await show(context, applyView(result));
    throw error;
  }
}

// What an operator sees and says before production is written to.

/**
 * Staging needs no word, but a wrong one is refused there too. Production is compared once more and shown to whoever sits at the terminal, who then types the
 * database's name; `--confirm` says it beforehand. Throws USAGE where nobody can say it, or says another.
 */
async function lastWord(
  context: CommandContext,
  restore: Restore,
  { name, given }: { readonly name: TargetName; readonly given: OptionValue },
): Promise<void> {
  if (name === 'staging' && given === undefined) return;
  if (given === undefined && context.interactive) await showWhatIsThere(context, restore, name);
  const { collections } = (await restore.select()).manifest;
  const documents = collections.reduce((sum, { count }) => sum + count, 0);
  const bytes = collections.reduce((sum, each) => sum + each.bytes, 0);
  await confirm(context, {
    what: `Write ${showCounted(documents, 'document')} (${showBytes(bytes)}) to ${name}`,
    database: restore.plan.targets[name]?.database ?? '',
    given,
  });
}

async function showWhatIsThere(context: CommandContext, restore: Restore, name: TargetName): Promise<void> {
  const { stderr, warnings } = context;
  const { plan } = restore;
  const { manifest } = await restore.select();
  const comparison = await restore.compare(name, { remember: false });
  const run = { plan, manifest, comparisons: [comparison], notCompared: [], warnings };
  await context.endProgress();
  const style = pageStyle(context, 'stderr');
  stderr.write('\n');
  await writeLines(stderr, dryRunPage(run, style));
  await writeLines(stderr, documentsOf([comparison], style, SHOWN));
  await writeLines(stderr, dryRunEnd(run, context.now(), style));
}

// The way from staging to production.

/** Documents per collection that are offered to look at. */
const EXAMPLES = 3;

/**
 * Invites to production only where its gate is not known to be shut, and says what it still wants otherwise. Stops where the operator does not say to go on.
 * Production is still opened by its gate alone, and still wants its name typed.
 */
async function goOnWithProduction(
  context: CommandContext,
  restore: Restore,
  { exclusive }: Words,
): Promise<ExitName> {
  const { plan } = restore;
  if (plan.targets.production === undefined) return 'OK';
  const examples = await examplesOf(await restore.select());
  const { given } = context;
  const facts = { given, database: plan.targets.staging.database, examples };
  const style = pageStyle(context, 'stderr');
  await writeLines(context.stderr, waysToLook(facts, style));
  // Made anew: that of an apply to staging does without production, and somebody may look at staging for hours.
  await restore.close();
  const verdict = await restore.gate();
  await restore.close();
  const onProduction = typed(given)({ command: 'apply', target: 'production' });
  if (!verdict.open) {
    const gate = { verdict, documentsLookedFor: true };
    await writeLines(context.stderr, ['', ...gateLines(gate, style, { given, planHasChanged: false })]);
    context.stderr.write(`Stopped before production. Once the gate is open: ${onProduction}.\n`);
    return 'GATE';
  }
  const answer = await context.ask('\nPress Enter to go on with production, or type anything else to stop: ');
  if (answer !== '') {
    context.stderr.write(`Stopped before production. To go on: ${onProduction}.\n`);
    return 'OK';
  }
  const name = 'production';
  const confirm = undefined;
  await context.follow(applyStages(context, plan, { name, confirm }));
  const words = { name, exclusive, confirm, confirmPlan: undefined } as const;
  const { exit, steps } = await applyTo(context, restore, words);
  await writeNextSteps(context, steps);
  return exit;
}

/** The first documents of each collection, raw, by their collection in the target. */
async function examplesOf(selection: Selection): Promise<Map<string, Buffer[]>> {
  const examples = new Map<string, Buffer[]>();
  for (const { collection, into, count } of selection.manifest.collections) {
    if (count === 0) continue;
    const batches = readBatches(selection, collection, { maxBytes: 64 * 1024, maxDocuments: EXAMPLES });
    for await (const { bytes, offsets } of batches) {
      examples.set(
        into,
        offsets.map((start, i) => bytes.subarray(start, offsets[i + 1] ?? bytes.length)),
      );
      break;
    }
  }
  return examples;
}
