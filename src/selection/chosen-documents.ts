import { createHash, type Hash } from 'node:crypto';
import type { MemberInfo } from '../backup/backup.ts';
import { ElementCursor } from '../bson/elements.ts';
import type { KeySet } from '../bson/key-set.ts';
import { typeName } from '../bson/show.ts';
import { checkDocument } from '../bson/storable.ts';
import { BSON } from '../bson/types.ts';
import type { Chooser } from './chooser.ts';
import { type DocumentConsumer, UnfitId } from './document-walk.ts';
import { AppendFile, fileBatches, idsIn, ONE_AFTER_ANOTHER } from './file-batches.ts';
import { type IdFilter, IdWatch } from './id-filter.ts';
import { OtherTypes } from './other-types.ts';

const ID = Buffer.from('_id');
const NOTHING = Buffer.alloc(0);

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

/**
 * Writes the chosen documents of one collection to a file, as they are.
 *
 * Each is checked to its depth (a damaged document must not reach a target), and must have an `_id` that a target can hold: without one
 * the server would invent one, and a second run would restore the document twice.
 */
export class ChosenDocuments implements DocumentConsumer {
  count = 0;
  /** Documents whose `_id` is not their first field; the server will move it there. */
  idNotFirst = 0;
  readonly members: MemberStart[] = [];
  /** What was not chosen for the type of its key. */
  readonly otherTypes = new OtherTypes();
  readonly chooser: Chooser;
  /** Undefined where the chooser has all `_id`s anyway. */
  readonly #ids: IdWatch | undefined;
  /** Of what was written. Made when something is: a plan may have 10,000 collections. */
  #hash: Hash | undefined;
  readonly #file: AppendFile;
  readonly #id = new ElementCursor();

  private constructor(chooser: Chooser, ids: IdFilter, file: AppendFile) {
    this.chooser = chooser;
    if (chooser.ids === undefined) this.#ids = new IdWatch(ids);
    this.#file = file;
    file.onWrite = (bytes) => {
      this.#hash ??= createHash('sha256');
      this.#hash.update(bytes);
    };
  }

  /** `ids` is shared by all collections of a selection. */
  static async create(path: string, chooser: Chooser, ids: IdFilter): Promise<ChosenDocuments> {
    return new ChosenDocuments(chooser, ids, await AppendFile.create(path));
  }

  get path(): string {
    return this.#file.path;
  }

  get bytes(): number {
    return this.#file.bytes;
  }

  /** Indexes, in order, of documents whose `_id` may have come before; empty is certain, undefined means that any may. */
  suspects(): readonly number[] | undefined {
    if (this.#ids !== undefined) return this.#ids.suspects();
    // As many different keys as documents: none came twice.
    return this.chooser.ids?.size === this.count ? [] : undefined;
  }

  /** The documents that follow are this member's. */
  from(member: MemberInfo): void {
    this.chooser.turnTo(member);
    if (this.members.at(-1)?.member.id === member.id) return;
    this.members.push({ member, first: this.count, at: this.bytes });
  }

  lookAhead(bytes: Buffer, starts: ArrayLike<number>, count: number): void {
    this.chooser.lookAhead(bytes, starts, count);
  }

  wants(bytes: Buffer, start: number): boolean {
    if (!this.chooser.chooses(bytes, start)) {
      this.chooser.noteOtherTypes(bytes, start, this.otherTypes);
      return false;
    }
    checkDocument(bytes, start);
    this.#noteId(bytes, start);
    this.count++;
    return true;
  }

  /** Takes a document that somebody has chosen by the same keys, and checked. False where it is not chosen here. */
  takes(bytes: Buffer, start: number): boolean {
    if (!this.chooser.chooses(bytes, start)) return false;
    this.#noteId(bytes, start);
    this.count++;
    return true;
  }

  append(bytes: Buffer, start: number, end: number): void {
    this.#file.append(bytes, start, end);
  }

  drain(): Promise<void> {
    return this.#file.drain();
  }

  /** Holds no bytes of documents any longer. */
  rest(): void {
    this.#ids?.rest();
    this.#id.bytes = NOTHING;
  }

  /** Waits until everything is written. */
  flush(): Promise<void> {
    return this.#file.flush();
  }

  /** The `_id`s of the documents chosen so far. */
  async ids(): Promise<KeySet> {
    await this.#file.flush();
    return idsIn(fileBatches(this.path, this.bytes, ONE_AFTER_ANOTHER));
  }

  /** Finishes the file. */
  close(): Promise<void> {
    return this.#file.close();
  }

  /** Closes and deletes the file. */
  discard(): Promise<void> {
    return this.#file.discard();
  }

  /** sha256, hex, of the finished file. To be asked for once. */
  sha256(): string {
    return (this.#hash ?? createHash('sha256')).digest('hex');
  }

  #noteId(bytes: Buffer, start: number): void {
    const id = fitId(this.#id, bytes, start);
    if (id.at !== start + 4) this.idNotFirst++;
    this.#ids?.note(id);
  }
}

/** Puts the cursor on the `_id` of a document. Throws UnfitId where no target can hold it. */
export function fitId(cursor: ElementCursor, bytes: Buffer, start: number): ElementCursor {
  const id = cursor.open(bytes, start);
  if (!id.find(ID)) throw UnfitId.missing();
  if (id.type === BSON.ARRAY || id.type === BSON.REGEX || id.type === BSON.UNDEFINED)
    throw UnfitId.refused(typeName(id.type));
  return id;
}
