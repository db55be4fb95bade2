import { createHash, type Hash } from 'node:crypto';
import type { MemberInfo } from '../backup/backup.ts';
import { checkDocument } from '../bson/check-document.ts';
import { ElementCursor } from '../bson/element-cursor.ts';
import { BsonFault } from '../bson/elements.ts';
import { KeySet } from '../bson/key-set.ts';
import { BSON } from '../bson/types.ts';
import { AppendFile } from './append-file.ts';
import type { Chooser } from './chooser.ts';
import type { DocumentConsumer } from './document-framer.ts';
import type { IdFilter } from './id-filter.ts';

const ID = Buffer.from('_id');
/** About 10 MB of ObjectIds. */
const MOST_SUSPECTS = 200_000;

/** Where in the file the documents of a member begin. */
export interface MemberStart {
  readonly member: MemberInfo;
  /** Index of its first document in the file. */
  readonly first: number;
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
  /** `_id`s that may be in the file more than once; undefined when they became too many to be held. */
  suspects: KeySet | undefined = new KeySet();
  readonly members: MemberStart[] = [];
  readonly #chooser: Chooser;
  readonly #ids: IdFilter;
  readonly #scope: number;
  readonly #hash: Hash;
  readonly #file: AppendFile;
  readonly #id = new ElementCursor();

  private constructor(options: ChosenDocumentsOptions, file: AppendFile, hash: Hash) {
    this.#chooser = options.chooser;
    this.#ids = options.ids;
    this.#scope = options.ids.newScope();
    this.#file = file;
    this.#hash = hash;
  }

  static async create(path: string, options: ChosenDocumentsOptions): Promise<ChosenDocuments> {
    const hash = createHash('sha256');
    return new ChosenDocuments(options, await AppendFile.create(path, hash), hash);
  }

  get path(): string {
    return this.#file.path;
  }

  get bytes(): number {
    return this.#file.bytes;
  }

  /** The documents that follow are this member's. */
  from(member: MemberInfo): void {
    if (this.members.at(-1)?.member.id !== member.id) this.members.push({ member, first: this.count });
  }

  wants(bytes: Buffer, start: number): boolean {
    if (!this.#chooser.chooses(bytes, start)) return false;
    checkDocument(bytes, start);
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

  /** Finishes the file and returns its sha256, hex. */
  async close(): Promise<string> {
    await this.#file.close();
    return this.#hash.digest('hex');
  }

  #noteId(bytes: Buffer, start: number): void {
    const id = this.#id.open(bytes, start);
    if (!id.find(ID)) throw new BsonFault('the document has no _id', start);
    if (id.type === BSON.ARRAY || id.type === BSON.REGEX || id.type === BSON.UNDEFINED) {
      throw new BsonFault(
        'the _id is an array, a regular expression or undefined, which no server accepts',
        id.at,
      );
    }
    if (id.at !== start + 4) this.idNotFirst++;
    if (!this.#ids.note(id, this.#scope) || this.suspects === undefined) return;
    this.suspects.add(id);
    if (this.suspects.size > MOST_SUSPECTS) this.suspects = undefined;
  }
}

export interface ChosenDocumentsOptions {
  readonly chooser: Chooser;
  /** Shared by all collections of a selection. */
  readonly ids: IdFilter;
}
