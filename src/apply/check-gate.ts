/** Collects the facts of the gate from both databases, by reading alone, and has them judged. */
import { inFlight } from '../comparison/in-flight.ts';
import { readRuns } from '../ledger/read-runs.ts';
import type { Plan } from '../plan/plan.ts';
import { readBatches } from '../selection/read-batches.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import { findCounterparts } from '../target/counterparts.ts';
import type { TargetReader } from '../target/target.ts';
import { admit } from './admit.ts';
import { decideGate, type GateFacts, type GateVerdict } from './gate.ts';

const BATCH = { maxBytes: 4 * 1024 * 1024, maxDocuments: 4_000 };
const BATCHES_IN_FLIGHT = 3;

export interface GateQuestion {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly staging: TargetReader;
  readonly production: TargetReader;
}

export async function checkGate({
  plan,
  selection,
  staging,
  production,
}: GateQuestion): Promise<GateVerdict> {
  const facts: GateFacts = {
    digest: selection.manifest.digest,
    planName: plan.name,
    gate: plan.targets.production?.gate ?? { soakMs: 0, approvals: 0 },
    production: {
      database: production.database,
      identity: production.identity,
      runs: await readRuns(production),
    },
    staging: { database: staging.database, identity: staging.identity, runs: await readRuns(staging) },
    stagingTime: await staging.serverTime(),
    missingInStaging: 0,
  };
  // Looking every document up is the dear part; it is left out when the gate stays shut anyway.
  const verdict = decideGate(facts);
  if (!verdict.open) return verdict;
  return decideGate({ ...facts, missingInStaging: await countMissing(selection, staging) });
}

/** Documents of the selection that are not there any more, whatever their content. */
async function countMissing(selection: Selection, reader: TargetReader): Promise<number> {
  let missing = 0;
  for (const selected of selection.manifest.collections) {
    missing += await countMissingOf(selection, reader, selected);
  }
  return missing;
}

async function countMissingOf(
  selection: Selection,
  reader: TargetReader,
  selected: SelectedCollection,
): Promise<number> {
  const collection = await reader.collection(selected.into);
  if (collection === undefined) return selected.count;
  let missing = 0;
  const batches = readBatches(selection, selected.collection, BATCH);
  for await (const absent of inFlight(batches, BATCHES_IN_FLIGHT, async (batch) => {
    const { run, positions } = admit(batch);
    const there = await findCounterparts({ reader, collection, run, positions });
    const present = positions.filter((position) => there.presence(position) !== 'absent').length;
    return run.length - present;
  })) {
    missing += absent;
  }
  return missing;
}
