/** Collects the facts of the gate from both databases, by reading alone, and has them judged. */
import { readAccepted } from '../ledger/accepted.ts';
import { readRuns } from '../ledger/runs.ts';
import type { Plan } from '../plan/plan.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import type { TargetReader } from '../target/target.ts';
import {
  decideGate,
  type GateFacts,
  type GateVerdict,
  type InStaging,
  isWorthLooking,
  stagingRun,
} from './gate.ts';
import { verifySelection } from './verify-selection.ts';

export interface GateQuestion {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly staging: TargetReader;
  readonly production: TargetReader;
  readonly signal?: AbortSignal | undefined;
}

/** The same question about a selection of which only the digest is known. */
export interface GateQuestionOf extends Pick<GateQuestion, 'plan' | 'staging' | 'production'> {
  readonly digest: string;
}

/** The whole gate: every document of the selection is compared with staging's. Throws the signal's reason between batches. */
export async function checkGate(question: GateQuestion): Promise<GateVerdict> {
  const { digest, collections } = question.selection.manifest;
  const documents = collections.reduce((sum, { count }) => sum + count, 0);
  const facts = { ...(await collectFacts({ ...question, digest })), documents };
  if (!isWorthLooking(facts)) return decideGate(facts);
  return decideGate({ ...facts, inStaging: await lookAtStaging(question, leftOutBy(facts)) });
}

/**
 * The gate as far as ledgers and identities decide it: no document is looked at. For showing what
 * it still wants.
 */
export async function decideGateOf(question: GateQuestionOf): Promise<GateVerdict> {
  return decideGate(await collectFacts(question));
}

async function collectFacts(question: GateQuestionOf): Promise<GateFacts> {
  const { plan, digest, staging, production } = question;
  const [productionRuns, stagingRuns, stagingTime, stagingUser, productionIdentity, stagingIdentity] =
    await Promise.all([
      readRuns(production),
      readRuns(staging),
      staging.serverTime(),
      staging.authenticatedUser(),
      // A standalone is another process after each start, and one name may lead to another server by now.
      production.identityNow(),
      staging.identityNow(),
    ]);
  return {
    digest,
    plan,
    production: { database: production.database, identity: productionIdentity, runs: productionRuns },
    staging: { database: staging.database, identity: stagingIdentity, runs: stagingRuns },
    stagingTime,
    stagingUser,
    documents: undefined,
    inStaging: undefined,
  };
}

/** What somebody accepted on staging, and what the last apply there left out, as long as that was by this very plan. */
type LeftOut = 'accepted' | 'accepted and applied';

function leftOutBy(facts: GateFacts): LeftOut {
  return stagingRun(facts)?.plan.digest === facts.plan.digest ? 'accepted and applied' : 'accepted';
}

async function lookAtStaging(
  { plan, selection, staging: reader, signal }: GateQuestion,
  leftOut: LeftOut,
): Promise<InStaging> {
  const named = await readAccepted(reader, { plan: plan.name, selection: selection.manifest.digest });
  const isExcepted = ({ collection }: SelectedCollection, index: number): boolean =>
    leftOut === 'accepted' ? named.isAccepted(collection, index) : named.has(collection, index);
  let excepted = 0;
  const { collections, differences } = await verifySelection({
    selection,
    reader,
    unstorable: true,
    expect: (selected, index) => {
      if (!isExcepted(selected, index)) return 'restored';
      excepted++;
      return 'ignored';
    },
    emit: () => undefined,
    signal,
  });
  const sum = (kind: 'identical' | 'missing' | 'different'): number =>
    collections.reduce((total, counts) => total + counts[kind], 0);
  return {
    identical: sum('identical'),
    missing: sum('missing'),
    different: sum('different'),
    excepted,
    exceptions: named.sums
      .filter(({ kind }) => kind === 'accepted' || leftOut !== 'accepted')
      .map(({ collection, count, as, reason }) => `${count} of ${collection} (${as}: ${reason})`),
    examples: differences,
  };
}
