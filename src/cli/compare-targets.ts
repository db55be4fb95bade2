/** Compares a selection with every target that can be reached, one after the other. */
import { compareServers, sameServerObstacle } from '../apply/gate.ts';
import type { TargetStatus } from '../apply/restore-status.ts';
import type { DocumentForms } from '../comparison/compare-with-target.ts';
import type { ComparedDocument, TargetComparison } from '../comparison/comparison.ts';
import { DocumentSpill } from '../comparison/target-memory.ts';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import type { DocumentPlace } from '../report/report-model.ts';
import type { Restore } from '../restore/restore.ts';
import { SHORT_PATIENCE_MS } from '../restore/targets.ts';
import { CommandFailure } from '../target/command-failure.ts';
import type { ServerIdentity } from '../target/target.ts';
import type { CommandContext } from './context.ts';
import { warnOfApprovals } from './next-step.ts';
import { sayTyped } from './views/next-step.ts';

interface Shown {
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
  restore: Restore,
  { targets, show, showDangling, each }: Shown,
): Promise<ComparisonResults> {
  const comparisons: TargetComparison[] = [];
  const failures: TargetFailure[] = [];
  const statuses: TargetStatus[] = [];
  const servers: ServerIdentity[] = [];
  for (const target of targets) {
    try {
      const shown = {
        ...{ show, showDangling, patienceMs: SHORT_PATIENCE_MS },
        ...(each && {
          each: ({ collection }, document) => each.take(target, collection, document),
          most: each.most,
          forms: each.forms,
        }),
      } satisfies Parameters<Restore['compare']>[1];
      comparisons.push(await restore.compare(target, shown));
      servers.push((await restore.connect(target, SHORT_PATIENCE_MS)).reader.identity);
      statuses.push(...(await statusIfReadable(context, restore, target)));
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
  emit({ type: 'warning', message: `${fact}: plan apply will refuse. ${sayTyped(remedy)}` });
}

/** A comparison does not need the ledger, and an apply will refuse one that it cannot read. */
async function statusIfReadable(
  context: CommandContext,
  restore: Restore,
  name: TargetName,
): Promise<TargetStatus[]> {
  try {
    const status = await restore.status(name, SHORT_PATIENCE_MS);
    warnOfApprovals(context, status);
    return [status];
  } catch (error) {
    context.signal.throwIfAborted();
    if (!(error instanceof RestorePlanError)) throw error;
    context.emit({
      type: 'warning',
      message: `the ledger of ${name} cannot be read: ${error.message}`,
    });
    return [];
  }
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
