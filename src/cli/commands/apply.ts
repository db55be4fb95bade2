/**
 * `plan apply`: opens the gate, writes the documents, reads them back. Stopped part-way, the same command goes on. Without
 * `--target`, on a terminal, it walks the whole runbook.
 */
import { RestorePlanError } from '../../errors.ts';
import type { TargetName } from '../../events.ts';
import { requireCommands } from '../../follow-ups/check-commands.ts';
import type { Plan } from '../../plan/plan.ts';
import { prepareSelection } from '../../selection/select-documents.ts';
import type { Selection } from '../../selection/selection.ts';
import { applyStages, applyToTarget } from '../apply-to-target.ts';
import type { ExitName, OptionValues } from '../command.ts';
import { connectTargets } from '../connect-targets.ts';
import type { CommandContext } from '../context.ts';
import { loadPlan, requireVariables } from '../load-plan.ts';
import { writeNextSteps } from '../next-step.ts';
import { goOnWithProduction } from '../walk-runbook.ts';

export async function run(
  context: CommandContext,
  [file = '']: readonly string[],
  { target, confirm, confirmPlan, ...given }: OptionValues,
): Promise<ExitName> {
  const chosen = target as TargetName | undefined;
  if (chosen === undefined) requireSomebody(context);
  const plan = await loadPlan(context, file, { refuseFuture: true });
  const name = chosen ?? 'staging';
  const exclusive = given['exclusive'] === true;
  requireVariables(plan, targetsNeeded(plan, chosen));
  const written = chosen === undefined ? targetsNeeded(plan, chosen) : [chosen];
  await requireCommands({ plan, targets: written, environment: context.env });
  await context.follow(['backup', 'selection', ...applyStages(context, { plan, name, confirm })]);
  context.emit({ type: 'plan-read', name: plan.name, digest: plan.digest });

  // Meanwhile, so that a target that cannot be reached is known before much is read.
  const connecting = connectTargets(context, plan, name);
  connecting.catch(() => undefined); // its failure waits until the backup is found
  let selection: Selection;
  try {
    selection = await prepareSelection(context, { plan, patience: context.patience, needs: connecting });
  } catch (error) {
    void connecting.then((targets) => targets.close()).catch(() => undefined);
    throw error;
  }
  const targets = await connecting;
  const order = { plan, file, selection, targets, confirm, confirmPlan, exclusive };
  const { exit, steps } = await applyToTarget(context, order);
  if (exit === 'OK' && chosen === undefined)
    return goOnWithProduction(context, { plan, file, selection, exclusive });
  await writeNextSteps(context, steps, file);
  return exit;
}

/** A walk asks questions; where nobody can answer, the target must be said. */
function requireSomebody({ interactive, options }: CommandContext): void {
  if (interactive && !options.json) return;
  throw new RestorePlanError('USAGE', 'say which target to apply to', {
    hint: 'First `plan apply --target staging`. Without --target, plan apply walks through staging and production on a terminal.',
  });
}

function targetsNeeded({ targets }: Plan, chosen: TargetName | undefined): TargetName[] {
  const goesOn = chosen === undefined && targets.production !== undefined;
  return chosen === 'production' || goesOn ? ['staging', 'production'] : ['staging'];
}
