/**
 * In which order the collections of a plan are read and decided about.
 */
import type { Backup } from '../backup/backup.ts';
import { BsonFault } from '../bson/elements.ts';
import type { Emit } from '../events.ts';
import { QueryFault } from '../query/query-fault.ts';
import type { BackupScan } from './backup-scan.ts';
import type { CollectionSelector } from './collection-selector.ts';
import { UnfitId } from './document-fault.ts';
import { refuseUnmatched } from './refusals.ts';
import { WaitingReferences } from './waiting-references.ts';

interface Reading {
  readonly backup: Pick<Backup, 'access' | 'identity'>;
  readonly scan: BackupScan;
  readonly selectors: readonly CollectionSelector[];
  readonly emit: Emit;
}

/** Reads what the plan needs and decides about every document of it. */
export async function readBackup({ backup, scan, selectors, emit }: Reading): Promise<void> {
  if (backup.access !== 'random') await scan.read(selectors);
  for (const level of byLevel(selectors)) {
    if (backup.access === 'random') await scan.read(level);
    const undecided = await decide(level, scan);
    if (undecided.length > 0) {
      emit({ type: 'warning', message: readAgainBecause(undecided, backup.identity.location) });
      await scan.readAgain(undecided);
    }
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
    const same = levels.get(level);
    if (same === undefined) levels.set(level, [selector]);
    else same.push(selector);
  }
  return [...levels.entries()].sort(([a], [b]) => a - b).map(([, level]) => level);
}

/** Decides about what a group has put off. Returns those that need documents that were not kept. */
async function decide(
  level: readonly CollectionSelector[],
  scan: BackupScan,
): Promise<readonly CollectionSelector[]> {
  const cyclic = level.filter(({ routes }) => routes.cyclic);
  if (cyclic.length > 0) await closeOver(cyclic, scan);
  const undecided: CollectionSelector[] = [];
  for (const each of level) if (!(await locateFaults(each, scan, () => each.decide()))) undecided.push(each);
  return undecided;
}

/**
 * Finds all keys of documents that decide about each other. One reading of them is enough where the documents that wait for parents find
 * room; else they are read until no key is new.
 */
async function closeOver(cyclic: readonly CollectionSelector[], scan: BackupScan): Promise<void> {
  const keysKnown = (): number => cyclic.reduce((sum, { chooser }) => sum + chooser.keysKnown, 0);
  const waiting = new WaitingReferences(cyclic.flatMap(({ routes }) => routes.routes));
  for (let before = -1; before < keysKnown() && !(before >= 0 && waiting.isComplete); ) {
    before = keysKnown();
    waiting.begin();
    for (const each of cyclic) await locateFaults(each, scan, () => each.lookForKeys(waiting));
  }
}

/** Where a document was put off and is now found damaged, the collection is read again to say where the document lies. */
async function locateFaults<T>(
  selector: CollectionSelector,
  scan: BackupScan,
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (fault) {
    if (![BsonFault, QueryFault, UnfitId].some((each) => fault instanceof each)) throw fault;
    await scan.readAgain([selector]);
    throw fault;
  }
}

function readAgainBecause(undecided: readonly CollectionSelector[], location: string): string {
  const names = undecided.map(({ routes }) => routes.collection).join(', ');
  return (
    `${location} holds more parents of ${names} after them, and they were too many to be kept on disk until then: ` +
    'it is read once more. More free space for --work-dir may avoid that.'
  );
}
