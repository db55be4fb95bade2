/** Connections that a command holds until it ends. */
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import type { Plan } from '../plan/plan.ts';
import { connectTarget } from '../target/connect.ts';
import type { Target } from '../target/target.ts';
import type { CommandContext } from './context.ts';

export interface ApplyTargets {
  /** The one to be written to. */
  readonly target: Target;
  /** The other one: staging vouches for production; production is what staging must not be. */
  readonly other: Target | undefined;
  close(): Promise<void>;
}

/** For a target that a command can do without: it does not wait a minute. */
export const SHORT_PATIENCE_MS = 8_000;

/**
 * Connects to the target, and meanwhile to the other one: to production only if it answers, to staging in any case, because
 * without it production stays shut. Throws TARGET, and USAGE when the plan has no such target.
 */
export async function connectTargets(
  context: CommandContext,
  plan: Plan,
  name: TargetName,
): Promise<ApplyTargets> {
  const connecting =
    name === 'production' ? connect(context, plan, { name: 'staging' }) : connectIfReachable(context, plan);
  connecting.catch(() => undefined); // its failure waits for its turn
  let target: Target;
  try {
    target = await connect(context, plan, { name });
  } catch (error) {
    void connecting.then((other) => other?.close()).catch(() => undefined);
    throw error;
  }
  let other: Target | undefined;
  try {
    other = await connecting;
  } catch (error) {
    await target.close();
    throw error;
  }
  return {
    target,
    other,
    async close() {
      await Promise.all([target.close(), other?.close()]);
    },
  };
}

interface Wanted {
  readonly name: TargetName;
  readonly patienceMs?: number;
}

/** One target of the plan. */
export async function connect(
  { emit, signal }: CommandContext,
  plan: Plan,
  { name, ...patience }: Wanted,
): Promise<Target> {
  const targetPlan = plan.targets[name];
  if (targetPlan === undefined) {
    throw new RestorePlanError('USAGE', `the plan has no target ${name}`, {
      hint: `Add targets.${name} to the plan.`,
    });
  }
  const target = await connectTarget(name, targetPlan, { emit, signal, ...patience });
  for (const message of target.notes) emit({ type: 'warning', message });
  return target;
}

async function connectIfReachable(context: CommandContext, plan: Plan): Promise<Target | undefined> {
  if (plan.targets.production?.uri === undefined) return undefined;
  try {
    return await connect(context, plan, { name: 'production', patienceMs: SHORT_PATIENCE_MS });
  } catch (error) {
    context.signal.throwIfAborted();
    if (!(error instanceof RestorePlanError)) throw error;
    const message = `production does not answer from here, so nothing proves that staging is another server; production's own gate will ask again (${error.message})`;
    context.emit({ type: 'warning', message });
    return undefined;
  }
}
