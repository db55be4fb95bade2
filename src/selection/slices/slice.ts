/**
 * A slice: a member of a backup, or the documents that begin in some bytes of it, scanned by itself: by a thread, or by another machine.
 * Slices of one level of the plan are scanned in any order, and joined in the order of the backup.
 */
import type { MemberInfo } from '../../backup/backup.ts';

export interface Slice {
  readonly member: MemberInfo;
  /** Bytes of the member as stored, `[from, to)`. */
  readonly from: number;
  readonly to: number;
  /** It is the whole member, read from its start to its end; it may be compressed. */
  readonly isWhole: boolean;
  /** The store keeps a CRC-64/NVME of the member, which is put together from those of its slices. */
  readonly withCrc64: boolean;
}

/** A member, and how it can be read. */
export interface SlicedMember {
  readonly member: MemberInfo;
  /** Bytes as stored. */
  readonly size: number;
  /** From any byte on. */
  readonly canBeCut: boolean;
  readonly withCrc64: boolean;
}

/** Cuts members, in their order, into slices of about `sliceBytes` each; what cannot be cut, or is hardly longer than that, is one slice. */
export function planSlices(members: readonly SlicedMember[], sliceBytes: number): Slice[] {
  const slices: Slice[] = [];
  for (const { member, size, canBeCut, withCrc64 } of members) {
    const count = canBeCut ? countOfSlices(size, sliceBytes) : 1;
    for (let i = 0; i < count; i++) {
      const [from, to] = [i, i + 1].map((part) => Math.floor((size / count) * part)) as [number, number];
      slices.push({ member, from, to: i + 1 === count ? size : to, isWhole: count === 1, withCrc64 });
    }
  }
  return slices;
}

/** Of a member that can be cut. */
export function countOfSlices(size: number, sliceBytes: number): number {
  return Math.max(1, Math.round(size / sliceBytes));
}
