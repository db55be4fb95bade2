/** The selection of a plan: the one made before from the same backup, or a new one. */

import type { Backup } from '../backup/backup.ts';
import { openBackup } from '../backup/open-backup.ts';
import type { Patience } from '../backup/remote/patience.ts';
import { collectionNames, type Plan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import { freeMemory } from '../v8-flags.ts';
import type { Onlooker } from './backup-scan.ts';
import { findSelection } from './open-selection.ts';
import { selectDocuments } from './select-documents.ts';
import type { Selection } from './selection.ts';

export interface PrepareRequest {
  readonly plan: Plan;
  /** How long a store is waited for; the usual times where it is not given. */
  readonly patience?: Patience;
  /** What else the command needs: awaited when the backup is found, so that nothing large is read for a command that cannot go on. */
  readonly needs?: Promise<unknown>;
  /** Is shown what else a stream holds, if it is read for a new selection. */
  readonly onlooker?: Onlooker;
  /** Further work on the backup while it is open, once the selection is there. `isNew`: it was made now, `onlooker` looking on. */
  readonly meanwhile?: (backup: Backup, selection: Selection, isNew: boolean) => Promise<void>;
}

/**
 * Finds the backup and reads it, unless this very plan was selected from this very backup before: then the documents kept
 * from that time are used, so that dry-run, staging and production see the same bytes and the archive is read once.
 * Throws RestorePlanError BACKUP.
 */
export async function prepareSelection(run: Run, request: PrepareRequest): Promise<Selection> {
  const { plan, patience, onlooker } = request;
  const { emit } = run;
  const wanted = collectionNames(plan);
  // Reading a plan of thousands of collections leaves 100 MB behind.
  freeMemory();
  const backup = await openBackup(run, plan.source, { wanted, ...(patience && { patience }) });
  try {
    await request.needs;
    const found = await findSelection(run.workDirectory, plan, backup.identity, (why) =>
      emit({ type: 'warning', message: `${why}; it is made anew` }),
    );
    if (found !== undefined) {
      emit({ type: 'selection-reused', digest: found.manifest.digest, directory: found.directory });
    }
    const selection = found ?? (await selectDocuments(run, { plan, backup, ...(onlooker && { onlooker }) }));
    await request.meanwhile?.(backup, selection, found === undefined);
    return selection;
  } finally {
    await backup.close();
  }
}
