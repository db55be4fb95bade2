/** Compares a selection with every target that can be reached, one after the other. */
import { compareServers, sameServerObstacle } from '../apply/gate.ts';
import { compareWithTarget } from '../comparison/compare-with-target.ts';
import type { ComparedDocument, TargetComparison } from '../comparison/comparison.ts';
import { TargetMemory } from '../comparison/target-memory.ts';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import type { Plan, TargetPlan } from '../plan/plan.ts';
import type { Selection } from '../selection/selection.ts';
import { CommandFailure } from '../target/command-failure.ts';
import { connectTarget } from '../target/connect.ts';
import type { ServerIdentity } from '../target/target.ts';
import type { CommandContext } from './context.ts';

export interface ComparisonOrders {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly targets: readonly TargetName[];
  /** Documents kept per class and collection. */
  readonly show: number;
  /** Dangling references kept per collection. */
  readonly showDangling: number;
  /** Is given every document; awaited. */
  readonly each?: (target: TargetName, collection: string, document: ComparedDocument) => Promise<void>;
}

export interface ComparisonResults {
  readonly comparisons: readonly TargetComparison[];
  readonly failures: readonly TargetFailure[];
}

export interface TargetFailure {
  readonly target: TargetName;
  readonly error: RestorePlanError;
  /** Nobody answered: a reviewer's machine often reaches staging only. Anything else is wrong with the target itself. */
  readonly unreachable: boolean;
}

/** A dry-run does not wait a minute for a target that it can do without. */
const PATIENCE_MS = 8_000;

/** Throws the first failure when not a single target could be compared. */
export async function compareTargets(
  context: CommandContext,
  orders: ComparisonOrders,
): Promise<ComparisonResults> {
  const comparisons: TargetComparison[] = [];
  const failures: TargetFailure[] = [];
  const servers: ServerIdentity[] = [];
  for (const target of orders.targets) {
    const targetPlan = orders.plan.targets[target];
    if (targetPlan === undefined) continue;
    try {
      const meet = (server: ServerIdentity) => servers.push(server);
      comparisons.push(await compareOne(context, orders, { name: target, plan: targetPlan, meet }));
    } catch (error) {
      context.signal.throwIfAborted();
      if (!(error instanceof RestorePlanError) || error.code !== 'TARGET') throw error;
      failures.push({ target, error, unreachable: isUnreachable(error) });
      context.emit({ type: 'target-skipped', target, reason: error.message });
    }
  }
  warnOfSameServer(context, servers);
  if (comparisons.length === 0 && failures[0] !== undefined) throw failures[0].error;
  return { comparisons, failures };
}

/** Apply will refuse; the reviewer should hear of it first. */
function warnOfSameServer({ emit }: CommandContext, [staging, production]: readonly ServerIdentity[]): void {
  if (staging === undefined || production === undefined) return;
  if (compareServers(staging, production) !== 'same') return;
  const { fact, remedy } = sameServerObstacle('same');
  emit({ type: 'warning', message: `${fact}: plan apply will refuse. ${remedy}` });
}

async function compareOne(
  { emit, signal, now, workDirectory }: CommandContext,
  { plan, selection, show, showDangling, each }: ComparisonOrders,
  chosen: {
    readonly name: TargetName;
    readonly plan: TargetPlan;
    readonly meet: (server: ServerIdentity) => void;
  },
): Promise<TargetComparison> {
  const target = await connectTarget(chosen.name, chosen.plan, { emit, signal, patienceMs: PATIENCE_MS });
  try {
    chosen.meet(target.reader.identity);
    for (const message of target.notes) emit({ type: 'warning', message });
    const memory = TargetMemory.empty(selection.manifest, now());
    const comparison = await compareWithTarget({
      plan,
      selection,
      // The reader alone: a comparison has nothing to write with.
      reader: target.reader,
      emit,
      show,
      showDangling,
      signal,
      memory,
      ...(each && { each: ({ collection }, document) => each(chosen.name, collection, document) }),
    });
    await memory.save(workDirectory, target.reader);
    return comparison;
  } finally {
    await target.close();
  }
}

function isUnreachable(error: RestorePlanError): boolean {
  return error instanceof CommandFailure ? error.transient : error.cause !== undefined;
}
