/**
 * Whether production may be written to. Pure: facts in, verdict out. Nothing else opens the gate; there is no override.
 */

import { advice } from '../advice.ts';
import { showIsoDate } from '../bson/extended-json-types.ts';
import {
  type ApprovalScope,
  accountedFor,
  differingIn,
  hasVerifiedNothing,
  type RunRecord,
  sumOf,
} from '../ledger/run-record.ts';
import { isForeign } from '../ledger/runs.ts';
import { OUTCOMES } from '../outcomes.ts';
import { type Plan, restoredCollections } from '../plan/plan.ts';
import type { ServerIdentity } from '../target/target.ts';
import { showDuration } from '../text/quantities.ts';
import {
  type Approvals,
  approvalScope,
  type GateRules,
  judgeApprovals,
  loginObstacle,
  type Obstacle,
  rulesOf,
  rulesOfPlan,
  runsOfSelection,
  tooFewApprovals,
  unapprovedAcceptance,
  worthOf,
} from './gate-rules.ts';
import type { VerifiedDifference } from './verify-selection.ts';

/** One database as its server and its ledger describe it. */
export interface DatabaseFacts {
  readonly database: string;
  readonly identity: ServerIdentity;
  /** Newest first. */
  readonly runs: readonly RunRecord[];
}

export interface GateFacts {
  /** Digest of the selection that shall be applied to production. */
  readonly digest: string;
  readonly plan: Plan;
  readonly production: DatabaseFacts;
  readonly staging: DatabaseFacts;
  /** Who is logged in to staging; undefined where it asks nobody to. */
  readonly stagingUser: string | undefined;
  /** UTC milliseconds by staging's clock, which also made the ledger's times. */
  readonly stagingTime: number;
  /** Documents of the selection; undefined where only its digest is known. */
  readonly documents: number | undefined;
  /** Undefined where nobody looked: then the record of staging must do. */
  readonly inStaging: InStaging | undefined;
}

/** What staging holds of the selection's documents now, compared byte for byte. */
export interface InStaging {
  readonly identical: number;
  readonly missing: number;
  readonly different: number;
  /** Missing or different, and accepted by name. */
  readonly excepted: number;
  /** Not there, and left out for it (`whenNotMatched: discard`); they count as kept. */
  readonly discarded?: number;
  /** What was accepted, in words, each as it was given. */
  readonly exceptions: readonly string[];
  /** The first of the missing and of the different ones. */
  readonly examples: readonly VerifiedDifference[];
}

export type GateVerdict =
  | { readonly open: true; readonly reason: string }
  | { readonly open: false; readonly obstacles: readonly Obstacle[] };

export function decideGate(facts: GateFacts): GateVerdict {
  const obstacles = [...identityObstacles(facts), ...stagingObstacles(facts), ...acceptedObstacles(facts)];
  if (obstacles.length > 0) return { open: false, obstacles };
  const run = stagingRun(facts) as RunRecord;
  const verified = (run.verifiedAt as Date).toISOString();
  const approvals = approvalsIn(facts, run);
  const approved = approvals.given.length === 0 ? '' : `; ${worthOf(approvals)}`;
  return {
    open: true,
    reason: `the same selection was applied to staging and verified there at ${verified}${contentReason(facts, run)}${approved}`,
  };
}

/** The same documents may be looked for: everything but them is as it must be, or takes time or people alone. */
export function isWorthLooking(facts: GateFacts): boolean {
  return identityObstacles(facts).length === 0 && stagingRun(facts)?.status === 'verified';
}

/** What databases say of themselves must rule out that both are the same, or are swapped. */
function identityObstacles({ production, staging }: GateFacts): Obstacle[] {
  const obstacles = [...roleObstacles('staging', staging), ...roleObstacles('production', production)];
  const relation = compareServers(staging.identity, production.identity);
  if (relation !== 'different') obstacles.push(sameServerObstacle(relation));
  return obstacles;
}

/** A database that was once written to as one target never passes as the other. */
export function roleObstacles(role: 'staging' | 'production', facts: DatabaseFacts): Obstacle[] {
  const { database } = facts;
  const other = role === 'staging' ? 'production' : 'staging';
  if (!ownRuns(facts).some(({ target }) => target === other)) return [];
  return [
    {
      fact: `the database ${database} given as ${role} is recorded in its own ledger as ${other}`,
      remedy:
        `Check the connection strings: are ${role} and ${other} swapped? If they are not, and ${database} was made from a copy of ${other}, ` +
        `the ledger came with it and does not say so: drop restore_plan.runs and restore_plan.journal in that copy, never in ${other} itself, and apply again.`,
    },
  ];
}

export function sameServerObstacle(relation: 'same' | 'unproven'): Obstacle {
  return relation === 'same'
    ? {
        fact: 'staging and production are the same server',
        remedy:
          'Staging must be a server of its own: another database name on the same server is not enough.',
      }
    : {
        fact: 'it cannot be proven that staging and production are different servers',
        remedy:
          'Let the user read the server’s identity: grant replSetGetConfig (role clusterMonitor), or read on the config database of a sharded cluster.',
      };
}

/**
 * The same process or a member in common: the same. An identity that both state in full and that differs: different. Names
 * alone prove nothing unless sets have different names and no member in common. A cluster that hides its shards may have any
 * replica set among them.
 */
export function compareServers(a: ServerIdentity, b: ServerIdentity): 'same' | 'different' | 'unproven' {
  if (a.processId === b.processId || a.members.some((member) => b.members.includes(member))) return 'same';
  if (a.kind !== b.kind && (hidesShards(a) || hidesShards(b))) return 'unproven';
  if (a.exact && b.exact) return a.kind === b.kind && a.id === b.id ? 'same' : 'different';
  const bothSets = a.kind === 'replica set' && b.kind === 'replica set';
  return bothSets && setName(a) !== setName(b) ? 'different' : 'unproven';
}

const hidesShards = ({ kind, members }: ServerIdentity): boolean =>
  kind === 'sharded cluster' && members.length === 0;
const setName = ({ id }: ServerIdentity): string => id.split('/')[0] as string;

/** What came here with a copy of another database says nothing of this one. */
function ownRuns(facts: DatabaseFacts): RunRecord[] {
  return facts.runs.filter((run) => !isForeign(run, facts));
}

/** Of this plan and selection. */
export function stagingRun(facts: GateFacts): RunRecord | undefined {
  const { staging, digest, plan } = facts;
  return runsOfSelection(staging.runs, digest, staging).find(({ key }) => key.plan === plan.name);
}

function rulesIn({ plan, staging, digest }: GateFacts): GateRules {
  return rulesOf(plan, runsOfSelection(staging.runs, digest, staging));
}

function approvalsIn(facts: GateFacts, run: RunRecord): Approvals {
  return judgeApprovals(run, rulesIn(facts), scopeOf(facts, run));
}

function scopeOf({ plan, production }: GateFacts, run: RunRecord): ApprovalScope {
  return approvalScope(plan, run, production.identity);
}

function stagingObstacles(facts: GateFacts): Obstacle[] {
  const run = stagingRun(facts);
  if (run === undefined) return [neverApplied(facts)];
  if (run.status !== 'verified' || run.verifiedAt === undefined) {
    return [
      {
        fact: `the run on staging is ${run.status}, not verified`,
        remedy: advice`Run ${{ command: 'apply', target: 'staging' }} until it ends verified.`,
      },
    ];
  }
  const rules = rulesIn(facts);
  const own = rulesOfPlan(facts.plan);
  const obstacles: Obstacle[] = [];
  if (!accountsForAll(run, facts.documents)) obstacles.push(unaccounted());
  obstacles.push(...contentObstacles(facts, { run, rules }));
  const soakedMs = facts.stagingTime - run.verifiedAt.getTime();
  // Without a soak, a primary whose clock is behind that of the one before it keeps nobody waiting.
  if (rules.soakMs > 0 && soakedMs < rules.soakMs) {
    const until = showIsoDate(run.verifiedAt.getTime() + rules.soakMs) ?? 'a year that no calendar has';
    obstacles.push(
      asAsked(rules, own.soakMs < rules.soakMs, {
        fact: `the restore has soaked on staging for ${showDuration(soakedMs, 'down')} of ${showDuration(rules.soakMs)}`,
        remedy: `Wait until ${until}.`,
      }),
    );
  }
  const approvals = approvalsIn(facts, run);
  if (approvals.given.length < rules.approvals) {
    const isTheirs = own.approvals < rules.approvals || own.approvalsBy !== rules.approvalsBy;
    const login = loginObstacle(rules, facts.stagingUser);
    obstacles.push(asAsked(rules, isTheirs, tooFewApprovals(run, approvals, login)));
  }
  return obstacles;
}

/** What is left out of production by name needs the second person as well. */
function acceptedObstacles(facts: GateFacts): Obstacle[] {
  const { production, plan, digest } = facts;
  const run = ownRuns(production).find(({ key }) => key.plan === plan.name && key.selection === digest);
  const obstacle = run && unapprovedAcceptance(run, rulesIn(facts), scopeOf(facts, run));
  return obstacle === undefined ? [] : [obstacle];
}

/** Says whose rule it is that is not met, where it is not this plan's own. */
function asAsked({ stricter }: GateRules, isTheirs: boolean, { fact, remedy }: Obstacle): Obstacle {
  if (!isTheirs || stricter === undefined) return { fact, remedy };
  const at = stricter.appliedBy.at(-1)?.at.toISOString() ?? 'an unknown time';
  return {
    fact: `${fact}, as the plan ${stricter.key.plan} asked when it was applied to staging at ${at}; this plan asks for less now`,
    remedy: advice`${remedy} Or run ${{ command: 'apply', target: 'staging' }} again: its rules hold as they are then.`,
  };
}

/** By what was looked at; else by what the record says was kept, which differs. */
function contentObstacles(
  { inStaging, documents }: GateFacts,
  { run, rules }: { readonly run: RunRecord; readonly rules: GateRules },
): Obstacle[] {
  if (isNothingVerified(run, inStaging)) {
    if (!rules.acceptKept) return [nothingVerified(run)];
    // The plan's word stands for the name of each document that differs; one that is missing was not kept.
    return inStaging === undefined || inStaging.missing === 0 ? [] : [notThere('missing', inStaging)];
  }
  if (inStaging === undefined) {
    const kept = differingIn(run.collections);
    return kept === 0
      ? []
      : [notThere('different', { ...NONE, different: kept, identical: (documents ?? 0) - kept })];
  }
  return (['missing', 'different'] as const)
    .filter((kind) => inStaging[kind] > 0)
    .map((kind) => notThere(kind, inStaging));
}

const NONE: InStaging = { identical: 0, missing: 0, different: 0, excepted: 0, exceptions: [], examples: [] };

/** Not one document of the selection is there with its own content, although some other stands in its place. */
function isNothingVerified(run: RunRecord, inStaging: InStaging | undefined): boolean {
  if (inStaging !== undefined) {
    const { identical, different, excepted, discarded = 0 } = inStaging;
    return identical === 0 && different + excepted + discarded > 0;
  }
  return hasVerifiedNothing(run.collections);
}

function nothingVerified(run: RunRecord): Obstacle {
  const kept = sumOf(run.collections, (counts) => counts.kept);
  return {
    fact: `no document of the selection is on staging with the backup's content (${kept} ${OUTCOMES.kept.many}): the run there has verified nothing`,
    remedy: advice`Make room for the documents on staging, or let the plan replace them, and run ${{ command: 'apply', target: 'staging' }} again. If production may be written to without that, write \`acceptKept: true\` at targets.production.gate, and apply to staging again.`,
  };
}

const EXAMPLES = 3;

function notThere(kind: 'missing' | 'different', { examples, ...counts }: InStaging): Obstacle {
  const count = counts[kind];
  const documents = count === 1 ? '1 document of the selection' : `${count} documents of the selection`;
  const ids = examples.filter((example) => example.kind === kind).map(({ into, id }) => `${into} ${id}`);
  const named = ids.slice(0, EXAMPLES).join(', ');
  const shown = named === '' ? '' : ` (${named}${count > Math.min(ids.length, EXAMPLES) ? ', …' : ''})`;
  const accepted = advice`accept them by name, with ${{ command: 'accept', target: 'staging' }} or as exceptions in the plan`;
  return kind === 'missing'
    ? {
        fact: `${documents} ${count === 1 ? 'is' : 'are'} missing on staging${shown}`,
        remedy: advice`Run ${{ command: 'apply', target: 'staging' }} again, or ${accepted}.`,
      }
    : {
        fact: `${documents} ${count === 1 ? 'differs' : 'differ'} on staging${shown}`,
        remedy: advice`Run ${{ command: 'apply', target: 'staging' }} again once nothing else stands in their place there, or ${accepted}.`,
      };
}

/** What the open gate says of the documents, behind the verification. */
function contentReason({ inStaging, plan }: GateFacts, run: RunRecord): string {
  if (isNothingVerified(run, inStaging)) {
    return `; no document is there with the backup's content, which the plan accepts (gate.acceptKept)`;
  }
  if (inStaging === undefined) return '';
  const { identical, excepted, exceptions, discarded = 0 } = inStaging;
  const but =
    excepted === 0
      ? ''
      : `, and ${excepted} ${excepted === 1 ? 'is' : 'are'} accepted by name: ${exceptions.join(', ')}`;
  const missing = discarded === 0 ? '' : `, and lacks ${discarded}, which were left out`;
  const all = excepted + discarded === 0;
  return `; staging holds ${all ? 'every document' : `${identical} documents`} byte for byte${but}${missing}${unexercised(plan, run)}`;
}

/** Documents that staging lacked are inserted whole there: of the merge that production is to go through, it has shown nothing. */
function unexercised(plan: Plan, run: RunRecord): string {
  const merging = new Set(
    restoredCollections(plan).flatMap(({ into, merge }) => (merge === undefined ? [] : [into])),
  );
  const untried = run.collections.filter(
    ({ into, inserted, replaced }) => merging.has(into) && inserted > 0 && replaced === 0,
  );
  if (untried.length === 0) return '';
  return `; no merge was exercised there in ${untried.map(({ into }) => into).join(', ')}: the documents were inserted whole`;
}

/** A record that this program wrote as verified says of every document that it is in, was kept, or was left out by name. */
function accountsForAll(run: RunRecord, documents: number | undefined): boolean {
  const isWhole = run.collections.every((counts) => accountedFor(counts) === counts.selected);
  return (
    isWhole && (documents === undefined || sumOf(run.collections, ({ selected }) => selected) === documents)
  );
}

function unaccounted(): Obstacle {
  return {
    fact: 'the record of staging says verified, but does not account for every document of the selection',
    remedy: advice`It was not written so by this program. Run ${{ command: 'apply', target: 'staging' }} again.`,
  };
}

function neverApplied({ staging, digest, plan }: GateFacts): Obstacle {
  const latest = ownRuns(staging).find(({ key, target }) => key.plan === plan.name && target === 'staging');
  if (latest === undefined) {
    const foreign = staging.runs.find(({ key }) => key.plan === plan.name && key.selection === digest);
    const origin = foreign?.server;
    const copied =
      origin === undefined
        ? ''
        : `: the record of it there came with a copy of ${origin.database} on the ${origin.kind} ${origin.id ?? ''}`;
    return {
      fact: `this selection was never applied to staging${copied.trimEnd()}`,
      remedy: advice`Run ${{ command: 'apply', target: 'staging' }} first.`,
    };
  }
  return {
    fact:
      `staging has another selection of this plan (${short(latest.key.selection)}, not ${short(digest)}): ` +
      'the plan or the backup has changed since, so that other documents would be written',
    remedy: advice`Run ${{ command: 'apply', target: 'staging' }} again, with the plan as it is now.`,
  };
}

const short = (digest: string): string => digest.slice(0, 12);
