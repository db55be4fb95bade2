/** `plan approve`: a second person's word on the verified staging run, or on what was accepted in production, after a look at it. */

import { isApprovable } from '../../apply/accept.ts';
import { approvalObstacle } from '../../apply/gate-rules.ts';
import { differingOn, nextSteps, type PlanFacts, type TargetStatus } from '../../apply/restore-status.ts';
import type { TargetName } from '../../events.ts';
import { readAccepted } from '../../ledger/accepted.ts';
import type { Plan } from '../../plan/plan.ts';
import type { Restore } from '../../restore/restore.ts';
import { showCounted } from '../../text/quantities.ts';
import type { OptionValue, OptionValues } from '../command.ts';
import { confirm } from '../confirm.ts';
import type { CommandContext } from '../context.ts';
import { openPlan } from '../load-plan.ts';
import { pageStyle, show, typed, writeLines } from '../view.ts';
import { approvalLines, approveView } from '../views/approve.ts';
import { approvalsOf, knownTarget, writeNextSteps } from '../views/next-step.ts';

export async function run(
  context: CommandContext,
  [file = '']: readonly string[],
  options: OptionValues,
): Promise<void> {
  const restore = await openPlan(context, file);
  const { plan } = restore;
  const name = (options['target'] ?? 'staging') as TargetName;
  restore.require(name);
  const status = await restore.status(name);
  await lookAndConfirm(context, restore, { name, status, given: options['confirm'] });
  const approval = await restore.approve(name, status.run?.key.selection);
  await show(context, approveView(name, approval));
  if (name === 'staging') await writeNextSteps(context, nextSteps(factsOf(plan, await restore.status(name))));
}

/**
 * Shows what is to be approved and asks for the name of the database that it opens. What cannot be approved is not asked about: `approveRun` says why. Throws
 * USAGE where nobody says the name, or says another.
 */
async function lookAndConfirm(
  context: CommandContext,
  restore: Restore,
  {
    name,
    status,
    given,
  }: { readonly name: TargetName; readonly status: TargetStatus; readonly given: OptionValue },
): Promise<void> {
  const { plan } = restore;
  const { run, isOfAnotherPlanVersion } = status;
  if (run === undefined || !isApprovable(run) || isOfAnotherPlanVersion) return;
  const { approvals, serverUser } = status;
  if (approvals === undefined) return;
  const approver = { ...context.operator, serverUser };
  if (approvalObstacle(run, approver, approvals.by) !== undefined) return;
  const differing = name === 'staging' ? differingOn(knownTarget(plan, status)) : 0;
  if (differing > 0) context.emit({ type: 'warning', message: keptShut(context, differing) });
  await context.endProgress();
  if (!context.options.quiet) {
    const { reader } = await restore.connect(status.target);
    const { sums } = await readAccepted(reader, run.key);
    const accepted = sums.filter(({ kind }) => kind === 'accepted');
    const server = name === 'staging' ? await restore.productionServer() : undefined;
    const facts = { plan, run, database: status.database, approvals, approver, accepted, server };
    await writeLines(
      context.stderr,
      approvalLines(facts, { ...pageStyle(context, 'stderr'), now: context.now() }),
    );
  }
  const { staging, production } = plan.targets;
  const what =
    run.target === 'production'
      ? 'Approve that these documents are left out of production'
      : `Approve that this selection is written to ${production === undefined ? 'staging' : 'production'}`;
  await confirm(context, { what, database: (production ?? staging).database, given });
}

function keptShut({ given }: CommandContext, differing: number): string {
  const accept = typed(given)({ command: 'accept', target: 'staging', options: { reason: '…' } });
  const documents = `${showCounted(differing, 'document')} ${differing === 1 ? 'differs' : 'differ'} on staging`;
  return `${documents}: production stays shut until they are accepted (${accept}), and that takes back the approvals given before`;
}

function factsOf(plan: Plan, status: TargetStatus): PlanFacts {
  return {
    staging: knownTarget(plan, status),
    production: plan.targets.production === undefined ? undefined : 'unknown',
    approvals: approvalsOf(plan, status),
    gate: undefined,
  };
}
