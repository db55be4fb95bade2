/** Connections that a command holds until it ends. */
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import { nearest } from '../plan/nearest.ts';
import type { Plan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import { connectTarget } from '../target/connect.ts';
import type { Target } from '../target/target.ts';

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
export async function connectTargets(run: Run, plan: Plan, name: TargetName): Promise<ApplyTargets> {
  const connecting =
    name === 'production' ? connect(run, plan, { name: 'staging' }) : connectIfReachable(run, plan);
  connecting.catch(() => undefined); // its failure waits for its turn
  let target: Target;
  try {
    target = await connect(run, plan, { name });
    await requireDatabase(run, target).catch(closing(target));
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
export async function connect(run: Run, plan: Plan, { name, ...patience }: Wanted): Promise<Target> {
  const targetPlan = plan.targets[name];
  if (targetPlan === undefined) {
    throw new RestorePlanError('USAGE', `the plan has no target ${name}`, {
      hint: `Add targets.${name} to the plan.`,
    });
  }
  const target = await connectTarget(run, name, targetPlan, patience);
  for (const message of target.notes) run.emit({ type: 'warning', message });
  return target;
}

/**
 * A name with a typing mistake would make a new database, and a staging that nobody looks at would open production: throws TARGET for a
 * missing database unless the plan says that it is to be made, or, in staging, unless no other one of the server comes near.
 */
export async function requireDatabase({ emit }: Run, { name, plan, reader }: Target): Promise<void> {
  const { database } = reader;
  const names = await reader.databaseNames();
  if (names === undefined || names.includes(database)) return;
  const written = `targets.${name}.database`;
  const twin = names.find((each) => each.toLowerCase() === database.toLowerCase());
  if (twin !== undefined) {
    throw new RestorePlanError(
      'TARGET',
      `${name}: the server has a database ${JSON.stringify(twin)}, and makes none beside it whose name differs by case only (${JSON.stringify(database)})`,
      { hint: `Correct ${written}.` },
    );
  }
  if (plan.create !== true) {
    const near = nearest(
      database,
      names.filter((each) => !OF_THE_SERVER.has(each)),
    );
    if (near !== undefined || name === 'production') {
      const meant = near === undefined ? '' : ` Did you mean ${JSON.stringify(near)}?`;
      throw new RestorePlanError(
        'TARGET',
        `${name}: the server has no database ${JSON.stringify(database)}.${meant}`,
        { hint: `Correct ${written}; or write \`create: true\` beside it, if the database is to be made.` },
      );
    }
  }
  emit({ type: 'warning', message: `${name} has no database ${database} yet: apply creates it` });
}

const OF_THE_SERVER: ReadonlySet<string> = new Set(['admin', 'config', 'local']);

function closing(target: Target): (error: unknown) => Promise<never> {
  return async (error) => {
    await target.close();
    throw error;
  };
}

async function connectIfReachable(run: Run, plan: Plan): Promise<Target | undefined> {
  if (plan.targets.production?.uri === undefined) return undefined;
  try {
    return await connect(run, plan, { name: 'production', patienceMs: SHORT_PATIENCE_MS });
  } catch (error) {
    run.signal.throwIfAborted();
    if (!(error instanceof RestorePlanError)) throw error;
    const message = `production does not answer from here, so nothing proves that staging is another server; production's own gate will ask again (${error.message})`;
    run.emit({ type: 'warning', message });
    return undefined;
  }
}
