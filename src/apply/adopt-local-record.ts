/** Brings into the ledger what an earlier run could only write to this machine. */
import type { Emit } from '../events.ts';
import type { Journal } from '../ledger/journal.ts';
import { findLocalRecord, removeLocalRecord } from '../ledger/local-record.ts';
import type { Target } from '../target/target.ts';

export interface Adoption {
  readonly target: Target;
  readonly workDirectory: string;
  readonly digest: string;
  readonly journal: Journal;
  readonly emit: Emit;
}

export async function adoptLocalRecord({
  target,
  workDirectory,
  digest,
  journal,
  emit,
}: Adoption): Promise<void> {
  const place = { workDirectory, target: target.name, digest };
  const record = await findLocalRecord(place, target.reader);
  if (record === undefined) return;
  for (const { batch, skipped } of record.batches) await journal.record(batch, skipped);
  await removeLocalRecord(place);
  emit({
    type: 'warning',
    message: `${target.name}: the ledger was completed from the record kept on this machine`,
  });
}
