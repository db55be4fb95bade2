/** Lets an apply in, or refuses it by name. Every apply goes through here, from the command line or the library alike. */
import { RestorePlanError } from '../errors.ts';
import type { Emit } from '../events.ts';
import type { RunRecord } from '../ledger/run-record.ts';
import { hostsOf } from '../mongo/connection-string.ts';
import type { Plan } from '../plan/plan.ts';
import type { Selection } from '../selection/selection.ts';
import { MongoReader } from '../target/reader.ts';
import type { Target, TargetReader } from '../target/target.ts';
import { checkGate } from './check-gate.ts';
import { requireBelonging } from './check-request.ts';
import { compareServers, roleObstacles, sameServerObstacle } from './gate.ts';
import type { Obstacle } from './gate-rules.ts';

export interface AdmissionRequest {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly target: Target;
  /** The other target: staging is what opens production; production, where it can be reached, is what staging must not be. */
  readonly other: TargetReader | undefined;
  /** All that the target's ledger records. */
  readonly runs: readonly RunRecord[];
  readonly emit: Emit;
  readonly signal?: AbortSignal;
}

/** Throws RestorePlanError GATE with every obstacle, or the signal's reason. */
export async function requireAdmission(request: AdmissionRequest): Promise<void> {
  const { plan, selection, target, other, emit } = request;
  requireBelonging(plan, selection, target);
  if (other !== undefined) requireOther(plan, target, other);
  if (target.name === 'staging') {
    requireStaging(request);
    return;
  }
  emit({ type: 'gate-opened', target: target.name, reason: await requireOpenGate(request) });
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
export async function requireAdmissionStill(request: AdmissionRequest): Promise<void> {
  if (request.target.name === 'staging') requireStaging(request);
  else await requireOpenGate(request);
}

/** Returns why it is open. */
async function requireOpenGate({
  plan,
  selection,
  target,
  other,
  signal,
}: AdmissionRequest): Promise<string> {
  if (other === undefined) throw shut([NO_STAGING]);
  const readers = { staging: other, production: target.reader };
  const verdict = await checkGate({ plan, selection, ...readers, signal });
  if (!verdict.open) throw shut(verdict.obstacles);
  return verdict.reason;
}

const NO_STAGING: Obstacle = {
  fact: 'staging was not given, so nothing vouches for this selection',
  remedy: 'Hand in a reader of staging.',
};

function requireStaging({ plan, target, other, runs }: AdmissionRequest): void {
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
    hint: obstacles.map(({ remedy }) => remedy).join('\n'),
    facts: { obstacles },
  });
}
