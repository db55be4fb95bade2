/**
 * What only the engine may do with a target: write, and run commands. Kept apart from the Target that callers of the library
 * hold, so that nobody writes past the gate, and a Target that was not made by `connectTarget` can do nothing.
 */
import type { Commands } from './commands.ts';
import type { Target, TargetWriter } from './target.ts';

export interface TargetAccess {
  readonly writer: TargetWriter;
  /** Raw commands on the target's database; the ledger keeps its documents with them. */
  readonly commands: Commands;
}

const accesses = new WeakMap<Target, TargetAccess>();

/** Only for `connectTarget`. */
export function withAccess(target: Target, access: TargetAccess): Target {
  accesses.set(target, access);
  return target;
}

export function accessTo(target: Target): TargetAccess {
  const access = accesses.get(target);
  if (access === undefined) throw new TypeError('a target can only be written to as connectTarget made it');
  return access;
}
