/**
 * Documents of a collection have the order of their members' paths, as a folder gives them: a tar may hold the same folders of hosts or
 * shards in any order, and the selection is to have the same digest.
 */
import { createReadStream } from 'node:fs';
import { rename } from 'node:fs/promises';
import type { MemberInfo } from '../backup/backup.ts';
import { AppendFile } from './append-file.ts';

/** Where in a file of documents those of a member begin. */
export interface MemberStart {
  readonly member: MemberInfo;
  /** Index of its first document in the file. */
  readonly first: number;
  /** Bytes before it. */
  readonly at: number;
}

/** A file of documents, in the order in which they came. */
export interface MemberFile {
  readonly path: string;
  readonly count: number;
  readonly bytes: number;
  readonly members: readonly MemberStart[];
  /** Indexes, in order, of the only documents whose `_id` may have come before; undefined when any may. */
  readonly suspects: readonly number[] | undefined;
}

const COPIED_AT_A_TIME = 1024 * 1024;

export function isInMemberOrder({ members }: Pick<MemberFile, 'members'>): boolean {
  return members.every(({ member }, i) => i === 0 || comparePaths(members[i - 1]?.member, member) <= 0);
}

/** Writes the file anew, its members in the order of their paths. */
export async function inMemberOrder<File extends MemberFile>(file: File): Promise<File> {
  const { path, count, bytes, members, suspects } = file;
  const parts = members.map((start, i) => ({
    ...start,
    next: members[i + 1]?.first ?? count,
    end: members[i + 1]?.at ?? bytes,
  }));
  parts.sort((a, b) => comparePaths(a.member, b.member));
  const ordered = await AppendFile.create(`${path}.ordered`);
  const starts: MemberStart[] = [];
  const moved: number[] = [];
  try {
    let index = 0;
    for (const { member, first, next, at, end } of parts) {
      starts.push({ member, first: index, at: ordered.bytes });
      for (const suspect of suspects ?? [])
        if (suspect >= first && suspect < next) moved.push(suspect - first + index);
      index += next - first;
      if (end > at) await copy(path, { start: at, end: end - 1 }, ordered);
    }
  } finally {
    await ordered.close();
  }
  await rename(ordered.path, path);
  return { ...file, members: starts, suspects: suspects && moved };
}

/** `end` is the last byte. */
async function copy(path: string, range: { start: number; end: number }, to: AppendFile): Promise<void> {
  for await (const chunk of createReadStream(path, { ...range, highWaterMark: COPIED_AT_A_TIME })) {
    to.append(chunk, 0, chunk.length);
    await to.drain();
  }
}

function comparePaths(a: MemberInfo | undefined, b: MemberInfo | undefined): number {
  const [one, other] = [a?.path ?? '', b?.path ?? ''];
  return one < other ? -1 : one > other ? 1 : 0;
}
