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
import { LOOKUP_BATCH, LOOKUPS_IN_FLIGHT } from './lookup-batches.ts';

export interface GateQuestion {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly staging: TargetReader;
  readonly production: TargetReader;
  readonly signal?: AbortSignal | undefined;
}

/** The same question about a selection of which only the digest is known. */
export interface GateQuestionOf extends Omit<GateQuestion, 'selection'> {
  readonly digest: string;
}

/** The whole gate: every document of the selection is looked for on staging. Throws the signal's reason between batches. */
export async function checkGate(question: GateQuestion): Promise<GateVerdict> {
  const { digest, collections } = question.selection.manifest;
  const documents = collections.reduce((sum, { count }) => sum + count, 0);
  const facts = { ...(await collectFacts({ ...question, digest })), documents };
  const verdict = decideGate(facts);
  // Looking every document up is the dear part; it is left out when the gate stays shut anyway.
  if (!verdict.open) return verdict;
  return decideGate({ ...facts, missingInStaging: await countMissing(question) });
}

/**
 * The gate as far as ledgers and identities decide it: no document is looked for. For a gate that was open a moment ago, and
 * for showing what it still wants.
 */
export async function decideGateOf(question: GateQuestionOf): Promise<GateVerdict> {
  return decideGate(await collectFacts(question));
}

/** Taken together as if nothing were missing on staging. */
async function collectFacts({ plan, digest, staging, production }: GateQuestionOf): Promise<GateFacts> {
  const [productionRuns, stagingRuns, stagingTime, productionIdentity, stagingIdentity] = await Promise.all([
    readRuns(production),
    readRuns(staging),
    staging.serverTime(),
    // A standalone is another process after each start, and one name may lead to another server by now.
    production.identityNow(),
    staging.identityNow(),
  ]);
  return {
    digest,
    planName: plan.name,
    gate: plan.targets.production?.gate ?? { soakMs: 0, approvals: 0 },
    production: { database: production.database, identity: productionIdentity, runs: productionRuns },
    staging: { database: staging.database, identity: stagingIdentity, runs: stagingRuns },
    stagingTime,
    documents: undefined,
    missingInStaging: 0,
  };
}

/** Documents of the selection that are not there any more, whatever their content. */
async function countMissing(question: GateQuestion): Promise<number> {
  let missing = 0;
  for (const selected of question.selection.manifest.collections) {
    missing += await countMissingOf(question, selected);
  }
  return missing;
}

async function countMissingOf(
  { selection, staging: reader, signal }: GateQuestion,
  selected: SelectedCollection,
): Promise<number> {
  const collection = await reader.collection(selected.into);
  if (collection === undefined) return selected.count;
  let missing = 0;
  const batches = readBatches(selection, selected.collection, LOOKUP_BATCH);
  for await (const absent of inFlight(batches, LOOKUPS_IN_FLIGHT, async (batch) => {
    signal?.throwIfAborted();
    const { run, positions } = admit(batch);
    const there = await findCounterparts({ reader, collection, run, positions });
    const present = positions.filter((position) => there.presence(position) !== 'absent').length;
    return run.length - present;
  })) {
    missing += absent;
  }
  return missing;
}
