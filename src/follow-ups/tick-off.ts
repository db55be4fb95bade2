import { randomUUID } from 'node:crypto';
import { RestorePlanError } from '../errors.ts';
import { FollowUpWrites, followUpRecords } from '../ledger/follow-up-record.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { Actor } from '../ledger/run-record.ts';
import { readRuns, runsOfPlan } from '../ledger/runs.ts';
import type { Plan } from '../plan/plan.ts';
import { redact } from '../secret.ts';
import { accessTo, type Target } from '../target/target.ts';
import { followUpStatuses, restoresOf } from './follow-up-status.ts';

export interface TickOffRequest {
  readonly plan: Plan;
  readonly target: Target;
  readonly name: string;
  readonly actor: Actor;
  readonly note: string | undefined;
}

/**
 * Records that a person did a follow-up, or knows that it was done, for every run of the plan that it is due for. Returns false when
 * that was recorded before. Throws RestorePlanError USAGE when the target has no such follow-up, or no run of the plan is verified there.
 */
export async function tickOff({ plan, target, name, actor, note }: TickOffRequest): Promise<boolean> {
  await openLedger(target).migrate(plan.name, actor);
  const runs = runsOfPlan(await readRuns(target.reader), plan, target.reader);
  const statuses = followUpStatuses({ followUps: plan.followUps, target: target.name, runs });
  const status = statuses.find(({ followUp }) => followUp.name === name);
  if (status === undefined) {
    const names = statuses.map(({ followUp }) => `"${followUp.name}"`).join(', ');
    throw new RestorePlanError('USAGE', `the plan has no follow-up "${name}" for ${target.name}`, {
      hint: names === '' ? `It has none at all for ${target.name}.` : `It has ${names}.`,
    });
  }
  if (status.state === 'done') return false;
  const [restored] = restoresOf(runs);
  if (restored === undefined) {
    throw new RestorePlanError('USAGE', `"${name}" is not due: the plan is not verified in ${target.name}`, {
      hint: `First restore it: \`plan apply --target ${target.name}\``,
    });
  }
  const begun = status.state === 'unknown' ? status.run : undefined;
  const concerned = new Set([...(begun === undefined ? [] : [begun]), ...status.due]);
  let isRecorded = false;
  for (const run of concerned.size === 0 ? [restored] : concerned) {
    const record = followUpRecords(run).find((each) => each.name === name);
    const inSpiteOf = record?.state === 'started' ? record.attempt : undefined;
    const writes = new FollowUpWrites(accessTo(target).commands, run.key);
    const attempt = randomUUID();
    const claim = { name, attempt, actor, inSpiteOf, status: run.status, evenIfAlive: true };
    if (!(await writes.claim(claim))) continue;
    const text = note === undefined ? undefined : redact(note);
    await writes.end({ name, attempt }, { state: 'done', detail: undefined, output: undefined, note: text });
    isRecorded = true;
  }
  return isRecorded;
}
