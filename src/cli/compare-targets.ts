/** Compares a selection with every target that can be reached, one after the other. */
import { leftOutOf } from '../apply/accept.ts';
import { compareServers, sameServerObstacle } from '../apply/gate.ts';
import { type TargetStatus, targetStatus } from '../apply/restore-status.ts';
import { compareWithTarget, type DocumentForms } from '../comparison/compare-with-target.ts';
import type { ComparedDocument, TargetComparison } from '../comparison/comparison.ts';
import { DocumentSpill, TargetMemory } from '../comparison/target-memory.ts';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import type { Plan } from '../plan/plan.ts';
import type { DocumentPlace } from '../report/report-model.ts';
import type { Run } from '../run.ts';
import type { Selection } from '../selection/selection.ts';
import { CommandFailure } from '../target/command-failure.ts';
import type { ServerIdentity, TargetReader } from '../target/target.ts';
import { connect, requireDatabase, SHORT_PATIENCE_MS } from './connect-targets.ts';
import type { CommandContext } from './context.ts';
import { warnOfApprovals } from './next-step.ts';

interface ComparisonOrders {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly targets: readonly TargetName[];
  /** Documents kept per class and collection. */
  readonly show: number;
  /** Dangling references kept per collection. */
  readonly showDangling: number;
  readonly each?: EachDocument;
}

/** Who is given documents one by one, in which forms, and how many per class and collection. */
interface EachDocument {
  readonly take: (target: TargetName, collection: string, document: ComparedDocument) => Promise<void>;
  readonly most: number;
  readonly forms: DocumentForms;
}

interface ComparisonResults {
  readonly comparisons: readonly TargetComparison[];
  readonly failures: readonly TargetFailure[];
  /** Where the plan stands in the targets that were compared; one whose ledger cannot be read is not in it. */
  readonly statuses: readonly TargetStatus[];
}

export interface TargetFailure {
  readonly target: TargetName;
  readonly error: RestorePlanError;
  /** Nobody answered: a reviewer's machine often reaches staging only. Anything else is wrong with the target itself. */
  readonly unreachable: boolean;
}

/** Throws the first failure when not a single target could be compared. */
export async function compareTargets(
  context: CommandContext,
  orders: ComparisonOrders,
): Promise<ComparisonResults> {
  const comparisons: TargetComparison[] = [];
  const failures: TargetFailure[] = [];
  const statuses: TargetStatus[] = [];
  const servers: ServerIdentity[] = [];
  for (const target of orders.targets) {
    if (orders.plan.targets[target] === undefined) continue;
    try {
      const connection = await connect(context, orders.plan, { name: target, patienceMs: SHORT_PATIENCE_MS });
      try {
        await requireDatabase(context, connection);
        servers.push(connection.reader.identity);
        comparisons.push(await compareOne(context, orders, connection.reader));
        statuses.push(...(await statusIfReadable(context, orders.plan, connection.reader)));
      } finally {
        await connection.close();
      }
    } catch (error) {
      context.signal.throwIfAborted();
      if (!(error instanceof RestorePlanError) || error.code !== 'TARGET') throw error;
      failures.push({ target, error, unreachable: isUnreachable(error) });
      context.emit({ type: 'target-skipped', target, reason: error.message });
    }
  }
  warnOfSameServer(context, servers);
  if (comparisons.length === 0 && failures[0] !== undefined) throw failures[0].error;
  return { comparisons, failures, statuses };
}

/** Apply will refuse; the reviewer should hear of it first. */
function warnOfSameServer({ emit }: CommandContext, [staging, production]: readonly ServerIdentity[]): void {
  if (staging === undefined || production === undefined) return;
  if (compareServers(staging, production) !== 'same') return;
  const { fact, remedy } = sameServerObstacle('same');
  emit({ type: 'warning', message: `${fact}: plan apply will refuse. ${remedy}` });
}

/** A comparison does not need the ledger, and an apply will refuse one that it cannot read. */
async function statusIfReadable(
  context: CommandContext,
  plan: Plan,
  reader: TargetReader,
): Promise<TargetStatus[]> {
  try {
    const status = await targetStatus(plan, reader);
    warnOfApprovals(context, status);
    return [status];
  } catch (error) {
    context.signal.throwIfAborted();
    if (!(error instanceof RestorePlanError)) throw error;
    context.emit({
      type: 'warning',
      message: `the ledger of ${reader.name} cannot be read: ${error.message}`,
    });
    return [];
  }
}

/** Given a reader alone: a comparison has nothing to write with. */
async function compareOne(
  run: Run,
  { plan, selection, show, showDangling, each }: ComparisonOrders,
  reader: TargetReader,
): Promise<TargetComparison> {
  const memory = TargetMemory.empty(selection.manifest, run.now());
  const leftOut = await leftOutOf(run, { plan, selection, reader });
  const comparison = await compareWithTarget(run, {
    plan,
    selection,
    reader,
    leftOut,
    show,
    showDangling,
    memory,
    ...(each && {
      each: ({ collection }, document) => each.take(reader.name, collection, document),
      most: each.most,
      forms: each.forms,
    }),
  });
  await memory.save(run.workDirectory, reader);
  return comparison;
}

function isUnreachable(error: RestorePlanError): boolean {
  return error instanceof CommandFailure ? error.transient : error.cause !== undefined;
}

// The compared documents that are listed beside the page, of every target, through the disk: there may be hundreds of thousands, or large ones.

export class SpilledDocuments {
  readonly #workDirectory: string;
  readonly #spills = new Map<TargetName, DocumentSpill>();

  constructor(workDirectory: string) {
    this.#workDirectory = workDirectory;
  }

  readonly add = async (
    target: TargetName,
    collection: string,
    document: ComparedDocument,
  ): Promise<void> => {
    let spill = this.#spills.get(target);
    if (spill === undefined) {
      spill = await DocumentSpill.create(this.#workDirectory);
      this.#spills.set(target, spill);
    }
    await spill.add(collection, document);
  };

  /** Those of one class, in backup order. `collection` is the name in the backup. Nothing may be added any more. */
  async *read({
    target,
    collection,
    documentClass,
  }: DocumentPlace): AsyncGenerator<ComparedDocument, void, undefined> {
    const spill = this.#spills.get(target);
    if (spill !== undefined) yield* spill.read(collection, documentClass);
  }

  async close(): Promise<void> {
    for (const spill of this.#spills.values()) await spill.remove();
  }
}
