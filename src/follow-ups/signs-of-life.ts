/** Tells the ledger that an attempt at a follow-up is still going on, and waits for others to stop telling so. */
import { setTimeout as delay } from 'node:timers/promises';
import { RestorePlanError } from '../errors.ts';
import {
  ALIVE_MS,
  type FollowUpClaim,
  type FollowUpRecord,
  type FollowUpWrites,
} from '../ledger/follow-up-record.ts';

const LOOK_AGAIN_MS = 500;

/** Runs `work` and has the ledger told meanwhile. One message that is lost is no failure: the next one says the same. */
export async function showingLife<T>(tell: () => Promise<void>, work: () => Promise<T>): Promise<T> {
  let isTelling = false;
  const timer = setInterval(() => {
    if (isTelling) return;
    isTelling = true;
    void tell()
      .catch(() => undefined)
      .finally(() => {
        isTelling = false;
      });
  }, ALIVE_MS / 4);
  timer.unref();
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}

export interface TakeOver {
  readonly writes: FollowUpWrites;
  readonly claim: FollowUpClaim;
  /** The follow-up's record as the ledger has it now. */
  readonly look: () => Promise<FollowUpRecord | undefined>;
  readonly signal: AbortSignal;
}

/**
 * Claims a follow-up whose end is not known. One whose process died is waited for until its last sign of life is too old; false
 * when it has ended meanwhile, or another one has it. Throws LOCKED when its process is at it.
 */
export async function claimWhenDead({ writes, claim, look, signal }: TakeOver): Promise<boolean> {
  let first: number | undefined;
  for (;;) {
    if (await writes.claim(claim)) return true;
    const record = await look();
    if (record?.state !== 'started' || record.attempt !== claim.inSpiteOf) return false;
    const aliveUntil = record.aliveUntil?.getTime() ?? 0;
    first ??= aliveUntil;
    if (aliveUntil > first) throw goingOn(record);
    signal.throwIfAborted();
    await delay(LOOK_AGAIN_MS);
  }
}

function goingOn({ name, by, startedAt }: FollowUpRecord): RestorePlanError {
  const who = `${by.user}@${by.host}`;
  return new RestorePlanError(
    'LOCKED',
    `follow-up "${name}" is going on: begun by ${who} at ${startedAt.toISOString()}`,
    {
      hint: 'Wait for it to end; then see `plan follow-up list`. To begin it once more, end that process first.',
      facts: { followUp: name, by: who },
    },
  );
}
