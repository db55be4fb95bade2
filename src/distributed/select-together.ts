/**
 * A selection that many machines make: for each level of the plan, parents before dependents, a cluster runs workers that read slices of the backup and
 * hand in what they chose; this machine joins it. Killed and started again, it goes on from what lies in the exchange.
 */

import { advice } from '../advice.ts';
import type { Backup } from '../backup/backup.ts';
import { RestorePlanError } from '../errors.ts';
import { collectionNames, type Plan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import { collectionRoutes } from '../selection/routes.ts';
import type { ArrayJob, Engine } from './engines/engine.ts';
import type { Exchange } from './exchange.ts';
import { ExchangeRunner, type LevelWork } from './exchange-runner.ts';
import { familyOf, foldersOf, isOfFamily, Undertaking } from './undertaking.ts';

/** Slices of a backup: so many, as long as each is worth a request and none more than a worker keeps in memory. */
const SLICES = 256;
const LEAST_SLICE_BYTES = 4 * 1024 * 1024;
const MOST_SLICE_BYTES = 64 * 1024 * 1024;

/** Known to every machine by itself, from the plan and the backup alone. Throws USAGE for a backup of which workers cannot read parts. */
export function undertakingOf(plan: Plan, backup: Backup): Undertaking {
  requireParts(plan, backup);
  const bytes = backup.storedBytes(collectionNames(plan)) ?? 0;
  let sliceBytes = LEAST_SLICE_BYTES;
  while (sliceBytes < MOST_SLICE_BYTES && bytes / sliceBytes > SLICES) sliceBytes *= 2;
  return Undertaking.of(plan, backup.identity, sliceBytes);
}

function requireParts(plan: Plan, backup: Backup): void {
  const { identity } = backup;
  if (plan.source.oplog !== undefined)
    throw new RestorePlanError('USAGE', 'documents that an oplog rolls forward are selected on one machine', {
      hint: 'Leave out --engine, --worker and --join: the oplog is read once, and each document is known only with it.',
    });
  if (backup.apart !== undefined) return;
  throw new RestorePlanError(
    'USAGE',
    `${identity.location} (${identity.kind}) cannot be read in parts: further machines would have nothing to do`,
    {
      hint: advice`A folder or prefix of a dump, a .tar that is not compressed, or single files can be. Else select on one machine: ${{ command: 'select' }} without --engine.`,
    },
  );
}

/** How many levels a plan has, and which collections each. */
export function levelsOf(plan: Plan): string[][] {
  const levels: string[][] = [];
  for (const { level, collection } of collectionRoutes(plan)) {
    levels[level] ??= [];
    levels[level].push(collection);
  }
  return levels;
}

export interface ClusterWork {
  readonly plan: Plan;
  readonly engine: Engine;
  /** At most. */
  readonly workers: number;
  /** Arguments with which a worker of a level is started. */
  readonly arguments: (level: number, workers: number) => readonly string[];
}

/** What scans the slices of a selection: workers of a cluster. */
export function clusterRunner(
  run: Run,
  { plan, engine, workers, arguments: args }: ClusterWork,
  { exchange, undertaking }: { readonly exchange: Exchange; readonly undertaking: Undertaking },
): ExchangeRunner {
  const names = levelsOf(plan);
  const work = async ({ level, slices, missing, told }: LevelWork): Promise<void> => {
    const count = Math.min(workers, slices);
    const indexes = [...new Set(missing.map((number) => number % count))].sort((a, b) => a - b);
    const job: ArrayJob = {
      name: undertaking.jobName(level),
      title: titleOf(plan, level, names[level] ?? []),
      workers: count,
      indexes,
      arguments: args(level, count),
    };
    await engine.run(run, job, told).catch((error: unknown) => {
      run.signal.throwIfAborted(); // Ctrl-C ends the engine's own command, too
      throw error;
    });
  };
  return new ExchangeRunner(run, { exchange, undertaking, routes: collectionRoutes(plan), work });
}

/** `level 0 of partner-57d17993: artworks` */
export function titleOf({ name }: Pick<Plan, 'name'>, level: number, collections: readonly string[]): string {
  return `level ${level} of ${name}: ${collections.join(', ')}`.replace(/[^\x20-\x7e]/g, '?');
}

/** Ends the jobs of a plan and removes all that it has in the exchange; returns how many files that were. */
export async function cleanExchange(
  plan: Pick<Plan, 'name'>,
  exchange: Exchange,
  engine: Engine | undefined,
): Promise<number> {
  const family = familyOf(plan);
  await engine?.clean((name) => isOfFamily(name, family));
  let files = 0;
  for (const folder of await foldersOf(exchange, family)) files += await exchange.clear(folder);
  return files;
}
