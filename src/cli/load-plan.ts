/** The plan that a command works on. */
import { RestorePlanError } from '../errors.ts';
import { STDIN } from '../plan/extends.ts';
import { planFailure } from '../plan/fault.ts';
import type { Plan } from '../plan/plan.ts';
import { type ReadPlanOptions, readPlan } from '../plan/read-plan.ts';
import type { Restore } from '../restore/restore.ts';
import type { CommandContext } from './context.ts';

/**
 * Reads and checks it; throws PLAN_INVALID with all its faults. Variables that are not set are left to the caller
 * (`Restore.require`): which ones matter depends on what the command connects to. `refuseFuture`: the command reads the backup. Its
 * connections are closed when the command ends.
 */
export async function openPlan(
  context: CommandContext,
  file: string,
  { refuseFuture = false }: Pick<ReadPlanOptions, 'refuseFuture'> = {},
): Promise<Restore> {
  requirePipe(context, [file]);
  const { env, stdin, cwd, now } = context;
  const reading = await readPlan(file, { env, stdin, cwd, now: now(), refuseFuture });
  // All that touches backups and databases: what only looks at a plan starts without.
  const { Restore } = await import('../restore/restore.ts');
  const restore = Restore.of(context, reading);
  context.atEnd(() => restore.close());
  return restore;
}

/**
 * The plan of a command that reads no documents and no target: what it has not been given yet, a query, a reason, the targets, does not matter.
 * Throws PLAN_INVALID with all other faults.
 */
export async function loadIncompletePlan(context: CommandContext, file: string): Promise<Plan> {
  requirePipe(context, [file]);
  const { env, stdin, cwd, now } = context;
  const { plan, faults, notes } = await readPlan(file, { env, stdin, cwd, now: now(), incomplete: true });
  if (plan === undefined) throw planFailure(faults, notes);
  return plan;
}

/** The plan alone, for commands that connect to nothing. */
export async function loadPlan(context: CommandContext, file: string): Promise<Plan> {
  return (await openPlan(context, file)).plan;
}

/** Throws USAGE for a plan `-` that cannot be read: stdin holds one plan, and a terminal none. */
export function requirePipe({ stdin }: Pick<CommandContext, 'stdin'>, files: readonly string[]): void {
  const fromStdin = files.filter((file) => file === STDIN);
  const hint = 'Pipe one plan in, as in `cat plan.yaml | plan validate -`.';
  if (fromStdin.length > 1) throw new RestorePlanError('USAGE', 'stdin (-) is named twice', { hint });
  if (fromStdin.length === 1 && stdin().isTTY)
    throw new RestorePlanError('USAGE', 'the plan - is read from stdin, and stdin is a terminal', { hint });
}
