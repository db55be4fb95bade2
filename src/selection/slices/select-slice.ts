/** Scans a slice: the same decisions about its documents as in a reading of the whole backup. */
import { bytesOf, type SeparateMember, type WholeDocuments } from '../../backup/backup.ts';
import { DocumentFramer } from '../../backup/readers/member.ts';
import { StretchReader, wholeStretch } from '../../backup/readers/stretch.ts';
import { BsonFault, ElementCursor } from '../../bson/elements.ts';
import { checkDocument } from '../../bson/storable.ts';
import { RestorePlanError } from '../../errors.ts';
import { fitId } from '../chosen-documents.ts';
import { type DocumentConsumer, DocumentWalk, type TimeLimit } from '../document-walk.ts';
import { OtherTypes } from '../other-types.ts';
import { CHUNK_BYTES, type KeptRoom } from './kept-memory.ts';
import type { Part } from './part.ts';
import { type Scope, ScopeChooser } from './scope.ts';
import type { Slice } from './slice.ts';

/** Of documents kept; a slice has about as many bytes, a whole member may have any number. Of a slice with more there is no part. */
export const MOST_KEPT_BYTES = 64 * 1024 * 1024;

export interface SliceReading {
  /** Whose slice it is. */
  readonly member: SeparateMember;
  /** So many bytes more have come from storage. */
  readonly stored?: ((bytes: number) => void) | undefined;
  /** Lends the memory of what is kept, and is given it back by whoever has the part. */
  readonly room: KeptRoom;
}

/** Scans slices of one level of the plan; several at once, where their bytes are waited for. */
export class SliceScanner {
  readonly #scopes: ReadonlyMap<string, Scope>;
  readonly #limit: TimeLimit;
  readonly #signal: AbortSignal;
  /** Of the collection that was scanned last: what V8 compiled for one is of no use to another (a third of the processor time). */
  #idle: { readonly collection: string; readonly choosers: ScopeChooser[] } | undefined;
  /** Not in use: they keep the memory that large documents need. */
  readonly #framers: DocumentFramer[] = [];

  /** `scopes`: by collection. */
  constructor(scopes: ReadonlyMap<string, Scope>, limit: TimeLimit, signal: AbortSignal) {
    this.#scopes = scopes;
    this.#limit = limit;
    this.#signal = signal;
  }

  /**
   * What is wrong with a document leaves its slice unread, because it need not be one; what is wrong with the store, or with a compressed
   * member, is thrown.
   */
  async scan(slice: Slice, reading: SliceReading): Promise<Part> {
    const { collection } = slice.member;
    if (this.#idle?.collection !== collection) this.#idle = { collection, choosers: [] };
    const { choosers } = this.#idle;
    const chooser = choosers.pop() ?? new ScopeChooser(this.#scopes.get(collection) as Scope);
    const framer = this.#framers.pop() ?? new DocumentFramer();
    const by = { chooser, framer, limit: this.#limit, signal: this.#signal };
    const part = await scanSlice(slice, { ...reading, ...by });
    choosers.push(chooser);
    this.#framers.push(framer);
    return part;
  }
}

async function scanSlice(
  slice: Slice,
  {
    member,
    stored,
    room,
    chooser,
    framer,
    limit,
    signal,
  }: SliceReading & {
    readonly chooser: ScopeChooser;
    readonly framer: DocumentFramer;
    readonly limit: TimeLimit;
    readonly signal: AbortSignal;
  },
): Promise<Part> {
  const { from, to, isWhole, withCrc64 } = slice;
  const reader = isWhole
    ? wholeStretch(member, { stored, framer })
    : new StretchReader(member.at, { from, to, withCrc64 }, { stored, framer });
  const kept = new KeptDocuments(chooser, room);
  const walk = new DocumentWalk(slice.member, kept, chooser.mayBacktrack ? limit : undefined);
  let isUnread = false;
  try {
    for await (const documents of reader.read()) {
      signal.throwIfAborted();
      await kept.makeRoom(walk.waitingBytes + bytesOf(documents));
      if (!sound(walk, documents) || kept.length > MOST_KEPT_BYTES) {
        isUnread = true;
        break;
      }
    }
    isUnread ||= !sound(walk);
  } catch (error) {
    if (!(error instanceof BsonFault)) throw error;
    isUnread = true;
  }
  return {
    slice,
    isUnread,
    begin: reader.begin,
    end: reader.end,
    documents: reader.documents,
    bytes: reader.bytes,
    crc32: reader.crc32,
    crc64: reader.crc64,
    ...kept.found(isUnread),
  };
}

/** In the place of a part: the slice is better read where slices are joined. */
export function unread(slice: Slice): Part {
  const nothing = { begin: undefined, end: undefined, documents: 0, bytes: 0, crc32: 0, crc64: undefined };
  return { slice, isUnread: true, ...nothing, kept: [], leftOut: [], foundIds: [] };
}

/** Shows documents, or what waits. False where one of them is at fault. */
function sound(walk: DocumentWalk, documents?: WholeDocuments): boolean {
  try {
    if (documents === undefined) walk.end();
    else walk.take(documents);
    return true;
  } catch (error) {
    // Not of the document: the operator's.
    if (!(error instanceof RestorePlanError) || error.code === 'SIGINT') throw error;
    return false;
  }
}

/** Keeps copies of the documents that are chosen, or may be, in lent memory. */
class KeptDocuments implements DocumentConsumer {
  length = 0;
  readonly #chooser: ScopeChooser;
  readonly #otherTypes = new OtherTypes();
  readonly #id = new ElementCursor();
  readonly #room: KeptRoom;
  /** Full up to `length`. */
  readonly #chunks: Uint8Array[] = [];

  constructor(chooser: ScopeChooser, room: KeptRoom) {
    this.#chooser = chooser;
    this.#room = room;
  }

  /** To be awaited before so many bytes are shown: all of them may be chosen. */
  async makeRoom(bytes: number): Promise<void> {
    const lacking = Math.ceil((this.length + bytes) / CHUNK_BYTES) - this.#chunks.length;
    if (lacking > 0) this.#chunks.push(...(await this.#room.more(lacking)));
  }

  lookAhead(bytes: Buffer, starts: ArrayLike<number>, count: number): void {
    this.#chooser.lookAhead(bytes, starts, count);
  }

  wants(bytes: Buffer, start: number): boolean {
    if (this.#chooser.isOpen) return this.#chooser.mayChoose(bytes, start);
    if (!this.#chooser.chooses(bytes, start)) {
      this.#chooser.noteOtherTypes(bytes, start, this.#otherTypes);
      return false;
    }
    checkDocument(bytes, start);
    fitId(this.#id, bytes, start);
    return true;
  }

  append(bytes: Buffer, start: number, end: number): void {
    for (let at = start; at < end; ) {
      const filled = this.length % CHUNK_BYTES;
      const taken = Math.min(end - at, CHUNK_BYTES - filled);
      const chunk = this.#chunks[(this.length - filled) / CHUNK_BYTES] as Uint8Array;
      bytes.copy(chunk, filled, at, at + taken);
      this.length += taken;
      at += taken;
    }
  }

  found(isUnread: boolean): Pick<Part, 'kept' | 'leftOut' | 'foundIds'> {
    const { routes } = this.#chooser;
    const foundIds = this.#chooser.takeFoundIds();
    const leftOut = this.#otherTypes
      .all()
      .map(({ route, ...counted }) => ({ ...counted, route: routes.indexOf(route) }));
    const kept = this.#chunks.splice(0, isUnread ? 0 : Math.ceil(this.length / CHUNK_BYTES));
    const last = kept.pop();
    if (last !== undefined) kept.push(last.subarray(0, this.length - kept.length * CHUNK_BYTES));
    this.#room.giveBack(this.#chunks);
    return { kept, leftOut, foundIds };
  }
}
