import { randomUUID } from 'node:crypto';
import { RestorePlanError } from '../errors.ts';
import { FollowUpWrites } from '../ledger/follow-up-writes.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { Actor } from '../ledger/run-record.ts';
import type { Plan } from '../plan/plan.ts';
import { redact } from '../secret.ts';
import { accessTo } from '../target/access.ts';
import type { Target } from '../target/target.ts';
import { followUpStatuses } from './follow-up-status.ts';

export interface TickOffRequest {
  readonly plan: Plan;
  /** Selection digest. */
  readonly digest: string;
  readonly target: Target;
  readonly name: string;
  readonly actor: Actor;
  readonly note: string | undefined;
}

/**
 * Records that a person did a follow-up, or knows that it was done. Returns false when that was recorded before.
 * Throws RestorePlanError USAGE when the target has no such follow-up, or the selection is not verified there.
 */
export async function tickOff({ plan, digest, target, name, actor, note }: TickOffRequest): Promise<boolean> {
  const ledger = openLedger(target);
  const key = { plan: plan.name, selection: digest };
  await ledger.migrate(plan.name, actor);
  const run = await ledger.runs.find(key);
  const statuses = followUpStatuses({ followUps: plan.followUps, target: target.name, run });
  const status = statuses.find(({ followUp }) => followUp.name === name);
  if (status === undefined) {
    const names = statuses.map(({ followUp }) => `"${followUp.name}"`).join(', ');
    throw new RestorePlanError('USAGE', `the plan has no follow-up "${name}" for ${target.name}`, {
      hint: names === '' ? `It has none at all for ${target.name}.` : `It has ${names}.`,
    });
  }
  if (status.state === 'done') return false;
  if (run?.status !== 'verified') {
    throw new RestorePlanError(
      'USAGE',
      `"${name}" is not due: the selection is not verified in ${target.name}`,
      {
        hint: `First restore it: \`plan apply --target ${target.name}\``,
      },
    );
  }
  const writes = new FollowUpWrites(accessTo(target).commands, key);
  const attempt = randomUUID();
  const inSpiteOf = status.state === 'unknown' ? status.record?.attempt : undefined;
  if (!(await writes.claim({ name, attempt, actor, inSpiteOf, evenIfAlive: true }))) return false;
  const text = note === undefined ? undefined : redact(note);
  await writes.end({ name, attempt }, { state: 'done', detail: undefined, output: undefined, note: text });
  return true;
}
