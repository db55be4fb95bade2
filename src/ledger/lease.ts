/** A lock that is held: renewed by a heartbeat, made sure of before each batch, given back at the end. */
import { RestorePlanError } from '../errors.ts';
import { CommandFailure } from '../target/command-failure.ts';
import type { Commands } from '../target/commands.ts';
import { LOCK } from './layout.ts';
import { SERVER_NOW, updateLedger } from './ledger-writes.ts';
import { LOCK_ID, type LockHolder, lockNow } from './lock-state.ts';

/** Share of the lease after which it is renewed, and after which no batch starts without renewing it first. */
const RENEW_AFTER = 0.25;
const TRUSTED_FOR = 0.6;

export interface Holding {
  readonly holder: LockHolder;
  readonly leaseMs: number;
  readonly fencing: number;
  /** `performance.now()` before the request that took it. */
  readonly renewedAt: number;
}

export class Lease {
  readonly fencing: number;
  readonly #commands: Commands;
  readonly #holding: Holding;
  readonly #heartbeat: NodeJS.Timeout;
  #renewedAt: number;
  /** The wall clock beside it: a suspended machine stops the other one. */
  #renewedAtWall = Date.now();
  #renewing: Promise<void> | undefined;
  #lost: RestorePlanError | undefined;

  constructor(commands: Commands, holding: Holding) {
    this.#commands = commands;
    this.#holding = holding;
    this.fencing = holding.fencing;
    this.#renewedAt = holding.renewedAt;
    this.#heartbeat = setInterval(() => {
      // A failed heartbeat is no failure of the run: `ensure` decides, when the lease is needed next.
      this.#renew().catch(() => undefined);
    }, holding.leaseMs * RENEW_AFTER);
    this.#heartbeat.unref();
  }

  /** Call before each batch. Throws LOCKED when another run has taken the lock. */
  async ensure(): Promise<void> {
    if (this.#lost !== undefined) throw this.#lost;
    const age = Math.max(performance.now() - this.#renewedAt, Date.now() - this.#renewedAtWall);
    if (age > this.#holding.leaseMs * TRUSTED_FOR) await this.renew();
  }

  /**
   * Renews now. The write waits for the majority, so what the majority reads afterwards holds everything that was
   * acknowledged before, also on a primary that was elected meanwhile.
   */
  renew(): Promise<void> {
    return this.#renew();
  }

  #renew(): Promise<void> {
    this.#renewing ??= this.#renewOnce().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renewOnce(): Promise<void> {
    const sentAt = performance.now();
    const sentAtWall = Date.now();
    const matched = await updateLedger(this.#commands, {
      collection: LOCK,
      filter: this.#mine(),
      pipeline: [
        { $set: { heartbeatAt: SERVER_NOW, expiresAt: { $add: [SERVER_NOW, this.#holding.leaseMs] } } },
      ],
    });
    if (matched === 1) {
      this.#renewedAt = sentAt;
      this.#renewedAtWall = sentAtWall;
      return;
    }
    clearInterval(this.#heartbeat);
    this.#lost = await this.#takenAway();
    throw this.#lost;
  }

  /** Gives the lock back. Never throws: a lease that cannot be given back ends by itself. */
  async release(): Promise<void> {
    clearInterval(this.#heartbeat);
    if (this.#lost !== undefined) return;
    const unlock = updateLedger(this.#commands, {
      collection: LOCK,
      filter: this.#mine(),
      pipeline: [{ $set: { holder: null, expiresAt: SERVER_NOW } }],
    });
    await unlock.catch((error: unknown) => {
      if (!(error instanceof CommandFailure)) throw error;
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
