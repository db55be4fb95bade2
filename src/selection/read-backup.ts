/**
 * In which order the collections of a plan are read and decided about.
 */
import type { Backup } from '../backup/backup.ts';
import { refuseUnmatched } from './backup-contents.ts';
import type { BackupScan } from './backup-scan.ts';
import type { CollectionSelector } from './collection-selector.ts';

/** Reads what the plan needs and decides about every document of it. */
export async function readBackup(
  backup: Pick<Backup, 'access'>,
  scan: BackupScan,
  selectors: readonly CollectionSelector[],
): Promise<void> {
  const levels = byLevel(selectors);
  if (backup.access === 'sequential') await readOnce(scan, selectors);
  for (const level of levels) {
    if (backup.access === 'random') await scan.read(level);
    await decideSpooled(level);
    // After each level: what a query at the top did not find, no dependent needs to be read for.
    refuseUnmatched(
      level.flatMap(({ chooser, scanned }) =>
        chooser
          .unused()
          .filter(({ parent }) => parent === undefined)
          .map((route) => ({ route, scanned })),
      ),
    );
  }
}

/** Collections grouped so that each group's parents are in the groups before it, or (a tree, a loop) in the group itself. */
function byLevel(selectors: readonly CollectionSelector[]): CollectionSelector[][] {
  const levels = new Map<number, CollectionSelector[]>();
  for (const selector of selectors) {
    const { level } = selector.routes;
    levels.set(level, [...(levels.get(level) ?? []), selector]);
  }
  return [...levels.entries()].sort(([a], [b]) => a - b).map(([, level]) => level);
}

/**
 * One pass over a stream. A second one only where children were decided about before a further member of their parents
 * came (several shards in one stream): then those, and what depends on them, are read again and spooled.
 */
async function readOnce(scan: BackupScan, selectors: readonly CollectionSelector[]): Promise<void> {
  await scan.read(selectors);
  const again = new Set(selectors.filter(({ missedSome }) => missedSome));
  if (again.size === 0) return;
  for (const names = new Set<string>(); names.size < again.size; ) {
    for (const { routes } of again) names.add(routes.collection);
    for (const each of selectors) {
      if (!each.spooled && [...each.routes.parents].some((parent) => names.has(parent))) again.add(each);
    }
  }
  for (const each of again) await each.startAgain();
  await scan.read([...again]);
}

/** Decides about a group's spooled documents; where they decide about each other, goes through them until no key is new. */
async function decideSpooled(level: readonly CollectionSelector[]): Promise<void> {
  const spooled = level.filter((selector) => selector.spooled);
  const cyclic = spooled.filter(({ routes }) => routes.cyclic);
  const keysKnown = (): number => cyclic.reduce((sum, { chooser }) => sum + chooser.keysKnown, 0);
  for (let before = -1; before < keysKnown(); ) {
    before = keysKnown();
    for (const selector of cyclic) await selector.lookForKeys();
  }
  for (const selector of spooled) await selector.decideSpooled();
}
