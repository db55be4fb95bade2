/** Lets an apply in, or refuses it by name: by the request, the gate, the operator's word. Every apply goes through here, from the command line or the library alike. */

import { advice, together } from '../advice.ts';
import { showValue } from '../bson/show.ts';
import { meet } from '../comparison/meet.ts';
import { RestorePlanError } from '../errors.ts';
import { readAccepted } from '../ledger/accepted.ts';
import type { RunRecord } from '../ledger/run-record.ts';
import { readRuns } from '../ledger/runs.ts';
import { hostsOf } from '../mongo/connection-string.ts';
import type { Plan } from '../plan/plan.ts';
import { type Run, untold } from '../run.ts';
import { selectedBy } from '../selection/open-selection.ts';
import {
  type SelectedCollection,
  type Selection,
  type SelectionManifest,
  selectionDigest,
} from '../selection/selection.ts';
import { MongoReader } from '../target/reader.ts';
import type { Target, TargetReader } from '../target/target.ts';
import type { ApplyRequest } from './apply-run.ts';
import {
  compareServers,
  decideGate,
  type GateFacts,
  type GateVerdict,
  type InStaging,
  isWorthLooking,
  roleObstacles,
  sameServerObstacle,
  stagingRun,
} from './gate.ts';
import type { Obstacle } from './gate-rules.ts';
import { verifySelection } from './verify-selection.ts';

/** What asks to be let in, and all that the target's ledger records. */
type Admission = Pick<ApplyRequest, 'plan' | 'selection' | 'target' | 'other'> & {
  readonly runs: readonly RunRecord[];
};

/** Throws RestorePlanError GATE with every obstacle, or the signal's reason. */
export async function requireAdmission(run: Run, request: Admission): Promise<void> {
  const { plan, selection, target, other } = request;
  requireBelonging(plan, selection, target);
  if (other !== undefined) requireOther(plan, target, other);
  if (target.name === 'staging') {
    requireStaging(request);
    return;
  }
  run.emit({ type: 'gate-opened', target: target.name, reason: await requireOpenGate(run, request) });
}

/** What vouches for production must be the plan's own staging, opened by `connectTarget`; the same the other way round. */
function requireOther(plan: Plan, target: Target, other: TargetReader): void {
  const expected = target.name === 'staging' ? 'production' : 'staging';
  const isGenuine = MongoReader.isGenuine(other) && other.plan === plan.targets[expected];
  if (isGenuine && other.name === expected) return;
  throw shut([
    {
      fact: `what was handed in as ${expected} is not a connection to the plan's ${expected} target`,
      remedy: `Connect with connectTarget('${expected}', plan.targets.${expected}).`,
    },
  ]);
}

/** The same under the lock, all of it: confirming and waiting for the lock may have taken long, and staging goes on meanwhile. */
export async function requireAdmissionStill(run: Run, request: Admission): Promise<void> {
  if (request.target.name === 'staging') requireStaging(request);
  else await requireOpenGate(run, request);
}

/** Returns why it is open. */
async function requireOpenGate(run: Run, { plan, selection, target, other }: Admission): Promise<string> {
  if (other === undefined) throw shut([NO_STAGING]);
  const readers = { staging: other, production: target.reader };
  const verdict = await checkGate(run, { plan, selection, ...readers });
  if (!verdict.open) throw shut(verdict.obstacles);
  return verdict.reason;
}

const NO_STAGING: Obstacle = {
  fact: 'staging was not given, so nothing vouches for this selection',
  remedy: 'Hand in a reader of staging.',
};

function requireStaging({ plan, target, other, runs }: Admission): void {
  const { database, identity } = target.reader;
  const obstacles: Obstacle[] = roleObstacles('staging', { database, identity, runs });
  if (other !== undefined) {
    const relation = compareServers(identity, other.identity);
    if (relation !== 'different') obstacles.push(sameServerObstacle(relation));
  } else if (leadsToProduction(plan, target)) {
    obstacles.push(sameServerObstacle('same'));
  }
  if (obstacles.length > 0) throw shut(obstacles);
}

/** Where production does not answer, the names in its connection string must do. */
function leadsToProduction(plan: Plan, { plan: staging, reader }: Target): boolean {
  const production = hostsOf(plan.targets.production?.uri);
  return [...hostsOf(staging.uri), ...reader.identity.members].some((host) => production.includes(host));
}

function shut(obstacles: readonly Obstacle[]): RestorePlanError {
  return new RestorePlanError('GATE', `refused: ${obstacles.map(({ fact }) => fact).join('; ')}`, {
    hint: together(
      obstacles.map(({ remedy }) => remedy),
      '\n',
    ),
    facts: { obstacles },
  });
}

// The facts of the gate are collected from both databases, by reading alone.

export interface GateQuestion {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly staging: TargetReader;
  readonly production: TargetReader;
}

/** The whole gate: every document of the selection is compared with staging's. Throws the signal's reason between batches. */
export async function checkGate(run: Run, question: GateQuestion): Promise<GateVerdict> {
  const { digest, collections } = question.selection.manifest;
  const documents = collections.reduce((sum, { count }) => sum + count, 0);
  const facts = { ...(await collectFacts({ ...question, digest })), documents };
  if (!isWorthLooking(facts)) return decideGate(facts);
  return decideGate({ ...facts, inStaging: await lookAtStaging(run, question, leftOutBy(facts)) });
}

/**
 * The gate as far as ledgers and identities decide it: no document is looked at. For showing what
 * it still wants.
 */
export async function decideGateOf(
  question: Omit<GateQuestion, 'selection'> & { readonly digest: string },
): Promise<GateVerdict> {
  return decideGate(await collectFacts(question));
}

async function collectFacts({
  plan,
  digest,
  staging,
  production,
}: Parameters<typeof decideGateOf>[0]): Promise<GateFacts> {
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
  run: Run,
  { plan, selection, staging: reader }: GateQuestion,
  leftOut: LeftOut,
): Promise<InStaging> {
  const named = await readAccepted(reader, { plan: plan.name, selection: selection.manifest.digest });
  const isExcepted = ({ collection }: SelectedCollection, index: number): boolean =>
    leftOut === 'accepted' ? named.isAccepted(collection, index) : named.has(collection, index);
  let excepted = 0;
  const { collections, differences } = await verifySelection(untold(run), {
    selection,
    reader,
    unstorable: true,
    expect: (selected, index) => {
      const isDiscarding = selected.merge?.whenNotMatched === 'discard';
      if (!isExcepted(selected, index)) return isDiscarding ? 'ifThere' : 'restored';
      excepted++;
      return 'ignored';
    },
  });
  const sum = (kind: 'identical' | 'missing' | 'different' | 'kept'): number =>
    collections.reduce((total, counts) => total + counts[kind], 0);
  return {
    identical: sum('identical'),
    missing: sum('missing'),
    different: sum('different'),
    discarded: sum('kept'),
    excepted,
    exceptions: named.sums
      .filter(({ kind }) => kind === 'accepted' || leftOut !== 'accepted')
      .map(({ collection, count, as, reason }) => `${count} of ${collection} (${as}: ${reason})`),
    examples: differences,
  };
}

// What the library entry must not be talked into: a target that is not the plan's, a selection that is not what it says.

/** The ledger, which vouches for everything, and what belongs to the server. */
const RESERVED = /^(?:restore_plan(?:\.|$)|system\.)/;

/** Throws GATE: each of these would let something pass for what it is not. */
export function requireBelonging(plan: Plan, selection: Selection, target: Target): void {
  const { manifest } = selection;
  requireOwnTarget(plan, target);
  if (selectedBy(manifest) !== plan.selectsDigest) {
    throw refused('the selection was made from another version of the plan');
  }
  if (selectionDigest(manifest.collections) !== manifest.digest || !isAllDigested(manifest.collections)) {
    throw refused('the selection does not agree with its own digest');
  }
  const reserved = manifest.collections.find(({ into }) => RESERVED.test(into));
  if (reserved !== undefined) throw refused(`nothing is restored into ${reserved.into}`);
}

/** The digest leaves out what has no documents, and a collection is read by its name: neither may hide any. */
function isAllDigested(collections: readonly SelectedCollection[]): boolean {
  const names = new Set(collections.map(({ collection }) => collection));
  return (
    names.size === collections.length && collections.every(({ count, bytes }) => count > 0 || bytes === 0)
  );
}

/** Throws GATE when the connection was not made from the plan's own target of that name. */
export function requireOwnTarget(plan: Plan, target: Target): void {
  if (plan.targets[target.name] === target.plan) return;
  throw refused(`the connection given as ${target.name} was not made from the plan's ${target.name} target`);
}

function refused(message: string): RestorePlanError {
  return new RestorePlanError('GATE', message, {
    hint: advice`Nothing was written. Run ${{ command: 'dry-run' }}, then ${{ command: 'apply', target: 'staging' }} again.`,
  });
}

/**
 * The operator's word that nobody else writes meanwhile (`--exclusive`): what it takes to replace or remove on a standalone.
 * `overwrites`: whether documents that are there may be replaced or removed.
 * Without transactions, a document that changes in the last moment cannot be told by its bytes. Throws RestorePlanError: TARGET where
 * the word is missing, USAGE where it says nothing.
 */
export function requireExclusiveWord(
  target: Pick<Target, 'name' | 'reader'>,
  exclusive: boolean,
  overwrites: boolean,
): void {
  const { name, reader } = target;
  const { kind } = reader.identity;
  if (kind !== 'standalone') {
    if (!exclusive) return;
    throw new RestorePlanError('USAGE', `--exclusive is for standalones, and ${name} is a ${kind}`, {
      hint: 'Leave it out: here, every document is compared and written in one transaction.',
    });
  }
  if (exclusive || !overwrites) return;
  throw new RestorePlanError(
    'TARGET',
    `${name} is a standalone, which has no transactions: what somebody writes meanwhile could be lost`,
    {
      hint: advice`Stop what writes to it, then give that word with \`${{ option: 'exclusive' }}\`; or make it a replica set.`,
    },
  );
}

/** Whether an apply of the selection may change documents that are there. */
export function mayOverwrite({ collections }: Pick<SelectionManifest, 'collections'>): boolean {
  return collections.some(
    ({ count, whenMatched }) => count > 0 && whenMatched !== 'keepExisting' && whenMatched !== 'fail',
  );
}

/** Documents that the refusal names. */
const NAMED = 10;

/**
 * `whenMatched: fail`: one existing document that differs stops the run before anything is written.
 * Throws CONFLICTS, or the signal's reason between batches. Identical documents are no match: they are what this selection
 * restores, perhaps by an earlier run of it.
 */
export async function refuseMatches(
  run: Run,
  { target: { reader }, selection }: Pick<Admission, 'target' | 'selection'>,
  isExcepted: (selected: SelectedCollection, ordinal: number) => boolean,
): Promise<void> {
  const matches: string[] = [];
  let count = 0;
  for (const selected of selection.manifest.collections) {
    if (selected.whenMatched !== 'fail') continue;
    const collection = await reader.collection(selected.into);
    if (collection === undefined) continue;
    const meeting = { selection, name: selected.collection, reader, collection } as const;
    const differing = meet(run, { ...meeting, needs: 'presence' }, async ({ stored, positions, there }) =>
      positions
        .filter((each) => there.presence(each) === 'other' && !isExcepted(selected, stored.first + each))
        .map((each) => stored.id(each)),
    );
    for await (const different of differing) {
      count += different.length;
      for (const id of different) {
        if (matches.length < NAMED) matches.push(`${selected.into} ${showValue(id)}`);
      }
    }
  }
  if (count === 0) return;
  const named = matches.join(', ') + (count > matches.length ? ', …' : '');
  throw new RestorePlanError(
    'CONFLICTS',
    `${reader.name} holds ${count} of the selected documents with other content, and the plan says whenMatched: fail (${named})`,
    {
      hint: advice`Nothing was written. Look at them with ${{ command: 'dry-run', options: { full: true } }}, then narrow the query or change whenMatched.`,
    },
  );
}
