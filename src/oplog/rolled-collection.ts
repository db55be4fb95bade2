/** One collection of a backup, or what one shard has of it, as an oplog made it: documents that nothing happened to are copied together. */
import type { BackupPiece, MemberInfo, MemberRead } from '../backup/backup.ts';
import { readCanonical } from '../bson/canonical-bytes.ts';
import { findId } from '../bson/documents.ts';
import { showValue } from '../bson/show.ts';
import type { RawValue } from '../bson/types.ts';
import { RestorePlanError } from '../errors.ts';
import type { Holes } from './alone/holes.ts';
import { CannotRoll, following, ifFollowed, WithoutBase } from './faults.ts';
import type { DocumentPast } from './later.ts';
import { Output } from './rolled-output.ts';
import type { ShardWrites } from './shards/shard-writes.ts';
import type { TakeDeleted, TakeDocument, TouchedDocuments } from './touched.ts';
import type { CollectionWindows } from './windows/collection-windows.ts';
import type { WindowView } from './windows/window-views.ts';

const NOT_IN_BACKUP = 2 ** 40;

interface RolledParts {
  readonly collection: string;
  readonly touched: TouchedDocuments;
  readonly writes: ShardWrites | undefined;
  /** The oplog, for messages. */
  readonly origin: string;
  readonly folder: string | undefined;
  /** Place of the shard among all of them. */
  readonly number: number;
  /** Number of the member that it is by itself, where the backup has none. */
  readonly ownId: number;
  /** Its documents as of one moment are wanted. */
  readonly isAt: boolean;
  /** Those as they were before something happened to them, too. */
  readonly windows: CollectionWindows | undefined;
  /** Takes documents that nobody has whole; undefined: the first one ends the reading. */
  readonly holes: Holes | undefined;
}

/** Is shown documents that are not there at the cut, as they were just before they were deleted. */
export interface WatchesDeleted {
  /** The backup is read (again) from its beginning. */
  beginReading(): void;
  readonly take: TakeDeleted;
}

export class Rolled {
  readonly folder: string | undefined;
  /** Undefined: nobody wants to see them. */
  watch: WatchesDeleted | undefined;
  /** Documents that were left out because they are another shard's by now, or were deleted there. */
  orphans = 0;
  readonly #collection: string;
  readonly #touched: TouchedDocuments;
  readonly #writes: ShardWrites | undefined;
  readonly #origin: string;
  readonly #number: number;
  readonly #ownId: number;
  readonly #isAt: boolean;
  readonly #windows: CollectionWindows | undefined;
  readonly #holes: Holes | undefined;
  readonly #out = new Output();
  /** What is given of each view of the windows. */
  readonly #views: readonly ViewOutput[];
  /** Its only member, so far. */
  #member: MemberInfo | undefined;

  constructor(parts: RolledParts) {
    const { collection, touched, writes, origin, folder, number, ownId, isAt, windows, holes } = parts;
    this.folder = folder;
    this.#collection = collection;
    this.#touched = touched;
    this.#writes = writes;
    this.#origin = origin;
    this.#number = number;
    this.#ownId = ownId;
    this.#isAt = isAt;
    this.#windows = windows;
    this.#holes = holes;
    this.#views = (windows?.views ?? []).map((view) => ({ view, out: new Output() }));
  }

  get isMet(): boolean {
    return this.#member !== undefined;
  }

  /** Of its member, once that was met. */
  get path(): string | undefined {
    return this.#member?.path;
  }

  begin(): void {
    this.#member = undefined;
    this.#out.begin();
    this.orphans = 0;
    this.watch?.beginReading();
    this.#touched.beginReading();
    this.#windows?.touched.beginReading();
    for (const { view, out } of this.#views) {
      view.beginReading();
      out.begin();
    }
  }

  *documents(piece: BackupPiece & { type: 'documents' }): Generator<BackupPiece> {
    this.#meet(piece.member);
    if (this.#isAt) yield* this.#atOneMoment(piece);
    if (this.#windows === undefined) return;
    for (let next = 0; next < piece.count; ) {
      next = this.#fillViews(piece, next, this.#windows);
      yield* this.#flushViews(piece.member);
    }
  }

  *#atOneMoment(piece: BackupPiece & { type: 'documents' }): Generator<BackupPiece> {
    if (this.#touched.size === 0 && this.#writes === undefined) {
      yield piece;
      return;
    }
    for (let next = 0; next < piece.count; ) {
      next = this.#fill(piece, next);
      yield* this.#out.flush(piece.member);
    }
  }

  *ended(piece: BackupPiece & { type: 'ended' }): Generator<BackupPiece> {
    const { member } = piece;
    this.#meet(member);
    if (this.#isAt) yield* this.#notInBackup(member);
    yield* this.#viewsNotInBackup(member);
    if (this.#isAt) yield piece;
    for (const [i] of this.#views.entries()) yield { type: 'ended', member: this.#viewed(member, i) };
  }

  /** What there is of it where the backup has no member; what is to be said of that in the summary. */
  *withoutMember(): Generator<BackupPiece, MemberRead[]> {
    const member = {
      collection: this.#collection,
      path: `${this.#origin}!${this.#collection}`,
      id: this.#ownId,
    };
    if (this.#isAt) yield* this.#notInBackup(member);
    yield* this.#viewsNotInBackup(member);
    const given = [
      { member, out: this.#out },
      ...this.#views.map(({ out }, i) => ({ member: this.#viewed(member, i), out })),
    ].filter(({ out }) => out.bytes > 0);
    for (const { member } of given) yield { type: 'ended', member };
    return given.map(({ member: { collection, path }, out }) => ({ collection, path, ...out.given }));
  }

  *#viewsNotInBackup(member: MemberInfo): Generator<BackupPiece> {
    for (const number of this.#windows?.touched.notInBackup() ?? []) {
      this.#rollViews(this.#windows as CollectionWindows, number, undefined, 0);
      if (this.#views.some(isFull)) yield* this.#flushViews(member);
    }
    yield* this.#flushViews(member, 'all');
  }

  *#notInBackup(member: MemberInfo): Generator<BackupPiece> {
    for (const number of this.#touched.notInBackup()) {
      this.#roll(number, undefined, 0);
      if (this.#out.pieces.isFull) yield* this.#out.flush(member);
    }
    yield* this.#out.flush(member);
  }

  /** What is to be said of the member in the summary. */
  membersOf(member: MemberRead): MemberRead[] {
    const { collection } = member;
    const views = this.#views.map(({ view, out }) => ({
      ...{ path: pathOfView(member.path, view), collection },
      ...out.given,
    }));
    if (!this.#isAt) return views;
    const isAsItWas = this.#touched.size === 0 && this.#writes === undefined;
    return [isAsItWas ? member : { ...member, ...this.#out.given }, ...views];
  }

  /** The window by its key. */
  viewOf(key: string): WindowView | undefined {
    return this.#views.find(({ view }) => view.key === key)?.view;
  }

  /** What was left out of the windows, and what differs from the server's own count; known when the backup has been read. */
  *notes(): Generator<string> {
    for (const { view } of this.#views) yield* view.notes(this.#collection);
  }

  pastOf(id: RawValue): DocumentPast | undefined {
    const number = this.#touched.find(id);
    if (number < 0) return undefined;
    return { changes: this.#touched.changesOf(number), isInserted: !this.#touched.isMet(number) };
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
        hint: 'For the backup of a sharded cluster, name the oplog of each shard in source.oplog.shards, by the folder that holds its dump.',
      },
    );
  }

  /** Rolls documents from `first` on until a piece is full; returns the next one. */
  #fill({ bytes, starts, count }: BackupPiece & { type: 'documents' }, first: number): number {
    const touched = this.#touched;
    const writes = this.#writes;
    const out = this.#out.pieces;
    let i = first;
    // Neighbours that nothing happened to are copied together.
    let kept = i;
    for (; i < count && !out.isFull; i++) {
      const start = starts[i] as number;
      const id = findId(bytes, start);
      if (id === undefined) continue;
      const number = touched.find(id);
      const known = writes === undefined ? -1 : writes.find(id);
      if (known >= 0) writes?.meet(known);
      if (number < 0 && !(known >= 0 && this.#isOrphan(bytes, start))) continue;
      out.addRun(bytes, starts, kept, i);
      if (number >= 0) this.#roll(number, bytes, start);
      kept = i + 1;
    }
    out.addRun(bytes, starts, kept, i);
    return i;
  }

  #roll(number: number, base: Buffer | undefined, start: number): void {
    const touched = this.#touched;
    this.#rolling(touched, number, () => {
      if (!touched.roll(number, base, start, this.#take)) this.#showDeleted(number, base, start);
    });
  }

  #showDeleted(number: number, base: Buffer | undefined, start: number): void {
    const { watch } = this;
    if (watch !== undefined) ifFollowed(() => this.#touched.rollDeleted(number, base, start, watch.take));
  }

  /** Gives documents of the backup from `first` on, in the states that the windows want of them, until a piece is full; returns the next one. */
  #fillViews(
    { bytes, starts, count }: BackupPiece & { type: 'documents' },
    first: number,
    windows: CollectionWindows,
  ): number {
    const { touched } = windows;
    const isEach = this.#views.some(({ view }) => view.dropped !== undefined);
    for (let i = first; i < count; i++) {
      const start = starts[i] as number;
      const id = findId(bytes, start);
      const number = id === undefined ? -1 : touched.find(id);
      if (number < 0 && !isEach) continue;
      if (number >= 0) touched.meet(number);
      this.#rollViews(windows, number, bytes, start);
      if (this.#views.some(isFull)) return i + 1;
    }
    return count;
  }

  #rollViews({ touched }: CollectionWindows, number: number, base: Buffer | undefined, start: number): void {
    for (const { view, out } of this.#views)
      this.#rolling(touched, number, () => view.roll(number, base, start, out.pieces.take), view.key);
  }

  *#flushViews(member: MemberInfo, which: 'full' | 'all' = 'full'): Generator<BackupPiece> {
    for (const [i, each] of this.#views.entries())
      if (which === 'all' || isFull(each)) yield* each.out.flush(this.#viewed(member, i));
  }

  /** The member as one of another state; its path keeps the states apart, and in order. */
  #viewed(member: MemberInfo, index: number): MemberInfo {
    const { view } = this.#views[index] as ViewOutput;
    // Of a member of the backup below 0, of one that it does not have above all of its numbers.
    const number = member.id * this.#views.length;
    const id = member.id < 0 ? NOT_IN_BACKUP - number + index : -1 - (number + index);
    return { ...member, path: pathOfView(member.path, view), id, view: view.key };
  }

  #rolling(touched: TouchedDocuments, number: number, roll: () => unknown, view?: string): void {
    try {
      following(this.#origin, {}, roll);
    } catch (fault) {
      if (!(fault instanceof CannotRoll)) throw fault;
      if (fault instanceof WithoutBase && this.#holes !== undefined) {
        this.#holes.add(this.#collection, view, touched.idKey(number));
        return;
      }
      throw new RestorePlanError(
        'BACKUP',
        `${this.#collection} ${showId(touched, number)} cannot be rolled forward exactly: ${fault.message}.`,
        {
          hint: 'Nothing was used. If source.oplog begins too late for the backup, let it begin earlier; else restore without source.oplog, as the backup has it.',
          cause: fault,
        },
      );
    }
  }

  readonly #take: TakeDocument = (bytes, start, end) => {
    if (!this.#isOrphan(bytes, start)) this.#out.pieces.take(bytes, start, end);
  };

  #isOrphan(bytes: Buffer, start: number): boolean {
    if (this.#writes?.isOrphan(this.#number, bytes, start) !== true) return false;
    this.orphans++;
    return true;
  }
}

function showId(touched: TouchedDocuments, number: number): string {
  const id = readCanonical(Buffer.from(touched.idKey(number)));
  return id === undefined ? 'a document' : `_id ${showValue({ ...id, start: 0, end: id.bytes.length })}`;
}

function pathOfView(path: string, { key }: WindowView): string {
  return `${path} (${key})`;
}

interface ViewOutput {
  readonly view: WindowView;
  readonly out: Output;
}

const isFull = ({ out }: ViewOutput): boolean => out.pieces.isFull;
