/** `plan approve`: a second person's word on the verified staging run, or on what was accepted in production, after a look at it. */

import { approveRun, isApprovable } from '../../apply/accept.ts';
import { approvalObstacle } from '../../apply/gate-rules.ts';
import { nextSteps, type TargetStatus, targetStatus } from '../../apply/restore-status.ts';
import type { TargetName } from '../../events.ts';
import { readAccepted } from '../../ledger/accepted.ts';
import type { Plan } from '../../plan/plan.ts';
import type { Target, TargetReader } from '../../target/target.ts';
import type { OptionValue, OptionValues } from '../command.ts';
import { confirm } from '../confirm.ts';
import { connect } from '../connect-targets.ts';
import type { CommandContext } from '../context.ts';
import { loadPlan, requireVariables } from '../load-plan.ts';
import { approvalsOf, knownTarget, writeNextSteps } from '../next-step.ts';
import { pageStyle, show, writeLines } from '../view.ts';
import { approvalLines, approveView } from '../views/approve.ts';

export async function run(
  context: CommandContext,
  [file = '']: readonly string[],
  options: OptionValues,
): Promise<void> {
  const plan = await loadPlan(context, file);
  const name = (options['target'] ?? 'staging') as TargetName;
  requireVariables(plan, [name]);
  const target = await connect(context, plan, { name });
  try {
    const status = await targetStatus(plan, target.reader);
    await lookAndConfirm(context, { plan, status, reader: target.reader, given: options['confirm'] });
    const shown = status.run?.key.selection;
    const approval = await approveRun({ plan, target, actor: context.operator, digest: shown });
    await show(context, approveView(name, approval));
    if (name === 'staging') await sayWhatComesNext(context, { plan, file, staging: target });
  } finally {
    await target.close();
  }
}

interface Question {
  readonly plan: Plan;
  readonly status: TargetStatus;
  readonly reader: TargetReader;
  /** Value of `--confirm`. */
  readonly given: OptionValue;
}

/**
 * Shows what is to be approved and asks for the name of the database that it opens. What cannot be approved is not asked about: `approveRun` says why. Throws
 * USAGE where nobody says the name, or says another.
 */
async function lookAndConfirm(
  context: CommandContext,
  { plan, status, reader, given }: Question,
): Promise<void> {
  const { run, isOfAnotherPlanVersion } = status;
  if (run === undefined || !isApprovable(run) || isOfAnotherPlanVersion) return;
  const { approvals, serverUser } = status;
  if (approvals === undefined) return;
  const approver = { ...context.operator, serverUser };
  if (approvalObstacle(run, approver, approvals.by) !== undefined) return;
  await context.endProgress();
  if (!context.options.quiet) {
    const { sums } = await readAccepted(reader, run.key);
    const accepted = sums.filter(({ kind }) => kind === 'accepted');
    const facts = { plan, run, database: status.database, approvals, approver, accepted };
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

interface After {
  readonly plan: Plan;
  readonly file: string;
  readonly staging: Target;
}

async function sayWhatComesNext(context: CommandContext, { plan, file, staging }: After): Promise<void> {
  const status = await targetStatus(plan, staging.reader);
  const steps = nextSteps({
    staging: knownTarget(plan, status),
    production: plan.targets.production === undefined ? undefined : 'unknown',
    approvals: approvalsOf(plan, status),
    gate: undefined,
  });
  await writeNextSteps(context, steps, file);
}
