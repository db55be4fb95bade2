/**
 * A backup whose documents are as an oplog made them: it stands before another and changes what passes.
 *
 * Documents that nothing happened to pass as they are. The others are rolled where they lie; what was deleted drops out, and what the backup
 * did not have yet comes at the end of its collection, in the order in which the oplog first names it.
 */
import { crc32 } from 'node:zlib';
import {
  around,
  type Backup,
  type BackupPiece,
  hexOfCrc32,
  type MemberInfo,
  type MemberRead,
} from '../backup/backup.ts';
import { OPLOG_WARNING } from '../backup/readers/refusals.ts';
import { readCanonical } from '../bson/canonical-bytes.ts';
import { findId } from '../bson/documents.ts';
import { showValue } from '../bson/show.ts';
import type { RawValue } from '../bson/types.ts';
import { RestorePlanError } from '../errors.ts';
import { CannotRoll, following } from './faults.ts';
import type { DocumentPast, LaterChanges } from './later.ts';
import type { ReplayResult } from './replay.ts';
import type { TouchedDocuments } from './touched.ts';
import type { WantedCollection } from './wanted.ts';

/** A piece is handed on when it has so many bytes; one document may make it larger. */
const PIECE_BYTES = 1024 * 1024;
const MOST_DOCUMENTS = 4096;

export interface RollingParts {
  readonly replay: ReplayResult;
  /** In the order of the replay's. */
  readonly collections: readonly WantedCollection[];
  /** The oplog, for messages. */
  readonly origin: string;
}

export class Rolling {
  readonly #parts: RollingParts;
  readonly #collections: ReadonlyMap<string, Rolled>;

  constructor(parts: RollingParts) {
    this.#parts = parts;
    this.#collections = new Map(
      parts.collections.map(({ collection }, index) => [
        collection,
        new Rolled(collection, {
          touched: parts.replay.touched[index] as TouchedDocuments,
          later: parts.replay.later[index] as LaterChanges,
          origin: parts.origin,
        }),
      ]),
    );
  }

  /** `backup` as the oplog made it. */
  of(backup: Backup): Backup {
    return around(backup, {
      read: (wanted, options) => this.#read(wanted, backup.read(wanted, options)),
      close: () => backup.close(),
    });
  }

  /** Forgets the changes; the backups made by `of` cannot be read any more. */
  close(): void {
    this.#parts.replay.close();
  }

  /** What is known of a document that was handed on, by its `_id`; undefined: nothing happened to it. */
  pastOf(collection: string, id: RawValue): DocumentPast | undefined {
    return this.#collections.get(collection)?.pastOf(id);
  }

  async *#read(wanted: ReadonlySet<string>, pieces: AsyncIterable<BackupPiece>): AsyncGenerator<BackupPiece> {
    for (const collection of wanted) this.#collections.get(collection)?.begin();
    for await (const piece of pieces) {
      if (piece.type === 'documents' || piece.type === 'ended') {
        const rolled = this.#collections.get(piece.member.collection);
        if (rolled === undefined) yield piece;
        else yield* piece.type === 'documents' ? rolled.documents(piece) : rolled.ended(piece);
      } else if (piece.type === 'finished') {
        const members = piece.summary.members.map(
          (member) => this.#collections.get(member.collection)?.memberOf(member) ?? member,
        );
        // It is applied, whichever oplog it was.
        const warnings = piece.summary.warnings.filter((warning) => warning !== OPLOG_WARNING);
        yield { ...piece, summary: { ...piece.summary, members, warnings } };
      } else {
        yield piece;
      }
    }
  }
}

/** One collection of a reading. */
class Rolled {
  readonly #collection: string;
  readonly #touched: TouchedDocuments;
  readonly #later: LaterChanges;
  readonly #origin: string;
  readonly #out = new Pieces();
  /** Its only member, so far. */
  #member: MemberInfo | undefined;
  #crc = 0;
  #bytes = 0;

  constructor(
    collection: string,
    {
      touched,
      later,
      origin,
    }: { readonly touched: TouchedDocuments; readonly later: LaterChanges; readonly origin: string },
  ) {
    this.#collection = collection;
    this.#touched = touched;
    this.#later = later;
    this.#origin = origin;
  }

  begin(): void {
    this.#member = undefined;
    this.#crc = 0;
    this.#bytes = 0;
    this.#touched.beginReading();
  }

  *documents(piece: BackupPiece & { type: 'documents' }): Generator<BackupPiece> {
    this.#meet(piece.member);
    if (this.#touched.size === 0) {
      yield piece;
      return;
    }
    for (let next = 0; next < piece.count; ) {
      next = this.#fill(piece, next);
      yield* this.#flush(piece.member);
    }
  }

  *ended(piece: BackupPiece & { type: 'ended' }): Generator<BackupPiece> {
    this.#meet(piece.member);
    for (const number of this.#touched.notInBackup()) {
      this.#roll(number, undefined, 0);
      if (this.#out.isFull) yield* this.#flush(piece.member);
    }
    yield* this.#flush(piece.member);
    yield piece;
  }

  /** What is to be said of the member in the summary. */
  memberOf(member: MemberRead): MemberRead {
    if (this.#touched.size === 0) return member;
    return { ...member, bytes: this.#bytes, crc32: hexOfCrc32(this.#crc) };
  }

  pastOf(id: RawValue): DocumentPast | undefined {
    const number = this.#touched.find(id);
    const later = this.#later.of(id);
    if (number < 0 && later === undefined) return undefined;
    return {
      changes: number < 0 ? 0 : this.#touched.changesOf(number),
      isInserted: number >= 0 && !this.#touched.isMet(number),
      ...(later && { later }),
    };
  }

  /** Each part of a sharded collection has an oplog of its own. */
  #meet(member: MemberInfo): void {
    if (this.#member === undefined || this.#member.id === member.id) {
      this.#member = member;
      return;
    }
    throw new RestorePlanError(
      'BACKUP',
      `${this.#collection} lies in several parts in the backup (${this.#member.path}, ${member.path}), and one oplog is of one of them.`,
      {
        hint: 'The backup of a sharded cluster cannot be rolled forward by this version. Leave out source.oplog.',
      },
    );
  }

  /** Rolls documents from `first` on until a piece is full; returns the next one. */
  #fill({ bytes, starts, count }: BackupPiece & { type: 'documents' }, first: number): number {
    const touched = this.#touched;
    const out = this.#out;
    let i = first;
    // Neighbours that nothing happened to are copied together.
    let kept = i;
    for (; i < count && !out.isFull; i++) {
      const start = starts[i] as number;
      const id = findId(bytes, start);
      const number = id === undefined ? -1 : touched.find(id);
      if (number < 0) continue;
      out.addRun(bytes, starts, kept, i);
      this.#roll(number, bytes, start);
      kept = i + 1;
    }
    out.addRun(bytes, starts, kept, i);
    return i;
  }

  #roll(number: number, base: Buffer | undefined, start: number): void {
    try {
      following(this.#origin, {}, () => this.#touched.roll(number, base, start, this.#out.take));
    } catch (fault) {
      if (!(fault instanceof CannotRoll)) throw fault;
      throw new RestorePlanError(
        'BACKUP',
        `${this.#collection} ${this.#show(number)} cannot be rolled forward exactly: ${fault.message}.`,
        {
          hint: 'Nothing was used. If source.oplog begins too late for the backup, let it begin earlier; else restore without source.oplog, as the backup has it.',
          cause: fault,
        },
      );
    }
  }

  #show(number: number): string {
    const id = readCanonical(Buffer.from(this.#touched.idKey(number)));
    return id === undefined ? 'a document' : `_id ${showValue({ ...id, start: 0, end: id.bytes.length })}`;
  }

  *#flush(member: MemberInfo): Generator<BackupPiece> {
    const { bytes, starts, count } = this.#out;
    if (count === 0) return;
    const length = starts[count] as number;
    this.#crc = crc32(bytes.subarray(0, length), this.#crc);
    this.#bytes += length;
    yield { type: 'documents', member, bytes, starts, count };
    this.#out.clear();
  }
}

/** Documents put together to a piece. */
class Pieces {
  bytes = Buffer.allocUnsafeSlow(2 * PIECE_BYTES);
  starts = new Int32Array(MOST_DOCUMENTS + 1);
  count = 0;

  readonly take = (bytes: Buffer, start: number, end: number): void => {
    const at = this.#reserve(end - start, 1);
    bytes.copy(this.bytes, at, start, end);
    this.starts[++this.count] = at + end - start;
  };

  get isFull(): boolean {
    return this.count >= MOST_DOCUMENTS || (this.starts[this.count] as number) >= PIECE_BYTES;
  }

  clear(): void {
    this.count = 0;
  }

  /** Documents `first` up to, not including, `end` of another piece, which lie back to back. */
  addRun(bytes: Buffer, starts: Int32Array, first: number, end: number): void {
    if (first >= end) return;
    const from = starts[first] as number;
    const length = (starts[end] as number) - from;
    const at = this.#reserve(length, end - first);
    bytes.copy(this.bytes, at, from, from + length);
    for (let i = first; i < end; i++) this.starts[++this.count] = at + (starts[i + 1] as number) - from;
  }

  /** Where `more` bytes can be put, of so many documents. */
  #reserve(more: number, documents: number): number {
    if (this.count + documents >= this.starts.length) {
      const starts = new Int32Array(2 * (this.count + documents));
      starts.set(this.starts);
      this.starts = starts;
    }
    const at = this.starts[this.count] as number;
    if (at + more > this.bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(2 * this.bytes.length, at + more));
      this.bytes.copy(grown, 0, 0, at);
      this.bytes = grown;
    }
    return at;
  }
}
