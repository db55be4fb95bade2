/** Seeded pseudo-random numbers: the same seed gives the same data, everywhere. */
import { ObjectId } from 'bson';

export interface Random {
  /** A fraction in [0, 1). */
  fraction(): number;
  /** An integer in [from, to]. */
  integer(from: number, to: number): number;
  chance(probability: number): boolean;
  pick<T>(choices: readonly T[]): T;
  bytes(length: number): Buffer;
  /** An ObjectId whose time is `date`. */
  objectId(date: Date): ObjectId;
}

/** mulberry32: 32 bits of state, good enough to make data look real. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const fraction = (): number => next() / 2 ** 32;
  const integer = (from: number, to: number): number => from + Math.floor(fraction() * (to - from + 1));
  const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, () => next() & 0xff));
  return {
    fraction,
    integer,
    chance: (probability) => fraction() < probability,
    pick: (choices) => choices[integer(0, choices.length - 1)] as (typeof choices)[number],
    bytes,
    objectId: (date) => {
      const id = bytes(12);
      id.writeUInt32BE(Math.floor(date.getTime() / 1000), 0);
      return new ObjectId(id);
    },
  };
}
