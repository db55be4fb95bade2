/** Brings into the ledger what an earlier run could only write to this machine. */
import type { Emit } from '../events.ts';
import type { Journal } from '../ledger/journal.ts';
import type { RunKey } from '../ledger/layout.ts';
import { findLocalRecord, removeLocalRecord } from '../ledger/local-record.ts';
import type { RunRecord } from '../ledger/run-record.ts';
import type { Target } from '../target/target.ts';

export interface Adoption {
  readonly target: Target;
  readonly workDirectory: string;
  readonly key: RunKey;
  /** The run's record, where there is one. */
  readonly record: RunRecord | undefined;
  readonly journal: Journal;
  readonly emit: Emit;
}

export async function adoptLocalRecord({
  target,
  workDirectory,
  key,
  record: run,
  journal,
  emit,
}: Adoption): Promise<void> {
  const place = { workDirectory, target: target.name, key, isMigrated: run?.isMigrated ?? false };
  const found = await findLocalRecord(place, target.reader);
  if (found === undefined) return;
  for (const batch of found.record.batches) await journal.record(batch);
  await removeLocalRecord(found.path);
  emit({
    type: 'warning',
    message: `${target.name}: the ledger was completed from the record kept on this machine`,
  });
}
