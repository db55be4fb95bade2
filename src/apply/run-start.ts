/**
 * What the ledger is told of a run before anything is written, and whether its plan is the one that its name stands for in the
 * target. Runs belong to plans by their name, and names are given by people: two incidents may end up with one. Where the newest run
 * of the name took its documents from elsewhere, somebody is asked.
 */

import { RestorePlanError } from '../errors.ts';
import type { Actor, RecordedSource, RunRecord } from '../ledger/run-record.ts';
import { type LedgerPlace, type RunStart, recordedServer, runsOfPlan } from '../ledger/runs.ts';
import type { OplogRecord } from '../oplog/roll-forward.ts';
import type { Plan, Source } from '../plan/plan.ts';
import { sourceKindOf } from '../plan/sources/sources.ts';
import type { Selection } from '../selection/selection.ts';
import type { Target } from '../target/target.ts';
import { VERSION } from '../version.ts';
import { rulesOfPlan } from './gate-rules.ts';

interface StartRequest {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly target: Target;
  readonly actor: Actor;
  readonly exclusive?: boolean;
}

export async function runStart({
  plan,
  selection,
  target,
  actor,
  exclusive = false,
}: StartRequest): Promise<RunStart> {
  const { backup, digest, oplog } = selection.manifest;
  return {
    key: { plan: plan.name, selection: digest },
    target: target.name,
    toolVersion: VERSION,
    planDigest: plan.digest,
    server: recordedServer(target.reader),
    source: recordedSource(plan.source),
    gate: rulesOfPlan(plan),
    backup: {
      location: backup.location,
      kind: oplog === undefined ? backup.kind : `${backup.kind}, ${rolledBy(oplog)}`,
      fingerprint: backup.fingerprint,
    },
    actor: { user: actor.user, host: actor.host, serverUser: await target.reader.authenticatedUser() },
    exclusive,
  };
}

/** In the words that a record keeps: by which oplog, from where to where, and what nothing proves. */
function rolledBy({ source, begin, beginSaid, cut, sha256 }: OplogRecord): string {
  const unproven = beginSaid === 'plan' ? '; exact if the dump began after that' : '';
  return `rolled forward by ${source} from ${begin}${unproven} to ${cut} (entries ${sha256})`;
}

export interface OtherSource {
  /** The newest run of a plan of this name in the target. */
  readonly run: RunRecord;
  /** One sentence, without a full stop. */
  readonly fact: string;
}

/** Undefined when there was no such run, its record does not say (format 1), or it was of the same source. `runs`: newest first. */
export function otherSource(
  plan: Pick<Plan, 'name' | 'source'>,
  runs: readonly RunRecord[],
  here: LedgerPlace,
): OtherSource | undefined {
  const [run] = runsOfPlan(runs, plan, here);
  const now = recordedSource(plan.source);
  const { source: then } = run ?? {};
  if (run === undefined || then === undefined) return undefined;
  if (then.template === now.template && then.database === now.database) return undefined;
  return {
    run,
    fact: `${run.target}: a plan named ${plan.name} was applied before from ${shown(then)}; this one restores from ${shown(now)}`,
  };
}

/** For a caller who has no way to ask. */
export function refuseOtherSource({ fact, run }: OtherSource): RestorePlanError {
  return new RestorePlanError('USAGE', fact, {
    hint:
      'Nothing was written. Is it another plan? Then give it a name of its own: status, revert and the gate would take both for one. ' +
      `Is it the same? Then give --confirm-plan ${run.key.plan}.`,
  });
}

/** As a run's record keeps it. */
export function recordedSource({ location, database }: Source): RecordedSource {
  return { template: sourceKindOf(location).recorded(location), database };
}

function shown({ template, database }: RecordedSource): string {
  return `${template} (database ${database})`;
}
