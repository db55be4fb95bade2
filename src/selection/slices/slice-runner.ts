/**
 * Who scans the slices of one level of a plan: this thread, one after the other; several threads; or other machines.
 */
import type { SeparateMember } from '../../backup/backup.ts';
import { TimeLimit } from '../document-walk.ts';
import type { JoinedMember } from './join-slices.ts';
import { KeptMemory } from './kept-memory.ts';
import type { Part, UnfitPart } from './part.ts';
import type { Scope } from './scope.ts';
import { SliceScanner } from './select-slice.ts';
import type { Slice } from './slice.ts';

/** The slices of a level, and what is needed to scan them. */
export interface SlicedLevel {
  /** In the order of the backup. */
  readonly slices: readonly Slice[];
  readonly members: ReadonlyMap<number, JoinedMember>;
  /** By collection. */
  readonly scopes: ReadonlyMap<string, Scope>;
}

export interface SliceRunner {
  /** About so many bytes a slice. */
  readonly sliceBytes: number;
  /** Whether members of so many bytes, as stored, are worth being sliced. */
  suits(bytes: number): boolean;
  /** A part of each slice, in their order, lent until the next is asked for. `stored` is told of bytes that have come from storage. */
  run(level: SlicedLevel, signal: AbortSignal, stored: (bytes: number) => void): AsyncIterable<Part>;
  /** What is thrown for a part of its that somebody else has made, and that does not fit. */
  refusal?(unfit: UnfitPart): Error;
}

/** One after the other, in this thread: the same steps as with several. */
export function inTurn(sliceBytes: number): SliceRunner {
  return {
    sliceBytes,
    suits: () => true,
    async *run({ slices, members, scopes }, signal, stored) {
      const scanner = new SliceScanner(scopes, new TimeLimit(), signal);
      const room = new KeptMemory();
      for (const slice of slices) {
        const member = members.get(slice.member.id) as SeparateMember;
        const part = await scanner.scan(slice, { member, stored, room });
        yield part;
        room.giveBack(part.kept);
      }
    },
  };
}
