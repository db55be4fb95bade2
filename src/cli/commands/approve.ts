/** `plan approve`: a second person's word on the verified staging run. */
import { approveRun } from '../../apply/approve-run.ts';
import { connect } from '../connect-targets.ts';
import type { CommandContext } from '../context.ts';
import { loadPlan } from '../load-plan.ts';
import { requireVariables } from '../require-variables.ts';

export async function run(context: CommandContext, [file = '']: readonly string[]): Promise<void> {
  const plan = await loadPlan(context, file);
  requireVariables(plan, ['staging']);
  const staging = await connect(context, plan, { name: 'staging' });
  try {
    const { digest, approvers, needed } = await approveRun({ plan, staging, actor: context.operator });
    await context.endProgress();
    context.json({ type: 'approve', selection: { digest }, approvers, needed });
    if (context.options.json) return;
    const missing = Math.max(0, needed - approvers.length);
    const rest = missing === 0 ? 'that is all the plan asks for' : `${missing} more to come`;
    context.stdout.write(`Approved by ${context.operator.user}: ${rest}.\n`);
  } finally {
    await staging.close();
  }
}
