/**
 * One of several machines that read a backup together: scans its share of the slices of one level and hands in what came of each.
 *
 * What was handed in before is left alone, so that a worker that was killed goes on where it was. Nothing is kept on its own disk.
 */
import type { Backup, SeparateMember } from '../backup/backup.ts';
import { RestorePlanError } from '../errors.ts';
import type { Plan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import { TimeLimit } from '../selection/document-walk.ts';
import { type CollectionRoutes, collectionRoutes } from '../selection/routes.ts';
import { KeptMemory } from '../selection/slices/kept-memory.ts';
import { encodePart, keptBytes } from '../selection/slices/part.ts';
import { sliceMembers } from '../selection/slices/read-slices.ts';
import { scopeOf } from '../selection/slices/scope.ts';
import { SliceScanner } from '../selection/slices/select-slice.ts';
import type { Exchange } from './exchange.ts';
import { decodeKeys } from './parent-keys.ts';
import { refused, sliceId, type Undertaking } from './undertaking.ts';

export interface WorkerShare {
  readonly plan: Plan;
  readonly backup: Backup;
  readonly exchange: Exchange;
  readonly undertaking: Undertaking;
  readonly level: number;
  /** Below `workers`. */
  readonly index: number;
  readonly workers: number;
}

/** Slices of a worker's share, and how many of them had been handed in before. */
export interface WorkerResult {
  readonly slices: number;
  readonly before: number;
  readonly bytesRead: number;
}

/** Throws BACKUP where the backup cannot be read, INCOMPLETE where the level before was not joined, WORK_DIRECTORY of the exchange. */
export async function doShare(run: Run, share: WorkerShare): Promise<WorkerResult> {
  const { plan, backup, exchange, undertaking, level, index, workers } = share;
  const routes = collectionRoutes(plan).filter((each) => each.level === level);
  if (routes.length === 0)
    throw new RestorePlanError('USAGE', `the plan has no level ${level}`, { hint: 'Levels count from 0.' });
  const files = await undertaking.list(exchange, level);
  if (level > 0) await readKeys(share, routes, files);
  const there = new Set(files.filter(({ kind }) => kind === 'part').map(({ id }) => id));

  const collections = routes.map(({ collection }) => collection);
  const members: SeparateMember[] = [];
  for await (const piece of backup.apart?.(new Set(collections)) ?? [])
    if (piece.type === 'member') members.push(piece.member);
  const sliced = await sliceMembers(members, undertaking.sliceBytes);
  const mine = sliced.slices.filter((_, number) => number % workers === index);
  const left = mine.filter((slice) => !there.has(sliceId(slice)));
  const totalBytes = left.reduce((sum, { from, to }) => sum + to - from, 0);
  run.emit({ type: 'selection-started', collections, totalBytes });

  const scopes = new Map(routes.map((each) => [each.collection, scopeOf(each, plan.source.database)]));
  const scanner = new SliceScanner(scopes, new TimeLimit(), run.signal);
  const room = new KeptMemory();
  let [bytesRead, scanned, selected] = [0, 0, 0];
  let handingIn: Promise<void> = Promise.resolve();
  try {
    for (const slice of left) {
      run.signal.throwIfAborted();
      const part = await scanner.scan(slice, {
        member: sliced.members.get(slice.member.id) as SeparateMember,
        stored: (bytes) => {
          bytesRead += bytes;
        },
        room,
      });
      scanned += part.documents;
      selected += keptBytes(part);
      // While the next one is read.
      await handingIn;
      handingIn = undertaking.put(exchange, { kind: 'part', level, id: sliceId(slice) }, encodePart(part));
      room.giveBack(part.kept);
      handingIn.catch(() => undefined); // thrown where it is awaited
      run.emit({ type: 'selection-progress', bytesRead, scanned, selected });
    }
  } finally {
    await handingIn;
  }
  // What stopped it an earlier time is over.
  for (const { kind, id, file } of files)
    if (kind === 'failure' && id === String(index)) await exchange.remove(file.name);
  return { slices: mine.length, before: mine.length - left.length, bytesRead };
}

async function readKeys(
  { exchange, undertaking, level }: WorkerShare,
  routes: readonly CollectionRoutes[],
  files: Awaited<ReturnType<Undertaking['list']>>,
): Promise<void> {
  const keys = undertaking.keysIn(exchange, files);
  if (keys === undefined)
    throw new RestorePlanError(
      'INCOMPLETE',
      `level ${level} cannot be read yet: level ${level - 1} was not joined`,
      {
        hint: `Join it first: --join --level ${level - 1}.`,
      },
    );
  if (!decodeKeys(await undertaking.get(exchange, keys), routes))
    throw refused(exchange, keys.file, 'holds keys of other routes than the plan has');
}
