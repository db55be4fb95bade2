/** The plan that a command works on. */
import { RestorePlanError } from '../errors.ts';
import type { Plan } from '../plan/plan.ts';
import { readPlan } from '../plan/read-plan.ts';
import { faultCount, faultsText } from '../report/plan-faults/text.ts';
import type { CommandContext } from './context.ts';

/**
 * Reads and checks it; throws PLAN_INVALID with all its faults. Variables that are not set are left to the caller
 * (`plan.unsetVariables`): which ones matter depends on what the command connects to.
 */
export async function loadPlan(context: CommandContext, file: string): Promise<Plan> {
  const { plan, faults, notes } = await readPlan(file, { env: context.env });
  if (plan !== undefined) return plan;
  throw new RestorePlanError(
    'PLAN_INVALID',
    `the plan has ${faultCount(faults, notes)}\n\n${faultsText(faults, false)}`.trimEnd(),
    {
      hint: faults.every(({ rule }) => rule === 'file')
        ? 'Name the file of a plan; `plan init <file>` writes a new one.'
        : 'Correct it, and check it with `plan validate`.',
      facts: {
        faults: faults.map(({ file: where, line, column, rule, message }) => ({
          file: where,
          line,
          column,
          rule,
          message,
        })),
      },
    },
  );
}
