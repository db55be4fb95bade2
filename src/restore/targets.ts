/** The targets of a plan: connections to them, and what must be true before they are used. */
import { advice } from '../advice.ts';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import { nearest } from '../plan/nearest.ts';
import type { Plan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import { connectTarget } from '../target/connect.ts';
import type { Target } from '../target/target.ts';

/** For a target that a command can do without: it does not wait a minute. */
export const SHORT_PATIENCE_MS = 8_000;

/** The target to be written to, and the other one. */
export interface TargetPair {
  readonly target: Target;
  /** Staging vouches for production; production is what staging must not be. Undefined: production that does not answer. */
  readonly other: Target | undefined;
}

/** Connections to the targets of a plan, each made when it is first asked for. */
export class Targets {
  readonly #run: Run;
  readonly #plan: Plan;
  readonly #open = new Map<string, Promise<Target>>();
  readonly #pairs = new Map<TargetName, Promise<TargetPair>>();
  #production: Promise<Target | undefined> | undefined;
  /** Those whose database was looked for. */
  readonly #used = new WeakSet<Target>();

  constructor(run: Run, plan: Plan) {
    this.#run = run;
    this.#plan = plan;
  }

  /** Throws TARGET, and USAGE when the plan has no such target. `patienceMs`: how long a step waits; the usual time where left out. */
  connect(name: TargetName, patienceMs?: number): Promise<Target> {
    return kept(this.#open, `${name} ${patienceMs}`, () => this.#connect(name, patienceMs));
  }

  /** For a target that is compared or written to. Throws TARGET where its database is not there, and is not to be made. */
  async requireDatabase(target: Target): Promise<void> {
    if (this.#used.has(target)) return;
    await requireDatabase(this.#run, target);
    this.#used.add(target);
  }

  /**
   * Connects to the target, and meanwhile to the other one: to production only if it answers, to staging in any case, because
   * without it production stays shut. Throws TARGET, and USAGE when the plan has no such target.
   */
  pair(name: TargetName): Promise<TargetPair> {
    return kept(this.#pairs, name, () => this.#pair(name));
  }

  async #pair(name: TargetName): Promise<TargetPair> {
    const connecting =
      name === 'production'
        ? this.connect('staging')
        : this.productionIfReachable(
            "nothing proves that staging is another server; production's own gate will ask again",
          );
    connecting.catch(() => undefined); // its failure waits for its turn
    const target = await this.connect(name);
    await this.requireDatabase(target);
    return { target, other: await connecting };
  }

  /** Those that are being made are closed when they are there, and not waited for. */
  async close(): Promise<void> {
    const open = [...this.#open.values()];
    this.#open.clear();
    this.#pairs.clear();
    this.#production = undefined;
    for (const connecting of open) {
      const target = await Promise.race([connecting, NOT_YET]).catch(() => undefined);
      if (target !== undefined) await target.close();
      else connecting.then((late) => late.close()).catch(() => undefined);
    }
  }

  async #connect(name: TargetName, patienceMs: number | undefined): Promise<Target> {
    const targetPlan = this.#plan.targets[name];
    if (targetPlan === undefined) {
      throw new RestorePlanError('USAGE', `the plan has no target ${name}`, {
        hint: `Add targets.${name} to the plan.`,
      });
    }
    const target = await connectTarget(
      this.#run,
      name,
      targetPlan,
      patienceMs === undefined ? {} : { patienceMs },
    );
    for (const message of target.notes) this.#run.emit({ type: 'warning', message });
    return target;
  }

  /** Undefined where its connection string is not set or it does not answer, which is said; `consequence`: what follows from that. */
  productionIfReachable(consequence: string): Promise<Target | undefined> {
    this.#production ??= this.#productionIfReachable(consequence);
    return this.#production;
  }

  async #productionIfReachable(consequence: string): Promise<Target | undefined> {
    if (this.#plan.targets.production?.uri === undefined) return undefined;
    const { emit, signal } = this.#run;
    try {
      return await this.connect('production', SHORT_PATIENCE_MS);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof RestorePlanError)) throw error;
      const message = `production does not answer from here, so ${consequence} (${error.message})`;
      emit({ type: 'warning', message });
      return undefined;
    }
  }
}

const NOT_YET = Promise.resolve(undefined);

/** What is being made under this key, or begins to be now. What fails may be tried again. */
function kept<Key, Made>(all: Map<Key, Promise<Made>>, key: Key, make: () => Promise<Made>): Promise<Made> {
  const known = all.get(key);
  if (known !== undefined) return known;
  const making = make();
  all.set(key, making);
  making.catch(() => all.delete(key));
  return making;
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
      hint: advice`Set ${names.length === 1 ? 'it' : 'them'} in the environment or in a file given with ${{ option: 'env-file' }}.`,
      facts: { variables: names },
    },
  );
}
