/** A lock that is held: renewed by a heartbeat, made sure of before each batch, given back at the end. */
import { RestorePlanError } from '../errors.ts';
import type { Commands } from '../target/commands.ts';
import { LOCK } from './layout.ts';
import { SERVER_NOW, updateLedger } from './ledger-writes.ts';
import { LOCK_ID, type LockHolder, lockNow } from './lock-state.ts';

/** Share of the lease after which it is renewed, and after which no batch starts without renewing it first. */
const RENEW_AFTER = 0.25;
const TRUSTED_FOR = 0.6;

/** By two clocks, milliseconds: a suspended machine stops the steady one, and somebody may set the other. */
export interface Moment {
  readonly steady: number;
  readonly wall: number;
}

export function momentNow(): Moment {
  return { steady: performance.now(), wall: Date.now() };
}

export interface Holding {
  readonly holder: LockHolder;
  readonly leaseMs: number;
  readonly fencing: number;
  /** Before the request that took it. */
  readonly renewedAt: Moment;
}

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
