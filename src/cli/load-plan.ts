/** The plan that a command works on. */
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import type { Plan } from '../plan/plan.ts';
import { STDIN } from '../plan/plan-text.ts';
import { type ReadPlanOptions, readPlan } from '../plan/read-plan.ts';
import type { CommandContext } from './context.ts';
import { faultCount, faultsText } from './views/validate.ts';

/**
 * Reads and checks it; throws PLAN_INVALID with all its faults. Variables that are not set are left to the caller
 * (`plan.unsetVariables`): which ones matter depends on what the command connects to. `refuseFuture`: the command reads the backup.
 */
export async function loadPlan(
  context: CommandContext,
  file: string,
  { refuseFuture = false }: Pick<ReadPlanOptions, 'refuseFuture'> = {},
): Promise<Plan> {
  requirePipe(context, [file]);
  const { env, stdin, now } = context;
  const { plan, faults, notes } = await readPlan(file, { env, stdin, now: now(), refuseFuture });
  if (plan !== undefined) {
    if (plan.targets.production?.gate.acceptKept) context.emit({ type: 'warning', message: ACCEPT_KEPT });
    return plan;
  }
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

const ACCEPT_KEPT =
  'gate.acceptKept: production opens also after a staging run in which every document was kept, so that nothing was verified there';

/** Throws USAGE for a plan `-` that cannot be read: stdin holds one plan, and a terminal none. */
export function requirePipe({ stdin }: Pick<CommandContext, 'stdin'>, files: readonly string[]): void {
  const fromStdin = files.filter((file) => file === STDIN);
  const hint = 'Pipe one plan in, as in `cat plan.yaml | plan validate -`.';
  if (fromStdin.length > 1) throw new RestorePlanError('USAGE', 'stdin (-) is named twice', { hint });
  if (fromStdin.length === 1 && stdin.isTTY)
    throw new RestorePlanError('USAGE', 'the plan - is read from stdin, and stdin is a terminal', { hint });
}

// Variables that a command cannot do without.

/**
 * Throws PLAN_INVALID, naming every variable that is not set and that the source, the queries or one of these targets
 * needs. An empty connection string must never be taken for another one.
 */
export function requireVariables(plan: Plan, targets: readonly TargetName[]): void {
  const elsewhere = (['staging', 'production'] as const)
    .filter((name) => !targets.includes(name))
    .map((name) => `targets.${name}.`);
  const missing = plan.unsetVariables.filter(
    ({ path }) => !path.startsWith('followUps') && !elsewhere.some((prefix) => path.startsWith(prefix)),
  );
  if (missing.length === 0) return;
  const names = [...new Set(missing.map(({ name }) => name))];
  const uses = missing.map(
    ({ name, where, message }) => `  ${name} at ${where}${message ? `: ${message}` : ''}`,
  );
  const empty = missing.filter(({ isEmpty }) => isEmpty).length;
  const state = empty === 0 ? 'not set' : empty === missing.length ? 'empty' : 'not set or empty';
  throw new RestorePlanError(
    'PLAN_INVALID',
    `${names.length === 1 ? `the variable ${names[0]} is` : `the variables ${names.join(', ')} are`} ${state}\n${uses.join('\n')}`,
    {
      hint: `Set ${names.length === 1 ? 'it' : 'them'} in the environment or in a file given with --env-file.`,
      facts: { variables: names },
    },
  );
}
