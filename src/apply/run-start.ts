/** What the ledger is told of a run before anything is written. */

import type { Actor } from '../ledger/run-record.ts';
import { type RunStart, recordedServer } from '../ledger/runs.ts';
import type { Plan } from '../plan/plan.ts';
import type { Selection } from '../selection/selection.ts';
import type { Target } from '../target/target.ts';
import { rulesOfPlan } from './gate-rules.ts';
import { recordedSource } from './plan-source.ts';

export interface StartRequest {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly target: Target;
  readonly toolVersion: string;
  readonly actor: Actor;
  readonly exclusive?: boolean;
}

export async function runStart({
  plan,
  selection,
  target,
  toolVersion,
  actor,
  exclusive = false,
}: StartRequest): Promise<RunStart> {
  const { backup, digest } = selection.manifest;
  return {
    key: { plan: plan.name, selection: digest },
    target: target.name,
    toolVersion,
    planDigest: plan.digest,
    server: recordedServer(target.reader),
    source: recordedSource(plan.source),
    gate: rulesOfPlan(plan),
    backup: { location: backup.location, kind: backup.kind, fingerprint: backup.fingerprint },
    actor: { user: actor.user, host: actor.host, serverUser: await target.reader.authenticatedUser() },
    exclusive,
  };
}
