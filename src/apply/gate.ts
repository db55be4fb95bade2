/**
 * Whether production may be written to. Pure: facts in, verdict out. Nothing else opens the gate; there is no override.
 */
import type { Actor, RunRecord } from '../ledger/run-record.ts';
import type { ServerIdentity } from '../target/target.ts';

/** One database as its server and its ledger describe it. */
export interface DatabaseFacts {
  readonly database: string;
  readonly identity: ServerIdentity;
  readonly runs: readonly RunRecord[];
}

export interface GateFacts {
  /** Digest of the selection that shall be applied to production. */
  readonly digest: string;
  readonly planName: string;
  readonly gate: { readonly soakMs: number; readonly approvals: number };
  readonly production: DatabaseFacts;
  readonly staging: DatabaseFacts;
  /** UTC milliseconds by staging's clock, which also made the ledger's times. */
  readonly stagingTime: number;
  /** Documents of the selection that staging lacks now. */
  readonly missingInStaging: number;
}

/** One fact that keeps the gate shut, and what to do about it. */
export interface Obstacle {
  readonly fact: string;
  readonly remedy: string;
}

export type GateVerdict =
  | { readonly open: true; readonly reason: string }
  | { readonly open: false; readonly obstacles: readonly Obstacle[] };

export function decideGate(facts: GateFacts): GateVerdict {
  const obstacles = [...identityObstacles(facts), ...stagingObstacles(facts)];
  if (obstacles.length > 0) return { open: false, obstacles };
  const run = stagingRun(facts) as RunRecord;
  const verified = (run.verifiedAt as Date).toISOString();
  return {
    open: true,
    reason: `the same selection was applied to staging and verified there at ${verified}`,
  };
}

/** What databases say of themselves must rule out that both are the same, or are swapped. */
function identityObstacles({ production, staging }: GateFacts): Obstacle[] {
  const obstacles = [...roleObstacles('staging', staging), ...roleObstacles('production', production)];
  const relation = compareServers(staging.identity, production.identity);
  if (relation !== 'different') obstacles.push(sameServerObstacle(relation));
  return obstacles;
}

/** A database that was once written to as one target never passes as the other. */
export function roleObstacles(role: 'staging' | 'production', { database, runs }: DatabaseFacts): Obstacle[] {
  const other = role === 'staging' ? 'production' : 'staging';
  if (!runs.some(({ target }) => target === other)) return [];
  return [
    {
      fact: `the database ${database} given as ${role} is recorded in its own ledger as ${other}`,
      remedy: `Check the connection strings: are ${role} and ${other} swapped?`,
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
 * alone prove nothing unless sets have different names and no member in common.
 */
export function compareServers(a: ServerIdentity, b: ServerIdentity): 'same' | 'different' | 'unproven' {
  if (a.processId === b.processId || a.members.some((member) => b.members.includes(member))) return 'same';
  if (a.exact && b.exact) return a.kind === b.kind && a.id === b.id ? 'same' : 'different';
  const bothSets = a.kind === 'replica set' && b.kind === 'replica set';
  return bothSets && setName(a) !== setName(b) ? 'different' : 'unproven';
}

const setName = ({ id }: ServerIdentity): string => id.split('/')[0] as string;

function stagingRun({ staging, digest }: GateFacts): RunRecord | undefined {
  return staging.runs.find((run) => run.digest === digest && run.target === 'staging');
}

function stagingObstacles(facts: GateFacts): Obstacle[] {
  const run = stagingRun(facts);
  if (run === undefined) return [neverApplied(facts)];
  if (run.status !== 'verified' || run.verifiedAt === undefined) {
    return [
      {
        fact: `the run on staging is ${run.status}, not verified`,
        remedy: 'Run `plan apply --target staging` until it ends verified.',
      },
    ];
  }
  const obstacles: Obstacle[] = [];
  if (facts.missingInStaging !== 0) obstacles.push(documentsGone(facts.missingInStaging));
  const soakedMs = facts.stagingTime - run.verifiedAt.getTime();
  if (soakedMs < facts.gate.soakMs) {
    obstacles.push({
      fact: `the restore has soaked on staging for ${span(soakedMs)} of ${span(facts.gate.soakMs)}`,
      remedy: `Wait until ${new Date(run.verifiedAt.getTime() + facts.gate.soakMs).toISOString()}.`,
    });
  }
  const approvers = approversOf(run);
  if (approvers.length < facts.gate.approvals) {
    obstacles.push({
      fact: `${approvers.length} of ${facts.gate.approvals} approvals are given`,
      remedy: `Somebody other than ${run.appliedBy.map(({ user }) => user).join(', ')} must run \`plan approve\`.`,
    });
  }
  return obstacles;
}

function neverApplied({ staging, digest, planName }: GateFacts): Obstacle {
  const others = staging.runs.filter((run) => run.plan.name === planName && run.target === 'staging');
  const latest = others.sort((a, b) => a.updatedAt.getTime() - b.updatedAt.getTime()).at(-1);
  if (latest === undefined) {
    return {
      fact: 'this selection was never applied to staging',
      remedy: 'Run `plan apply --target staging` first.',
    };
  }
  return {
    fact:
      `staging has another selection of this plan (${short(latest.digest)}, not ${short(digest)}): ` +
      'the plan or the backup has changed since, so that other documents would be written',
    remedy: 'Run `plan apply --target staging` again, with the plan as it is now.',
  };
}

function documentsGone(missing: number): Obstacle {
  return {
    fact: `${missing} documents of the selection are no longer on staging`,
    remedy: 'Run `plan apply --target staging` again.',
  };
}

/** Different people who approved and are none of those who applied. */
export function approversOf({ approvals, appliedBy }: RunRecord): string[] {
  const appliers = new Set(appliedBy.map(({ user }) => user));
  return [...new Set(approvals.map(({ user }) => user))].filter((user) => !appliers.has(user));
}

/** Why this person's approval would not count; undefined where it would. */
export function approvalObstacle(run: RunRecord, actor: Actor): Obstacle | undefined {
  if (!run.appliedBy.some(({ user }) => user === actor.user)) return undefined;
  return {
    fact: `${actor.user} applied this selection to staging and cannot approve it`,
    remedy: 'A second person must run `plan approve`.',
  };
}

const short = (digest: string): string => digest.slice(0, 12);

/** `45 s`, `14 min 59 s`, `2 h`, `2 h 5 min`: rounded down, so that a time that is not over never looks over. */
function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [h, min, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const parts = h > 0 ? [`${h} h`, min > 0 && `${min} min`] : [min > 0 && `${min} min`, s > 0 && `${s} s`];
  return parts.filter((part) => part !== false).join(' ') || '0 s';
}
