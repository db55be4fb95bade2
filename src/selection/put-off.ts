/**
 * Documents of a stream that cannot be decided about when they come by, or not for good: parents may still follow.
 */

import { statfs } from 'node:fs/promises';
import type { MemberInfo } from '../backup/backup.ts';
import { isDiskFull } from '../files.ts';
import type { Chooser } from './chooser.ts';
import type { ChosenDocuments, MemberStart } from './chosen-documents.ts';
import type { DocumentConsumer } from './document-walk.ts';
import { AppendFile } from './file-batches.ts';

/**
 * Documents that cannot be decided about yet, because parents may still follow in the backup: kept in a file, in backup
 * order, until all keys are known. Only those that could be chosen at all are kept, and they are not checked: whoever
 * finds one of them damaged has its place in the backup looked up by another reading.
 */
export class Spool implements DocumentConsumer {
  count = 0;
  readonly members: MemberStart[] = [];
  readonly #chooser: Chooser;
  readonly #file: AppendFile;

  private constructor(chooser: Chooser, file: AppendFile) {
    this.#chooser = chooser;
    this.#file = file;
  }

  static async create(path: string, chooser: Chooser): Promise<Spool> {
    return new Spool(chooser, await AppendFile.create(path));
  }

  get path(): string {
    return this.#file.path;
  }

  get bytes(): number {
    return this.#file.bytes;
  }

  from(member: MemberInfo): void {
    this.#chooser.turnTo(member);
    if (this.members.at(-1)?.member.id === member.id) return;
    this.members.push({ member, first: this.count, at: this.bytes });
  }

  lookAhead(bytes: Buffer, starts: ArrayLike<number>, count: number): void {
    this.#chooser.lookAhead(bytes, starts, count);
  }

  wants(bytes: Buffer, start: number): boolean {
    if (!this.#chooser.mayChoose(bytes, start)) return false;
    // Parents mostly come before their children: what is decided already need not wait for a second look.
    this.#chooser.chooses(bytes, start);
    this.count++;
    return true;
  }

  append(bytes: Buffer, start: number, end: number): void {
    this.#file.append(bytes, start, end);
  }

  /** Keeps a document that its caller has decided about for now. */
  keep(bytes: Buffer, start: number, end: number): void {
    this.count++;
    this.#file.append(bytes, start, end);
  }

  drain(): Promise<void> {
    return this.#file.drain();
  }

  flush(): Promise<void> {
    return this.#file.flush();
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /** Closes and deletes the file. */
  discard(): Promise<void> {
    return this.#file.discard();
  }
}

/**
 * Enough for the children in the dumps of most sharded clusters. More would hold up the reading of a large single dump, which
 * writes them for nothing: a common disk takes 4 GiB in about the time in which as much is inflated.
 */
const MOST_SPARE_BYTES = 4 * 1024 ** 3;

/** Disk space, shared by all collections of a selection, for documents that are kept only in case. */
export interface SpareSpace {
  /** Bytes; below zero once too much was kept. */
  left: number;
}

/** Bytes that `folder` can do without: at most half of what its disk has free. */
export async function spareBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  // What a quota leaves is not told.
  return Math.min(MOST_SPARE_BYTES, (bavail * bsize) / 2);
}

/**
 * Decides about the documents of a stream by the parents that have come by so far, and keeps all that further parents could choose:
 * the stream may go on with the folder of another host or shard, and is not to be read twice for that.
 */
export class KeptDependents implements DocumentConsumer {
  readonly #chooser: Chooser;
  readonly #chosen: ChosenDocuments;
  readonly #space: SpareSpace;
  readonly #keysAtFirst: number;
  #kept: Spool | undefined;
  /** Bytes of the space that are in use here. */
  #taken = 0;

  /** `spool` is empty. */
  constructor(chosen: ChosenDocuments, spool: Spool, space: SpareSpace) {
    this.#chooser = chosen.chooser;
    this.#chosen = chosen;
    this.#kept = spool;
    this.#space = space;
    this.#keysAtFirst = chosen.chooser.keysKnown;
  }

  /** Parents came after some of the documents had been decided about without them. */
  get missedParents(): boolean {
    return this.#chooser.keysKnown > this.#keysAtFirst;
  }

  /** All is in the spool: the chosen documents and all that could be, in backup order. Undefined when they became too many to be kept. */
  async kept(): Promise<Spool | undefined> {
    await this.#unlessFull((spool) => spool.flush());
    return this.#kept;
  }

  from(member: MemberInfo): void {
    this.#chosen.from(member);
    this.#kept?.from(member);
  }

  lookAhead(bytes: Buffer, starts: ArrayLike<number>, count: number): void {
    this.#chooser.lookAhead(bytes, starts, count);
  }

  wants(bytes: Buffer, start: number, end: number): boolean {
    const isChosen = this.#chosen.wants(bytes, start);
    if (this.#kept !== undefined && (isChosen || this.#chooser.mayChoose(bytes, start)))
      this.#kept.keep(bytes, start, end);
    return isChosen;
  }

  append(bytes: Buffer, start: number, end: number): void {
    this.#chosen.append(bytes, start, end);
  }

  async drain(): Promise<void> {
    await this.#chosen.drain();
    if (this.#kept === undefined) return;
    this.#space.left -= this.#kept.bytes - this.#taken;
    this.#taken = this.#kept.bytes;
    if (this.#space.left < 0) await this.discard();
    else await this.#unlessFull((spool) => spool.drain());
  }

  /** Where the disk is full after all, or a quota used up, nothing is kept: a run is not to fail for what may never be needed. */
  async #unlessFull(act: (spool: Spool) => Promise<void>): Promise<void> {
    if (this.#kept === undefined) return;
    try {
      await act(this.#kept);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      await this.discard();
    }
  }

  /** Keeps nothing any longer. */
  async discard(): Promise<void> {
    const kept = this.#kept;
    this.#kept = undefined;
    this.#space.left += this.#taken;
    this.#taken = 0;
    await kept?.discard();
  }
}
