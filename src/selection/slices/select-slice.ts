/** Scans a slice: the same decisions about its documents as in a reading of the whole backup. */
import type { SeparateMember, WholeDocuments } from '../../backup/backup.ts';
import { StretchReader, wholeStretch } from '../../backup/readers/stretch.ts';
import { BsonFault, ElementCursor } from '../../bson/elements.ts';
import { checkDocument } from '../../bson/storable.ts';
import { RestorePlanError } from '../../errors.ts';
import { fitId } from '../chosen-documents.ts';
import { type DocumentConsumer, DocumentWalk, type TimeLimit } from '../document-walk.ts';
import { OtherTypes } from '../other-types.ts';
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
}

/** Scans slices of one level of the plan; several at once, where their bytes are waited for. */
export class SliceScanner {
  readonly #scopes: ReadonlyMap<string, Scope>;
  readonly #limit: TimeLimit;
  readonly #signal: AbortSignal;
  /** Of the collection that was scanned last: what V8 compiled for one is of no use to another (a third of the processor time). */
  #idle: { readonly collection: string; readonly choosers: ScopeChooser[] } | undefined;

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
    const part = await scanSlice(slice, { ...reading, chooser, limit: this.#limit, signal: this.#signal });
    choosers.push(chooser);
    return part;
  }
}

async function scanSlice(
  slice: Slice,
  {
    member,
    stored,
    chooser,
    limit,
    signal,
  }: SliceReading & {
    readonly chooser: ScopeChooser;
    readonly limit: TimeLimit;
    readonly signal: AbortSignal;
  },
): Promise<Part> {
  const { from, to, isWhole, withCrc64 } = slice;
  const reader = isWhole
    ? wholeStretch(member, stored)
    : new StretchReader(member.at, { from, to, withCrc64 }, stored);
  const kept = new KeptDocuments(chooser);
  const walk = new DocumentWalk(slice.member, kept, chooser.mayBacktrack ? limit : undefined);
  let isUnread = false;
  try {
    for await (const documents of reader.read()) {
      signal.throwIfAborted();
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
  return { slice, isUnread: true, ...nothing, kept: Buffer.alloc(0), leftOut: [], foundIds: [] };
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

const FIRST_BYTES = 64 * 1024;

/** Keeps copies of the documents that are chosen, or may be. */
class KeptDocuments implements DocumentConsumer {
  length = 0;
  readonly #chooser: ScopeChooser;
  readonly #otherTypes = new OtherTypes();
  readonly #id = new ElementCursor();
  #bytes = Buffer.alloc(0);

  constructor(chooser: ScopeChooser) {
    this.#chooser = chooser;
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
    const length = this.length + end - start;
    if (length > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#bytes.length, FIRST_BYTES));
      this.#bytes.copy(grown, 0, 0, this.length);
      this.#bytes = grown;
    }
    bytes.copy(this.#bytes, this.length, start, end);
    this.length = length;
  }

  /** In memory of their own, so that it can be handed to another thread. */
  found(isUnread: boolean): Pick<Part, 'kept' | 'leftOut' | 'foundIds'> {
    const { routes } = this.#chooser;
    const foundIds = this.#chooser.takeFoundIds();
    const leftOut = this.#otherTypes
      .all()
      .map(({ route, ...counted }) => ({ ...counted, route: routes.indexOf(route) }));
    const kept = Buffer.allocUnsafeSlow(isUnread ? 0 : this.length);
    this.#bytes.copy(kept, 0, 0, kept.length);
    return { kept, leftOut, foundIds };
  }
}
