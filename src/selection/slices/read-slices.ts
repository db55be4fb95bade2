/** Reads the members of a level of the plan by slices: cuts them, has them scanned, and joins what comes. */
import type { CollectionMetadata, ScanSummary, SeparateMember, SeparatePiece } from '../../backup/backup.ts';
import { canBeCut } from '../../backup/readers/stretch.ts';
import type { CollectionRoutes } from '../routes.ts';
import { type JoinedMember, type JoinReader, joinSlices } from './join-slices.ts';
import { UnfitPart } from './part.ts';
import { scopeOf } from './scope.ts';
import { countOfSlices, planSlices } from './slice.ts';
import type { SlicedLevel, SliceRunner } from './slice-runner.ts';

/** What the level is of, and who is told of it. */
export interface LevelReader extends JoinReader {
  /** Of its collections; the keys of their parents are complete. */
  readonly routes: readonly CollectionRoutes[];
  /** Of the plan, inside the backup. */
  readonly database: string;
  readonly signal: AbortSignal;
  /** Told of bytes that have come from storage. */
  stored(bytes: number): void;
  note(metadata: CollectionMetadata): void;
}

/** `pieces` of the collections of the level. Throws what a reading of the whole would. */
export async function readSlices(
  pieces: AsyncIterable<SeparatePiece>,
  runner: SliceRunner,
  level: LevelReader,
): Promise<ScanSummary> {
  const members: SeparateMember[] = [];
  let summary: ScanSummary | undefined;
  for await (const piece of pieces) {
    if (piece.type === 'metadata') level.note(piece.metadata);
    else if (piece.type === 'member') members.push(piece.member);
    else summary = piece.summary;
  }
  const sliced = await sliceMembers(members, runner.sliceBytes);
  const scopes = new Map(level.routes.map((routes) => [routes.collection, scopeOf(routes, level.database)]));
  const parts = runner.run({ ...sliced, scopes }, level.signal, (bytes) => level.stored(bytes));
  const read = await joinSlices(sliced.members, parts, level).catch((error: unknown) => {
    throw (error instanceof UnfitPart && runner.refusal?.(error)) || error;
  });
  const bytesRead = members.reduce((sum, { at }) => sum + at.size, 0);
  return { ...(summary as ScanSummary), bytesRead, members: read };
}

/** Looked at together: where they are objects of a bucket, each look is a round trip. */
const LOOKED_AT_ONCE = 8;

/** Cuts the members of a level. Those that are hardly longer than a slice are not looked at. */
export async function sliceMembers(
  members: readonly SeparateMember[],
  sliceBytes: number,
): Promise<Pick<SlicedLevel, 'slices' | 'members'>> {
  const looked = new Map<number, JoinedMember & { readonly canBeCut: boolean }>();
  const waiting = members.values();
  const worker = async (): Promise<void> => {
    for (const one of waiting) looked.set(one.member.id, { ...one, ...(await howToRead(one, sliceBytes)) });
  };
  await Promise.all(Array.from({ length: LOOKED_AT_ONCE }, worker));
  const sliced = members.map(({ member, at: { size } }) => {
    const { canBeCut = false, checksum } = looked.get(member.id) ?? {};
    return { member, size, canBeCut, withCrc64: checksum?.name === 'CRC64NVME' };
  });
  return { members: looked, slices: planSlices(sliced, sliceBytes) };
}

async function howToRead(
  one: SeparateMember,
  sliceBytes: number,
): Promise<{ readonly canBeCut: boolean; readonly checksum: JoinedMember['checksum'] }> {
  const { at } = one;
  const whole = { canBeCut: false, checksum: undefined };
  if (countOfSlices(at.size, sliceBytes) === 1 || !(await canBeCut(one))) return whole;
  // What a store knows only of the whole is proven only by reading the whole.
  const checksum = await at.checksum?.();
  return at.checked !== undefined && checksum === undefined ? whole : { canBeCut: true, checksum };
}
