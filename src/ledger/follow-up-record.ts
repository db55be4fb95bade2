/**
 * Writes what the ledger knows of a loose end of one selection in one target: an item of `followUps` in `restore_plan.runs`, begun and
 * ended by conditional writes.
 */
import type { Commands } from '../target/commands.ts';
import { literal, RUNS, type RunKey, SERVER_NOW, updateLedger } from './layout.ts';
import type { Actor, FollowUpRecord, RunStatus } from './run-record.ts';
import { idOf } from './runs.ts';

export interface FollowUpClaim {
  readonly name: string;
  /** A fresh random text. */
  readonly attempt: string;
  readonly actor: Actor;
  /** The run's, as it was seen: one that is taken back meanwhile has no loose ends. */
  readonly status: RunStatus;
  /** An attempt whose end is not known, if the operator wants the follow-up in spite of it. */
  readonly inSpiteOf: string | undefined;
  /** Also when the process of that attempt is at it still: somebody who ticks it off knows better. */
  readonly evenIfAlive?: boolean;
}

/** How long an attempt is taken to be going on after its process last said so, milliseconds. */
export const ALIVE_MS = 10_000;

export interface FollowUpEnd {
  readonly state: 'done' | 'failed';
  readonly detail: string | undefined;
  readonly output: string | undefined;
  readonly note?: string | undefined;
}

/** The follow-ups of one run; its record must be there in the newest format (`Ledger.migrate`). */
export class FollowUpWrites {
  readonly #commands: Commands;
  readonly #key: RunKey;

  constructor(commands: Commands, key: RunKey) {
    this.#commands = commands;
    this.#key = key;
  }

  /**
   * Records that an attempt begins; nothing may be done before it is. False when another one is done or has begun
   * (also a moment ago, on another machine), or when the run is in another state by now.
   * One conditional write, so of any number of claims at once one succeeds; repeating it after a lost reply does no harm.
   */
  async claim(claim: FollowUpClaim): Promise<boolean> {
    const { name, attempt, actor, inSpiteOf, evenIfAlive = false } = claim;
    const ours = inSpiteOf === undefined ? [attempt] : [attempt, inSpiteOf];
    const taken = {
      name,
      $or: [{ state: 'done' }, { state: 'started', attempt: { $nin: ours } }],
    };
    const matched = await this.#update(
      {
        status: claim.status,
        followUps: { $not: { $elemMatch: taken } },
        ...(evenIfAlive ? {} : { $expr: { $not: isAtWork(name, attempt) } }),
      },
      replaceItem(name, {
        name: literal(name),
        state: 'started',
        attempt: literal(attempt),
        by: literal({ user: actor.user, host: actor.host }),
        startedAt: SERVER_NOW,
        aliveUntil: ALIVE_UNTIL,
      }),
    );
    return matched === 1;
  }

  /** Says that the process of an attempt is still at it. */
  async live({ name, attempt }: Pick<FollowUpRecord, 'name' | 'attempt'>): Promise<void> {
    await this.#change({ name, attempt }, { aliveUntil: ALIVE_UNTIL });
  }

  /** Records how an attempt ended. */
  async end(attempt: Pick<FollowUpRecord, 'name' | 'attempt'>, end: FollowUpEnd): Promise<void> {
    const known = Object.entries(end).filter(([, value]) => value !== undefined);
    const fields = Object.fromEntries(known.map(([field, value]) => [field, literal(value)]));
    await this.#change(attempt, { ...fields, endedAt: SERVER_NOW });
  }

  /** Does nothing when another attempt has taken its place. */
  async #change(
    { name, attempt }: Pick<FollowUpRecord, 'name' | 'attempt'>,
    fields: Record<string, unknown>,
  ): Promise<void> {
    const isItem = { $and: [{ $eq: ['$$item.name', literal(name)] }, { $eq: ['$$item.attempt', attempt] }] };
    await this.#update(
      { followUps: { $elemMatch: { name, attempt } } },
      {
        $map: {
          input: '$followUps',
          as: 'item',
          in: { $cond: [isItem, { $mergeObjects: ['$$item', fields] }, '$$item'] },
        },
      },
    );
  }

  #update(filter: Record<string, unknown>, followUps: Record<string, unknown>): Promise<number> {
    return updateLedger(this.#commands, {
      collection: RUNS,
      filter: { _id: idOf(this.#key), ...filter },
      pipeline: [{ $set: { followUps, updatedAt: SERVER_NOW } }],
    });
  }
}

const ALIVE_UNTIL = { $add: [SERVER_NOW, ALIVE_MS] };

/** Whether another attempt at this follow-up is going on, by the server's clock. */
function isAtWork(name: string, attempt: string): Record<string, unknown> {
  const isLive = {
    $and: [
      { $eq: ['$$item.name', literal(name)] },
      { $ne: ['$$item.attempt', attempt] },
      { $eq: ['$$item.state', 'started'] },
      { $gt: ['$$item.aliveUntil', SERVER_NOW] },
    ],
  };
  return { $anyElementTrue: { $map: { input: '$followUps', as: 'item', in: isLive } } };
}

function replaceItem(name: string, item: Record<string, unknown>): Record<string, unknown> {
  const others = {
    $filter: { input: '$followUps', as: 'item', cond: { $ne: ['$$item.name', literal(name)] } },
  };
  return { $concatArrays: [others, [item]] };
}
