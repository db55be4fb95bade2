/** What the ledger knows of a loose end of one selection in one target: an item of `followUps` in `restore_plan.runs`. */
import { RUNS } from './layout.ts';
import { damaged } from './ledger-fault.ts';
import type { Actor, RunRecord } from './run-record.ts';

/** started: begun, and its end is not known. Only a follow-up that was never begun has no record. */
const FOLLOW_UP_STATES = ['started', 'done', 'failed'] as const;

export interface FollowUpRecord {
  readonly name: string;
  readonly state: (typeof FOLLOW_UP_STATES)[number];
  /** Tells one attempt from another. */
  readonly attempt: string;
  readonly by: Actor;
  readonly startedAt: Date;
  /** Until then the process that began it is taken to be at it; moved on while it lives. Says nothing once it has ended. */
  readonly aliveUntil: Date | undefined;
  readonly endedAt: Date | undefined;
  /** How it ended, in one line: an exit code, an HTTP status. */
  readonly detail: string | undefined;
  /** The end of what a command printed, secrets struck out. */
  readonly output: string | undefined;
  /** What the person who ticked it off wrote. */
  readonly note: string | undefined;
}

/** Throws RestorePlanError TARGET when the ledger holds something else there. */
export function followUpRecords(run: RunRecord): FollowUpRecord[] {
  return run.followUps.map((item) => {
    if (!isFollowUpRecord(item)) throw damaged(RUNS, { _id: run.key }, 'followUps');
    const { name, state, attempt, by, startedAt, aliveUntil, endedAt, detail, output, note } = item;
    return { name, state, attempt, by, startedAt, aliveUntil, endedAt, detail, output, note };
  });
}

function isFollowUpRecord(value: unknown): value is FollowUpRecord {
  if (typeof value !== 'object' || value === null) return false;
  const item = value as Record<keyof FollowUpRecord, unknown>;
  const by = item.by as Partial<Record<keyof Actor, unknown>> | undefined;
  return (
    isText(item.name) &&
    FOLLOW_UP_STATES.some((state) => state === item.state) &&
    isText(item.attempt) &&
    isText(by?.user) &&
    isText(by?.host) &&
    item.startedAt instanceof Date &&
    [item.aliveUntil, item.endedAt].every((time) => time === undefined || time instanceof Date) &&
    [item.detail, item.output, item.note].every((text) => text === undefined || isText(text))
  );
}

const isText = (value: unknown): boolean => typeof value === 'string';
