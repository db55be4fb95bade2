/** `plan apply`: opens the gate, writes the documents, reads them back. Stopped part-way, the same command goes on. */
import { type ApplyResult, applySelection } from '../../apply/apply-selection.ts';
import { TargetMemory } from '../../comparison/target-memory.ts';
import type { TargetName } from '../../events.ts';
import type { FollowUpStatus } from '../../follow-ups/follow-up-status.ts';
import { runFollowUps } from '../../follow-ups/run-follow-ups.ts';
import type { Plan } from '../../plan/plan.ts';
import { applyExit, applyPage } from '../../report/apply-page.ts';
import { followUpExit, followUpLines, followUpObject } from '../../report/follow-ups-page.ts';
import { applyObject } from '../../report/json-results.ts';
import { neutral } from '../../report/neutral.ts';
import type { Stage } from '../../report/progress.ts';
import { prepareSelection } from '../../selection/prepare-selection.ts';
import type { Target } from '../../target/target.ts';
import { VERSION } from '../../version.ts';
import type { ExitName, OptionValue, OptionValues } from '../command.ts';
import { connectTargets } from '../connect-targets.ts';
import type { CommandContext } from '../context.ts';
import { lastWord } from '../last-word.ts';
import { loadPlan } from '../load-plan.ts';
import { pageStyle, writeLines } from '../page.ts';
import { requireVariables } from '../require-variables.ts';

export async function run(
  context: CommandContext,
  [file = '']: readonly string[],
  options: OptionValues,
): Promise<ExitName> {
  const plan = await loadPlan(context, file);
  const name = options['target'] as TargetName;
  requireVariables(plan, name === 'production' ? ['staging', 'production'] : ['staging']);
  await context.follow(stagesOf(context, { plan, name, confirm: options['confirm'] }));
  context.emit({ type: 'plan-read', name: plan.name, digest: plan.digest });

  const selection = await prepareSelection({ ...context, plan, toolVersion: VERSION });
  const targets = await connectTargets(context, plan, name);
  const { reader } = targets.target;
  try {
    const result = await applySelection({
      ...context,
      plan,
      selection,
      target: targets.target,
      other: targets.other?.reader,
      actor: { ...context.operator, pid: context.processId },
      toolVersion: VERSION,
      memory: await TargetMemory.load(context.workDirectory, selection.manifest, reader),
      confirm: () => lastWord(context, { plan, selection, reader, given: options['confirm'] }),
    });
    const statuses = result.verified
      ? await followUps(context, { plan, target: targets.target, result })
      : [];
    await context.endProgress();
    if (context.options.json) {
      for (const status of statuses) context.json(followUpObject(status));
      context.json(applyObject(result));
    } else {
      await writeLines(context.stdout, applyPage(result, pageStyle(context)));
      await writeLines(context.stdout, followUpLines(statuses, pageStyle(context), file));
    }
    if (result.verified && !context.options.quiet) context.stderr.write(nextStep(plan, name, file));
    return applyExit(result) === 'OK' ? followUpExit(statuses) : applyExit(result);
  } finally {
    await targets.close();
  }
}

interface Staged {
  readonly plan: Plan;
  readonly name: TargetName;
  /** Value of `--confirm`. */
  readonly confirm: OptionValue;
}

/** Production is compared before somebody is asked; see lastWord. */
function stagesOf({ interactive }: CommandContext, { plan, name, confirm }: Staged): Stage[] {
  const asks = name === 'production' && interactive && confirm === undefined;
  return [
    'backup',
    'selection',
    ...(name === 'production' ? (['gate'] as const) : []),
    ...(asks ? (['comparison with production'] as const) : []),
    'writing',
    'verification',
    ...(plan.followUps.length > 0 ? (['follow-ups'] as const) : []),
  ];
}

interface Applied {
  readonly plan: Plan;
  readonly target: Target;
  readonly result: ApplyResult;
}

/** The documents are in: whatever becomes of the loose ends, what was restored is shown. */
async function followUps(
  context: CommandContext,
  { plan, target, result }: Applied,
): Promise<FollowUpStatus[]> {
  const { emit, signal, workDirectory, operator: actor, env: environment } = context;
  try {
    return await runFollowUps({
      ...{ plan, digest: result.digest, target, actor, environment, workDirectory, emit, signal },
    });
  } catch (error) {
    await context.endProgress();
    if (!context.options.json) await writeLines(context.stdout, applyPage(result, pageStyle(context)));
    throw error;
  }
}

function nextStep({ targets }: Plan, name: TargetName, file: string): string {
  if (name !== 'staging' || targets.production === undefined) return '';
  return `\nNext: look at staging, then \`plan apply ${neutral(file)} --target production\`.\n`;
}
