/**
 * The rules of production's gate that hold for a selection, those of the plan and those that stand in staging's ledger, and the
 * approvals that they ask for. Pure.
 */

import { advice, type Remedy, together } from '../advice.ts';
import type { TargetName } from '../events.ts';
import type { Actor, Approval, ApprovalScope, Deed, RecordedGate, RunRecord } from '../ledger/run-record.ts';
import { isElsewhere, isForeign, recordedServer } from '../ledger/runs.ts';
import { commandsDigest, exceptionsDigest } from '../plan/digest.ts';
import type { ApprovalsBy, GatePlan, Plan } from '../plan/plan.ts';
import type { ServerIdentity, TargetReader } from '../target/target.ts';

const NO_RULES: GatePlan = { soakMs: 0, approvals: 0 };

/** One fact that keeps the gate shut, and what to do about it. */
export interface Obstacle {
  readonly fact: string;
  readonly remedy: Remedy;
}

export interface GateRules {
  readonly soakMs: number;
  readonly approvals: number;
  readonly approvalsBy: ApprovalsBy;
  readonly acceptKept: boolean;
  /** The newest run of the selection in staging, where it asks for more than the plan does now. */
  readonly stricter: RunRecord | undefined;
}

type Rules = Omit<GateRules, 'stricter'>;

/** What a plan asks, its defaults written out: a record keeps what they were. */
export function rulesOfPlan({ targets }: Pick<Plan, 'targets'>): Rules {
  const {
    soakMs,
    approvals,
    approvalsBy = 'server-user',
    acceptKept = false,
  } = targets.production?.gate ?? NO_RULES;
  return { soakMs, approvals, approvalsBy, acceptKept };
}

/**
 * The rules of the newest apply to staging hold as they were recorded, whatever a plan says later, and whichever plan it is; what
 * a plan asks beyond them holds, too. What else was written into a record since, such as what was accepted, makes no apply of it.
 * `runs`: of this selection, own ones, newest first.
 */
export function rulesOf(plan: Pick<Plan, 'targets'>, runs: readonly RunRecord[]): GateRules {
  const rules = rulesOfPlan(plan);
  const appliedUnder = ({ gate, fencing }: RunRecord): number => gate?.fencing ?? fencing;
  const [newest] = runs
    .filter(({ status, gate }) => gate !== undefined && status !== 'reverted' && status !== 'planned')
    .sort((a, b) => appliedUnder(b) - appliedUnder(a));
  if (newest?.gate === undefined) return { ...rules, stricter: undefined };
  const both = strictest(rules, newest.gate);
  const isStricter = Object.entries(both).some(([rule, value]) => rules[rule as keyof Rules] !== value);
  return { ...both, stricter: isStricter ? newest : undefined };
}

/** Own runs of a selection in staging, of whatever plan. */
export function runsOfSelection(
  runs: readonly RunRecord[],
  digest: string,
  staging: Pick<TargetReader, 'database' | 'identity'>,
): RunRecord[] {
  return runs.filter(
    (run) => run.key.selection === digest && run.target === 'staging' && !isForeign(run, staging),
  );
}

function strictest(plan: Rules, asked: RecordedGate): Rules {
  // Who approves is no rule of a run that asked for no approval.
  const { approvalsBy } = asked.approvals === 0 ? plan : asked;
  return {
    soakMs: Math.max(plan.soakMs, asked.soakMs),
    approvals: Math.max(plan.approvals, asked.approvals),
    approvalsBy: approvalsBy === 'server-user' ? approvalsBy : plan.approvalsBy,
    acceptKept: plan.acceptKept && asked.acceptKept === true,
  };
}

/**
 * Whose approval of a staging run counts. A person is who the server authenticated or, where the plan says so, who the operating
 * system says it is; nobody who applied approves; and an approval is of what was approved then.
 */
export interface Approvals {
  readonly needed: number;
  readonly by: ApprovalsBy;
  /** Who gave one that counts, as the rule names people. */
  readonly given: readonly string[];
  /** One of these was given without a look at production's server: by the name of the database alone. */
  readonly byNameAlone: boolean;
  /** Why others do not count, each once. */
  readonly discounted: readonly Obstacle[];
}

type ApprovalRules = Pick<GateRules, 'approvals' | 'approvalsBy'>;

/** What an approval of a plan's run is of now. `production`: its server, where somebody looked. */
export function approvalScope(
  plan: Plan,
  { acceptedDigest: accepted }: Pick<RunRecord, 'acceptedDigest'>,
  production: ServerIdentity | undefined,
): ApprovalScope {
  const database = plan.targets.production?.database ?? plan.targets.staging.database;
  return {
    database,
    ...(production !== undefined && { server: recordedServer({ database, identity: production }) }),
    exceptions: exceptionsDigest(plan),
    ...(accepted !== undefined && { accepted }),
    commands: commandsDigest(plan),
  };
}

export function judgeApprovals(run: RunRecord, rules: ApprovalRules, scope: ApprovalScope): Approvals {
  const { approvals: needed, approvalsBy: by } = rules;
  const given = new Map<string, string>();
  const discounted = new Map<string, Obstacle>();
  let byNameAlone = false;
  for (const approval of run.approvals) {
    const obstacle = changedSince(approval, scope) ?? approvalObstacle(run, approval, by);
    if (obstacle !== undefined) {
      discounted.set(obstacle.fact, obstacle);
      continue;
    }
    given.set(personOf(approval, by) as string, nameOf(approval, by));
    byNameAlone ||= approval.of?.server === undefined;
  }
  return { needed, by, byNameAlone, given: [...given.values()], discounted: [...discounted.values()] };
}

/** Why this person's approval does not count, or would not; undefined where it does. */
export function approvalObstacle(run: RunRecord, actor: Actor, by: ApprovalsBy): Obstacle | undefined {
  const person = personOf(actor, by);
  if (person === undefined) return noServerUser(actor);
  if (person === '') return { fact: 'an approval names nobody', remedy: SECOND_PERSON };
  const applier = doersOf(run).find((deed) => isSame(deed, actor, by));
  if (applier === undefined) return undefined;
  const did = DONE[run.target];
  if (by === 'server-user' && personOf(applier, 'os-user') !== personOf(actor, 'os-user')) {
    return {
      fact: `${actor.user} is ${person} to the server, as is ${applier.user}, who ${did}: one database user for several people`,
      remedy: advice`${OWN_USER} ${OR_OS_USER}`,
    };
  }
  return {
    fact: `${nameOf(actor, by)} ${did} and cannot approve it`,
    remedy: SECOND_PERSON,
  };
}

/** Whose deeds are approved: on staging the applies, in production what was accepted there. */
function doersOf(run: RunRecord): readonly Deed[] {
  return run.target === 'staging' ? run.appliedBy : run.acceptedBy;
}

const DONE = {
  staging: 'applied this selection to staging',
  production: 'accepted documents in production',
} as const;

const APPROVING = {
  staging: { command: 'approve' },
  production: { command: 'approve', target: 'production' },
} as const;

/** Fewer than needed are given: why, and who may give one. `login`: what keeps everybody's from counting. */
export function tooFewApprovals(
  run: RunRecord,
  { given, needed, by, discounted }: Approvals,
  login?: Obstacle,
): Obstacle {
  const documents = run.accepted === 1 ? '1 document is' : `${run.accepted} documents are`;
  const approvals = `${given.length} of ${needed} approvals`;
  const count =
    run.target === 'staging'
      ? `${approvals} are given`
      : `${documents} accepted in production, and ${approvals} of that are given`;
  const reasons = login === undefined ? discounted : [login];
  const doers = [...new Set(doersOf(run).map((deed) => nameOf(deed, by)))].join(', ');
  const second = advice`Somebody other than ${doers} must run ${APPROVING[run.target]}.`;
  return {
    fact: [count, ...reasons.map(({ fact }) => fact)].join('; '),
    remedy: login?.remedy ?? together([second, ...discounted.map(({ remedy }) => remedy)]),
  };
}

/** What is missing before production may leave out what was accepted there: the second person looks at it, too. */
export function unapprovedAcceptance(
  run: RunRecord,
  rules: ApprovalRules,
  scope: ApprovalScope,
): Obstacle | undefined {
  if (run.acceptedDigest === undefined || rules.approvals === 0) return undefined;
  const approvals = judgeApprovals(run, rules, scope);
  return approvals.given.length < approvals.needed ? tooFewApprovals(run, approvals) : undefined;
}

/** Why nobody's approval can count where this connection is the way in; undefined where it can. */
export function loginObstacle(
  rules: ApprovalRules,
  serverUser: string | undefined,
  target: TargetName = 'staging',
): Obstacle | undefined {
  if (rules.approvals === 0 || rules.approvalsBy === 'os-user' || serverUser !== undefined) return undefined;
  return {
    fact: `${target} lets its users in without a log-in, so that no approval can name one`,
    remedy: advice`Switch on authentication there, and give each person a database user. ${OR_OS_USER}`,
  };
}

/** What will keep somebody's approval from counting, known before it is given: nobody logs in, or all as one user. */
export function foreseenObstacle(
  rules: ApprovalRules,
  { run, actor }: { readonly run: RunRecord | undefined; readonly actor: Actor },
): Obstacle | undefined {
  const login = loginObstacle(rules, actor.serverUser);
  if (login !== undefined || run === undefined || rules.approvals === 0) return login;
  const obstacle = approvalObstacle(run, actor, rules.approvalsBy);
  return obstacle?.remedy === SECOND_PERSON ? undefined : obstacle;
}

/** What the approvals of a run are worth, in one clause. */
export function worthOf({ given, by, byNameAlone }: Omit<Approvals, 'needed' | 'discounted'>): string {
  const names = given.join(', ');
  const unseen = byNameAlone ? '; of the database by its name alone, on whichever server' : '';
  return by === 'server-user'
    ? `approved by ${names}, as the server authenticated them${unseen}`
    : `approved by ${names}, as their operating systems name them, which proves nothing${unseen}`;
}

const SECOND_PERSON = advice`A second person must run ${{ command: 'approve' }}.`;
const OWN_USER = 'Let each person connect with a database user of their own.';
const OR_OS_USER = advice`Or write \`approvalsBy: os-user\` at targets.production.gate, and run ${{ command: 'apply', target: 'staging' }} again: people are then told apart by what their operating systems call them, which proves nothing.`;

function noServerUser({ user }: Actor): Obstacle {
  return {
    fact: `${user} approved without a log-in to the server, or with an older version, so that the approval names no database user`,
    remedy: advice`Approve again, logged in. ${OR_OS_USER}`,
  };
}

const PARTS: Readonly<Record<keyof ApprovalScope, string>> = {
  database: 'the database of production',
  server: 'the server of production',
  exceptions: 'what the plan leaves out (exceptions, indexes.skip, orphans)',
  accepted: 'what was accepted by name',
  commands: 'the commands that follow-ups run',
};

/** An approval of a version that kept no scope is of the selection alone. */
function changedSince({ user, of }: Approval, scope: ApprovalScope): Obstacle | undefined {
  if (of === undefined) return undefined;
  const isOther = (part: keyof ApprovalScope): boolean =>
    part === 'server' ? isOtherServer(of, scope) : of[part] !== scope[part];
  const changed = (Object.keys(PARTS) as (keyof ApprovalScope)[]).filter(isOther);
  if (changed.length === 0) return undefined;
  return {
    fact: `${changed.map((part) => PARTS[part]).join(' and ')} changed since ${user} approved`,
    remedy: advice`Run ${{ command: 'approve' }} again, which shows how it is now.`,
  };
}

/** Where nobody looked, the database is known by its name alone. */
function isOtherServer({ server: then }: ApprovalScope, { database, server: now }: ApprovalScope): boolean {
  if (then === undefined || now === undefined || then.database !== database) return false;
  return isElsewhere(then, now);
}

/** A deed of before server users were recorded is at least not by whoever bears that name on the operating system. */
function isSame(deed: Deed, actor: Actor, by: ApprovalsBy): boolean {
  const rule = by === 'server-user' && deed.serverUser === undefined ? 'os-user' : by;
  return personOf(deed, rule) === personOf(actor, rule);
}

/** Undefined where the server authenticated nobody. */
function personOf({ user, serverUser }: Actor, by: ApprovalsBy): string | undefined {
  return by === 'server-user' ? serverUser : person(user);
}

function nameOf({ user, serverUser }: Actor, by: ApprovalsBy): string {
  return by === 'server-user' ? (serverUser ?? user) : user;
}

/** A name without what makes one person look like two: case, width, white space, characters that are not seen. */
function person(user: string): string {
  return user
    .normalize('NFKC')
    .replace(/[\p{Cf}\s]/gu, '')
    .toLowerCase();
}
