/** Writes the beginning and the end of follow-ups into the ledger. */
import type { Commands } from '../target/commands.ts';
import type { FollowUpRecord } from './follow-up-record.ts';
import { RUNS } from './layout.ts';
import { literal, SERVER_NOW, updateLedger } from './ledger-writes.ts';
import type { Actor } from './run-record.ts';

export interface FollowUpClaim {
  readonly name: string;
  /** A fresh random text. */
  readonly attempt: string;
  readonly actor: Actor;
  /** An attempt whose end is not known, if the operator wants the follow-up in spite of it. */
  readonly inSpiteOf: string | undefined;
}

export interface FollowUpEnd {
  readonly state: 'done' | 'failed';
  readonly detail: string | undefined;
  readonly output: string | undefined;
  readonly note?: string | undefined;
}

/** The follow-ups of one selection in one target. */
export class FollowUpWrites {
  readonly #commands: Commands;
  readonly #digest: string;

  constructor(commands: Commands, digest: string) {
    this.#commands = commands;
    this.#digest = digest;
  }

  /**
   * Records that an attempt begins; nothing may be done before it is. False when another one is done or has begun
   * (also a moment ago, on another machine), or when the selection is no longer verified here.
   * One conditional write, so of any number of claims at once one succeeds; repeating it after a lost reply does no harm.
   */
  async claim({ name, attempt, actor, inSpiteOf }: FollowUpClaim): Promise<boolean> {
    const ours = inSpiteOf === undefined ? [attempt] : [attempt, inSpiteOf];
    const taken = {
      name,
      $or: [{ state: 'done' }, { state: 'started', attempt: { $nin: ours } }],
    };
    const matched = await this.#update(
      { status: 'verified', followUps: { $not: { $elemMatch: taken } } },
      replaceItem(name, {
        name: literal(name),
        state: 'started',
        attempt: literal(attempt),
        by: literal({ user: actor.user, host: actor.host }),
        startedAt: SERVER_NOW,
      }),
    );
    return matched === 1;
  }

  /** Records how an attempt ended. */
  async end({ name, attempt }: Pick<FollowUpRecord, 'name' | 'attempt'>, end: FollowUpEnd): Promise<void> {
    const known = Object.entries(end).filter(([, value]) => value !== undefined);
    const fields = Object.fromEntries(known.map(([field, value]) => [field, literal(value)]));
    const isItem = { $and: [{ $eq: ['$$item.name', literal(name)] }, { $eq: ['$$item.attempt', attempt] }] };
    await this.#update(
      { followUps: { $elemMatch: { name, attempt } } },
      {
        $map: {
          input: '$followUps',
          as: 'item',
          in: {
            $cond: [isItem, { $mergeObjects: ['$$item', fields, { endedAt: SERVER_NOW }] }, '$$item'],
          },
        },
      },
    );
  }

  #update(filter: Record<string, unknown>, followUps: Record<string, unknown>): Promise<number> {
    return updateLedger(this.#commands, {
      collection: RUNS,
      filter: { _id: this.#digest, ...filter },
      pipeline: [{ $set: { followUps, updatedAt: SERVER_NOW } }],
    });
  }
}

function replaceItem(name: string, item: Record<string, unknown>): Record<string, unknown> {
  const others = {
    $filter: { input: '$followUps', as: 'item', cond: { $ne: ['$$item.name', literal(name)] } },
  };
  return { $concatArrays: [others, [item]] };
}
