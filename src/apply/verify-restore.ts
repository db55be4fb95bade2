/** Compares what a plan restored with the target again, any time later. Reads only. */

import type { Emit } from '../events.ts';
import { type AcceptedDocuments, readAccepted } from '../ledger/accepted.ts';
import { journalKeyOf, type RunKey } from '../ledger/layout.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { Plan } from '../plan/plan.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import type { Target } from '../target/target.ts';
import { EarlierRuns } from './earlier-runs.ts';
import { type Expectation, type Verification, verifySelection } from './verify-selection.ts';

export interface VerifyRequest {
  readonly plan: Pick<Plan, 'name'>;
  readonly selection: Selection;
  readonly target: Target;
  /** One document in so many is looked at; 1 = all. */
  readonly every: number;
  readonly emit: Emit;
  readonly signal?: AbortSignal;
}

/**
 * A document that the journal says was inserted or replaced must still have the backup's bytes; any other one was left as it was,
 * so it must only be there; what is left out by decision need not be. Ledger and journal are read when the first document differs:
 * mostly never.
 */
export async function verifyRestore({
  plan,
  selection,
  target,
  ...more
}: VerifyRequest): Promise<Verification> {
  let reading: Promise<EarlierRuns> | undefined;
  let readingAccepted: Promise<AcceptedDocuments> | undefined;
  const key = { plan: plan.name, selection: selection.manifest.digest };
  const expect = async ({ collection, into }: SelectedCollection, index: number): Promise<Expectation> => {
    readingAccepted ??= readAccepted(target.reader, key);
    if ((await readingAccepted).has(collection, index)) return 'ignored';
    reading ??= readEarlierRuns(target, key, selection);
    return (await reading).outcomeOf(into, index) === 'identical' ? 'present' : 'restored';
  };
  return verifySelection({ selection, reader: target.reader, expect, ...more });
}

async function readEarlierRuns(target: Target, key: RunKey, selection: Selection): Promise<EarlierRuns> {
  const { runs, journal } = openLedger(target);
  const run = await runs.find(key);
  return EarlierRuns.read(journal(run?.journalKey ?? journalKeyOf(key)), selection);
}
