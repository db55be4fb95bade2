/**
 * One run at a time per target database: a lease, taken and renewed by single atomic operations on one document.
 *
 * The lease runs by the server's clock and is renewed by a heartbeat, so a holder that died loses it by itself. Each taking
 * raises the fencing number. A holder that was paused past its lease finds out before its next batch: `Lease.ensure` renews
 * only while the document still names this holder and this number.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { deserialize } from 'bson';
import { advice, type Remedy } from '../advice.ts';
import { RestorePlanError } from '../errors.ts';
import { asBuffer, readCursor } from '../mongo/raw-messages.ts';
import { type Commands, MAJORITY } from '../target/commands.ts';
import {
  damaged,
  FENCING_END,
  isFencing,
  LEDGER_FORMAT,
  LOCK,
  literal,
  RUNS,
  SERVER_NOW,
  updateLedger,
} from './layout.ts';
import {
  endHolder,
  type Life,
  LOCK_ID,
  type LockHolder,
  type LockState,
  lifeOfHolder,
  lockNow,
  ownProcess,
  readLockState,
  whoHolds,
} from './lock-state.ts';

/** Long enough for a garbage collection or a slow disk, short enough to wait for after a crash. */
export const LEASE_MS = 10_000;
/** How often a run that waits for a lease looks at it. */
const LOOK_AGAIN_MS = 500;
/** No lease that this tool gives is waited for so long. */
const LONGEST_WAIT_MS = 60_000;

export interface LockOptions {
  readonly leaseMs?: number;
  /** Says that the run waits, for whom, and what this machine knows of it. */
  readonly onWait?: (state: LockState, life: Life) => void;
  readonly signal?: AbortSignal;
}

/**
 * Takes the lock. One that is held but no longer renewed is waited for, as long as its lease lasts: a batch of a dead holder may
 * be on its way yet. Refused with LOCKED, naming the holder, when its process lives on this machine or it renews the lock.
 */
export async function acquireLock(
  commands: Commands,
  holder: LockHolder,
  options: LockOptions = {},
): Promise<Lease> {
  const leaseMs = options.leaseMs ?? LEASE_MS;
  const own = await ownProcess();
  const named = { ...holder, process: holder.process ?? own };
  const taking = { holder: named, leaseMs, above: await highestFencing(commands) };
  const began = momentNow();
  let first: LockState | undefined;
  for (;;) {
    const sentAt = momentNow();
    const state = await tryToTake(commands, taking);
    if (state.holder?.token === holder.token) {
      return new Lease(commands, { holder, leaseMs, fencing: state.fencing, renewedAt: sentAt });
    }
    const life = await lifeOfHolder(state);
    // Of this very process, only the heartbeat tells: a run of it may have let go without being able to say so.
    const isOwn = state.holder?.process?.pid === own?.pid;
    if (life === 'alive' && !isOwn) throw heldBy(commands, state, 'alive');
    if (first === undefined) options.onWait?.(state, life);
    first ??= state;
    const renewed =
      state.heartbeatAt?.getTime() !== first.heartbeatAt?.getTime() || state.fencing !== first.fencing;
    // A lease that outlives itself: the server's clock was set back, or another primary's is behind.
    const isOverdue = sentAt.steady - began.steady > leaseOf(first) + 2 * LOOK_AGAIN_MS;
    if (renewed) throw heldBy(commands, state, 'renewing');
    if (isOverdue || options.signal?.aborted) throw heldBy(commands, state, life);
    await delay(LOOK_AGAIN_MS);
  }
}

/** Throws LOCKED when the lock's holder has this name, and its process lives on this machine. */
export async function requireNotAlive(commands: Commands, holderName: string): Promise<void> {
  const state = await lockNow(commands);
  if (state?.holder?.name !== holderName || (await lifeOfHolder(state)) !== 'alive') return;
  throw heldBy(commands, state, 'alive');
}

/** Takes the lock away from a holder of this name. False when it is not (or no longer) the holder. */
export async function breakLock(commands: Commands, holderName: string): Promise<boolean> {
  const held = await lockNow(commands);
  if (held?.holder?.name !== holderName) return false;
  const matched = await updateLedger(commands, {
    collection: LOCK,
    filter: { _id: LOCK_ID, 'holder.name': holderName, fencing: held.fencing },
    pipeline: [{ $set: { holder: null, expiresAt: SERVER_NOW } }],
  });
  if (matched === 1) return true;
  // An attempt of ours whose reply was lost, or the holder gave it back at this moment: it is free.
  const now = await lockNow(commands);
  return now?.holder === undefined && now?.fencing === held.fencing;
}

/** The refusal of an unlock that names somebody else. */
export async function notHeldBy(commands: Commands, holderName: string): Promise<RestorePlanError> {
  const state = await lockNow(commands);
  const now = state?.holder;
  const { target, database } = commands;
  const nobody =
    state === undefined
      ? `The database ${database} was never locked: is it the one that the run was refused for?`
      : 'Nobody does: the next run can take it.';
  return new RestorePlanError('LOCKED', `${holderName} does not hold the lock of ${target}`, {
    hint: now === undefined ? nobody : `${now.name} holds it. Make sure that it is dead before you name it.`,
    facts: { holder: now?.name ?? null },
  });
}

/**
 * Where somebody removed the lock's document, numbers go on above those in the records: lower ones would be refused for ever. Throws
 * RestorePlanError TARGET for a number that cannot be gone on from: the lock and every record after it would have it, too.
 */
async function highestFencing(commands: Commands): Promise<number> {
  const reply = await commands.runPatiently('reading the ledger', {
    find: RUNS,
    filter: { fencing: { $type: 'number' } },
    projection: { fencing: 1 },
    sort: { fencing: -1 },
    limit: 1,
    readConcern: { level: 'majority' },
  });
  const highest = readCursor(reply).documents[0];
  if (highest === undefined) return 0;
  const run = deserialize(highest);
  const { fencing } = run;
  if (!isFencing(fencing)) throw damaged(RUNS, run, 'fencing');
  return fencing;
}

/** Milliseconds, by the clock of the server that gave it. */
function leaseOf({ heartbeatAt, expiresAt }: LockState): number {
  if (heartbeatAt === undefined || expiresAt === undefined) return LONGEST_WAIT_MS;
  return Math.min(expiresAt.getTime() - heartbeatAt.getTime(), LONGEST_WAIT_MS);
}

interface Taking {
  readonly holder: LockHolder;
  readonly leaseMs: number;
  /** The fencing number will be higher. */
  readonly above: number;
}

/** One findAndModify decides on the server whether the lock is free, and takes it in the same step. */
async function tryToTake(commands: Commands, { holder, leaseMs, above }: Taking): Promise<LockState> {
  const take = (then: unknown, otherwise: string): unknown => ({ $cond: ['$free', then, otherwise] });
  const reply = await commands.runPatiently('taking the lock', {
    findAndModify: LOCK,
    query: { _id: LOCK_ID },
    update: [
      { $set: { free: IS_FREE } },
      {
        $set: {
          // From here on a program that knows only older formats stays out.
          format: take(LEDGER_FORMAT, '$format'),
          fencing: take({ $add: [{ $max: ['$fencing', above] }, 1] }, '$fencing'),
          holder: take(literal(holder), '$holder'),
          takenAt: take(SERVER_NOW, '$takenAt'),
          heartbeatAt: take(SERVER_NOW, '$heartbeatAt'),
          expiresAt: take({ $add: [SERVER_NOW, leaseMs] }, '$expiresAt'),
        },
      },
      { $unset: 'free' },
    ],
    upsert: true,
    new: true,
    writeConcern: MAJORITY,
  });
  return readLockState(asBuffer(reply['value']));
}

const IS_NEW = { $eq: ['$$ROOT', { _id: LOCK_ID }] };
const HAS_NO_HOLDER = { $eq: [{ $ifNull: ['$holder', null] }, null] };
/** A whole number: what the server makes of another one is not the same. */
const HAS_FENCING = {
  $and: [
    { $in: [{ $type: '$fencing' }, ['int', 'long', 'double']] },
    { $eq: ['$fencing', { $convert: { input: '$fencing', to: 'long', onError: null, onNull: null } }] },
    { $gte: ['$fencing', 0] },
    { $lt: ['$fencing', FENCING_END] },
  ],
};

/** What `readLockState` refuses is never free: a newer format, whose rules are not known here, and what is damaged. */
const IS_FREE = {
  $or: [
    IS_NEW,
    {
      $and: [
        { $in: ['$format', Array.from({ length: LEDGER_FORMAT }, (_, i) => i + 1)] },
        HAS_FENCING,
        {
          $or: [
            HAS_NO_HOLDER,
            {
              $and: [{ $eq: [{ $type: '$holder.name' }, 'string'] }, { $lte: ['$expiresAt', SERVER_NOW] }],
            },
          ],
        },
      ],
    },
  ],
};

/** renewing: it was seen to renew the lock. */
type Sign = Life | 'renewing';

function heldBy(commands: Commands, state: LockState, sign: Sign): RestorePlanError {
  const name = state.holder?.name ?? 'another run';
  const heartbeat = state.heartbeatAt?.toISOString() ?? 'an unknown time';
  const target = commands.target;
  const unlock = { command: 'unlock', target, options: { holder: name } } as const;
  const said: Readonly<Record<Sign, readonly [string, Remedy]>> = {
    alive: ['it is alive, on this machine', endHolder(state)],
    renewing: [
      `it is alive: last sign of life ${heartbeat}`,
      advice`Wait for it to end, or stop it with Ctrl-C where it runs. Only if nobody can reach it: ${unlock}`,
    ],
    stopped: ['its process on this machine is stopped', endHolder(state)],
    dead: ['its process on this machine has ended', advice`Free the lock: ${unlock}`],
    elsewhere: [
      `last sign of life ${heartbeat}`,
      advice`Nobody renewed the lock while this run waited. If its holder is dead: ${unlock}`,
    ],
  };
  const [fact, hint] = said[sign];
  return new RestorePlanError('LOCKED', `${target}: ${whoHolds(state)}; ${fact}`, {
    hint,
    facts: { holder: name, fencing: state.fencing, since: state.takenAt ?? null, sign },
  });
}

/** Share of the lease after which it is renewed, and after which no batch starts without renewing it first. */
const RENEW_AFTER = 0.25;
const TRUSTED_FOR = 0.6;

/** By two clocks, milliseconds: a suspended machine stops the steady one, and somebody may set the other. */
interface Moment {
  readonly steady: number;
  readonly wall: number;
}

function momentNow(): Moment {
  return { steady: performance.now(), wall: Date.now() };
}

interface Holding {
  readonly holder: LockHolder;
  readonly leaseMs: number;
  readonly fencing: number;
  /** Before the request that took it. */
  readonly renewedAt: Moment;
}

/** A lock that is held: renewed by a heartbeat, made sure of before each batch, given back at the end. */
export class Lease {
  readonly fencing: number;
  readonly #commands: Commands;
  readonly #holding: Holding;
  readonly #heartbeat: NodeJS.Timeout;
  #renewedAt: Moment;
  #renewing: Promise<void> | undefined;
  /** Why it is held no longer. */
  #over: RestorePlanError | undefined;

  constructor(commands: Commands, holding: Holding) {
    this.#commands = commands;
    this.#holding = holding;
    this.fencing = holding.fencing;
    this.#renewedAt = holding.renewedAt;
    this.#heartbeat = setInterval(() => {
      // A failed heartbeat is no failure of the run: `ensure` decides, when the lease is needed next.
      this.renew().catch(() => undefined);
    }, holding.leaseMs * RENEW_AFTER);
    this.#heartbeat.unref();
  }

  /** Call before each batch. Throws LOCKED when another run has taken the lock, or this one has given it back. */
  async ensure(): Promise<void> {
    if (this.#over !== undefined) throw this.#over;
    const now = momentNow();
    const age = Math.max(now.steady - this.#renewedAt.steady, now.wall - this.#renewedAt.wall);
    if (age > this.#holding.leaseMs * TRUSTED_FOR) await this.renew();
  }

  /**
   * Renews now. The write waits for the majority, so what the majority reads afterwards holds everything that was
   * acknowledged before, also on a primary that was elected meanwhile.
   */
  renew(): Promise<void> {
    this.#renewing ??= this.#renewOnce().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renewOnce(): Promise<void> {
    const sentAt = momentNow();
    const matched = await updateLedger(this.#commands, {
      collection: LOCK,
      filter: this.#mine(),
      pipeline: [
        { $set: { heartbeatAt: SERVER_NOW, expiresAt: { $add: [SERVER_NOW, this.#holding.leaseMs] } } },
      ],
    });
    if (matched === 1) {
      this.#renewedAt = sentAt;
      return;
    }
    clearInterval(this.#heartbeat);
    const lost = await this.#takenAway();
    this.#over = lost;
    throw lost;
  }

  /** Renews no more, and gives no leave to write from here on. The lock stays taken until the lease ends by itself. */
  abandon(): void {
    clearInterval(this.#heartbeat);
    this.#over ??= new RestorePlanError(
      'LOCKED',
      `${this.#commands.target}: this run has let go of the lock`,
      {
        hint: 'Run again; what is done already stays done.',
      },
    );
  }

  /** Gives the lock back. Never throws: a lease that cannot be given back ends by itself. */
  async release(): Promise<void> {
    if (this.#over !== undefined) return;
    this.abandon();
    // A heartbeat on its way would find the lock given back and look for who took it, on a connection about to be closed.
    await this.#renewing?.catch(() => undefined);
    const unlock = updateLedger(this.#commands, {
      collection: LOCK,
      filter: this.#mine(),
      pipeline: [{ $set: { holder: null, expiresAt: SERVER_NOW } }],
    });
    await unlock.catch((error: unknown) => {
      if (!(error instanceof RestorePlanError)) throw error;
    });
  }

  #mine(): Record<string, unknown> {
    return { _id: LOCK_ID, 'holder.token': this.#holding.holder.token, fencing: this.#holding.fencing };
  }

  async #takenAway(): Promise<RestorePlanError> {
    const now = await lockNow(this.#commands);
    const by = now?.holder === undefined ? 'it was unlocked' : `${now.holder.name} holds it now`;
    return new RestorePlanError('LOCKED', `${this.#commands.target}: this run lost the lock: ${by}`, {
      hint: 'It wrote nothing after that. Wait for the other run, then run again; what is done already stays done.',
    });
  }
}
