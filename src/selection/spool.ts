import type { MemberInfo } from '../backup/backup.ts';
import { AppendFile } from './append-file.ts';
import type { Chooser } from './chooser.ts';
import type { DocumentConsumer } from './document-walk.ts';
import type { MemberStart } from './member-order.ts';

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
