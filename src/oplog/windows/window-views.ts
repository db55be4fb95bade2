/**
 * The documents of one collection that were deleted or changed in a span of time, each as it was just before.
 *
 * What happens to a document is kept as for any replay (`TouchedDocuments`). Where it is deleted or changed in the span, a note is kept of the
 * state that it has then: the record that it is rolled to. Of several deletions in the span the last one by somebody counts, for it took what
 * was there in the end; of several changes the first that touches a wanted field. What decides that is partly known only from the document
 * itself (had it expired? did a replacement change the field?), so the notes are a chain, and the choice is made when the document is rolled.
 */
import { showIsoDate } from '../../bson/extended-json-types.ts';
import type { RawValue } from '../../bson/types.ts';
import { type Window, windowKey } from '../../plan/windows.ts';
import { commitTimestampOf, OP, type OplogEntry, type Timestamp } from '../entry.ts';
import { PAUSE_MS } from '../history-runs.ts';
import type { IdTable } from '../id-table.ts';
import { type DocumentPast, LaterChanges } from '../later.ts';
import { NO_RECORD, type RecordLog } from '../record-log.ts';
import { DELETED, type TakeDocument, type TouchedDocuments } from '../touched.ts';
import { updateKind } from '../updates/update.ts';
import type { ShardOfWindow } from './across-shards.ts';
import { CERTAIN, IF_FIELDS_DIFFER, IF_MOVED, type Note, Notes, UNLESS_EXPIRED } from './notes.ts';
import { differAt, touches } from './touches.ts';
import type { TtlIndexes } from './ttl-indexes.ts';

/** Of a drop, which no other shard is asked about. */
const NEVER: Timestamp = { seconds: 0, ordinal: 0 };

/** Why documents that were deleted in the span are no deletions of somebody. */
export interface OtherCauses {
  /** A TTL index may have deleted them: their time was over. */
  expired: number;
  /** They moved to another shard. */
  migrated: number;
}

/** Documents that were deleted just beside the span, no farther from it than the pause that ends a run; times are UTC milliseconds. */
export interface DeletedBeside {
  before: number;
  first: number;
  after: number;
  last: number;
}

/** An operation on a document. */
export interface Happened {
  readonly operation: OplogEntry;
  readonly container: OplogEntry;
  readonly id: RawValue;
  readonly number: number;
  /** The document's state until then. */
  readonly before: number;
  readonly wall: number;
  /** It only brought the document to another shard. */
  readonly isMigrated: boolean;
  /** The document was made together with it. */
  readonly isNew: boolean;
}

interface WindowParts {
  readonly log: RecordLog;
  readonly ids: IdTable;
  readonly touched: TouchedDocuments;
  readonly ttl: TtlIndexes;
  readonly shard: ShardOfWindow | undefined;
}

export class WindowView {
  readonly window: Window;
  readonly key: string;
  readonly leftOut: OtherCauses = { expired: 0, migrated: 0 };
  /** Documents that a drop took, as the server counted them; and as they were found. */
  dropped: { readonly held: number | undefined; readonly wall: number } | undefined;
  foundDropped = 0;
  /** The first drop: what it took is partly known from the backup alone. `touched`: documents of it that entries name. */
  firstDrop:
    | { readonly held: number | undefined; readonly touched: number; readonly wall: number }
    | undefined;
  readonly beside: DeletedBeside = { before: 0, first: Number.POSITIVE_INFINITY, after: 0, last: 0 };
  readonly #parts: WindowParts;
  readonly #laterChanges: LaterChanges;
  /** What has to change; none: anything. */
  readonly #paths: readonly (readonly string[])[];
  readonly #notes: Notes;
  /** A document with this number or a higher one, or none, was as the backup has it when everything was dropped. */
  #untouchedFrom: number | undefined;
  readonly #expired = { state: 0, wall: 0, is: false };
  #take: TakeDocument = () => {};

  constructor(window: Window, parts: WindowParts) {
    this.window = window;
    this.key = windowKey(window);
    this.#parts = parts;
    this.#notes = new Notes(parts.log);
    this.#laterChanges = new LaterChanges(parts.ids);
    this.#paths = window.kind === 'changed' ? window.fields.map((path) => path.split('.')) : [];
  }

  holds(wall: number): boolean {
    return wall >= this.window.from.epochMs && wall < this.window.until.epochMs;
  }

  take(happened: Happened): void {
    const { operation, container, id, isMigrated } = happened;
    const { op, bytes, o } = operation;
    const isHeld = this.holds(happened.wall) && happened.before !== DELETED && !happened.isNew;
    const { kind } = this.window;
    if (isMigrated) {
      if (isHeld && kind === 'deleted' && op === OP.DELETE) this.leftOut.migrated++;
      return;
    }
    const across = this.#parts.shard?.across;
    const committed = across && commitTimestampOf(container);
    if (op === OP.DELETE && happened.before !== DELETED && !happened.isNew && !committed)
      this.#deletedBefore(happened);
    if (committed && op === OP.INSERT) across.inserted(id, committed, bytes, o);
    if (isHeld && op === OP.DELETE && (kind === 'deleted' || committed)) this.#deleted(happened, committed);
    else if (isHeld && op === OP.UPDATE && kind === 'changed') this.#changed(happened, committed);
    this.later(op, happened);
  }

  /** What becomes of a document that was deleted or changed. */
  later(op: number, { id, number, wall }: Pick<Happened, 'id' | 'number' | 'wall'>): void {
    if (op === OP.DELETE) this.#deletedAfter(wall);
    if (this.#notes.newestOf(number) === NO_RECORD && this.#untouchedFrom === undefined) return;
    this.#laterChanges.happened(op, id, wall);
  }

  drop(
    wall: number,
    { held, isBaseGone }: { readonly held: number | undefined; readonly isBaseGone: boolean },
  ): void {
    if (this.window.kind !== 'deleted') return;
    const { touched } = this.#parts;
    let taken = 0;
    for (let number = 0; number < touched.size; number++) {
      const before = touched.stateOf(number);
      if (before === DELETED || (isBaseGone && before === NO_RECORD)) continue;
      const changes = touched.changesOf(number);
      this.#add(number, { kind: CERTAIN, before, after: DELETED, wall, changes, at: NEVER });
      taken++;
    }
    if (!isBaseGone) {
      this.#untouchedFrom = touched.size;
      this.firstDrop = { held, touched: taken, wall };
    }
    this.dropped = { held, wall };
  }

  /**
   * Hands on the document as it was before: of the backup's at `start` of `base`, whose number is -1 where no entry names it, or of one that the
   * backup does not have. False: it is none of the window. Throws CannotRoll.
   */
  roll(number: number, base: Buffer | undefined, start: number, take: TakeDocument): boolean {
    const newest = number < 0 ? NO_RECORD : this.#notes.newestOf(number);
    const isUntouched = this.#untouchedFrom !== undefined && (number < 0 || number >= this.#untouchedFrom);
    if (newest !== NO_RECORD) {
      const notes = this.#notes.of(number);
      const isRolled =
        this.window.kind === 'deleted'
          ? this.#rollDeleted(number, notes.reverse(), { base, start, take })
          : this.#rollChanged(number, notes, { base, start, take });
      if (isRolled || !isUntouched) return isRolled;
    }
    if (!isUntouched || base === undefined) return false;
    this.foundDropped++;
    take(base, start, start + base.readInt32LE(start));
    return true;
  }

  /** Hands on a changed document, given at `start` of `bytes`, as it was right after the last change that counts; nothing of another one. */
  rollOn(id: RawValue, bytes: Buffer, start: number, take: TakeDocument): void {
    const change = this.#notes.changeOf(this.#parts.ids.find(id));
    if (change !== undefined) this.#parts.touched.rollTo(change.to, bytes, start, take, change.from);
  }

  /** The backup is read (again) from its beginning. */
  beginReading(): void {
    this.leftOut.expired = 0;
    this.foundDropped = 0;
  }

  /** What was left out, and what differs from the server's own count, a sentence each without its end; known when the backup has been read. */
  *notes(collection: string): Generator<string> {
    const { expired, migrated } = this.leftOut;
    const those = (count: number): string =>
      `${collection}: ${count} ${count === 1 ? 'document' : 'documents'} ${this.key} ${count === 1 ? 'is' : 'are'} left out:`;
    if (expired > 0)
      yield `${those(expired)} by a TTL index their time was over, and their deletion names no session; if somebody deleted them before the index did, that cannot be told`;
    if (migrated > 0) yield `${those(migrated)} they moved between shards`;
    const { dropped, foundDropped } = this;
    if (dropped?.held !== undefined && dropped.held !== foundDropped)
      yield `${collection}: the server counted ${dropped.held} documents when it was dropped at ${showIsoDate(dropped.wall)}, and ${foundDropped} were found; after a crash that count may be wrong`;
  }

  /** Undefined: nothing is known of it but that the backup has it. */
  pastOf(id: RawValue): DocumentPast | undefined {
    const number = this.#parts.ids.find(id);
    const newest = number < 0 ? NO_RECORD : this.#notes.newestOf(number);
    const later = this.#laterChanges.of(id);
    if (newest === NO_RECORD) {
      if (this.dropped === undefined) return undefined;
      const { wall } = this.dropped;
      const lost = { end: 'deleted', changes: 1, first: wall, last: wall } as const;
      const again = later && {
        ...later,
        first: wall,
        ...(later.end === 'changed' && { end: 'insertedAgain' as const }),
      };
      return { changes: 0, isInserted: false, later: again ?? lost };
    }
    const { changes, at } = this.#notes.read(newest);
    if (this.#isElsewhere(number, at)) return undefined;
    return { changes, isInserted: this.#parts.touched.isInserted(number), ...(later && { later }) };
  }

  #deletedBefore({ container, wall }: Happened): void {
    const { from } = this.window;
    if (wall >= from.epochMs || wall < from.epochMs - PAUSE_MS) return;
    // It may have expired.
    if (container.lsid < 0 && this.#parts.ttl.areThere) return;
    this.beside.before++;
    this.beside.first = Math.min(this.beside.first, wall);
  }

  #deletedAfter(wall: number): void {
    const { until } = this.window;
    if (wall < until.epochMs || wall >= until.epochMs + PAUSE_MS || this.#parts.ttl.areThere) return;
    this.beside.after++;
    this.beside.last = Math.max(this.beside.last, wall);
  }

  /** `committed`: by a transaction of several shards, at this time; then it may only have moved. */
  #deleted({ container, id, number, before, wall }: Happened, committed: Timestamp | undefined): void {
    const { ttl, touched, shard } = this.#parts;
    const changes = touched.changesOf(number) - 1;
    const note = { before, after: DELETED, wall, changes, at: committed ?? container };
    if (this.window.kind === 'changed') {
      if (!this.#notes.isCertain(number)) this.#add(number, { ...note, kind: IF_MOVED });
      return;
    }
    const kind = container.lsid < 0 && ttl.areThere ? UNLESS_EXPIRED : CERTAIN;
    this.#add(number, { ...note, kind });
    if (kind === CERTAIN && committed === undefined) shard?.across.settled(shard.number, id, container);
    this.#laterChanges.forget(id);
  }

  #changed(
    { operation: { bytes, o }, container, id, number, before, wall }: Happened,
    committed: Timestamp | undefined,
  ): void {
    const { touched, shard } = this.#parts;
    const isWhole = updateKind(bytes, o) === 'whole';
    const isAny = this.#paths.length === 0;
    if (!isAny && !isWhole && !touches(bytes, o, this.#paths)) return;
    if (shard === undefined) this.#notes.became(number, touched.stateOf(number));
    // The first that is certain decides.
    if (this.#notes.isCertain(number)) return;
    const kind = isWhole && !isAny ? IF_FIELDS_DIFFER : CERTAIN;
    const at = committed ?? container;
    const changes = touched.changesOf(number) - 1;
    this.#add(number, { kind, before, after: touched.stateOf(number), wall, changes, at });
    if (kind === CERTAIN) shard?.across.settled(shard.number, id, at);
  }

  #add(number: number, note: Omit<Note, 'ttl'>): void {
    const { ttl, shard } = this.#parts;
    // A deletion that is certain makes those before it meaningless; on a shard it may turn out to be a move.
    const isLast = note.kind === CERTAIN && this.window.kind === 'deleted' && shard === undefined;
    this.#notes.add(number, { ...note, ttl: ttl.state }, isLast);
  }

  /** `notes`: newest first. */
  #rollDeleted(number: number, notes: readonly number[], { base, start, take }: RollBase): boolean {
    let isExpired = false;
    for (const note of notes) {
      const { kind, before, wall, ttl, at } = this.#notes.read(note);
      if (this.#movedTo(number, at) !== undefined) continue;
      if (this.#isElsewhere(number, at)) return false;
      if (kind === CERTAIN) {
        if (this.dropped?.wall === wall) this.foundDropped++;
        return this.#parts.touched.rollTo(before, base, start, take);
      }
      Object.assign(this.#expired, { state: ttl, wall, is: false });
      this.#take = take;
      this.#parts.touched.rollTo(before, base, start, this.#unlessExpired);
      if (!this.#expired.is) return true;
      isExpired = true;
    }
    if (isExpired) this.leftOut.expired++;
    return false;
  }

  readonly #unlessExpired = (bytes: Buffer, start: number, end: number): void => {
    const expired = this.#expired;
    expired.is = this.#parts.ttl.isExpired(expired.state, bytes, start, expired.wall);
    if (!expired.is) this.#take(bytes, start, end);
  };

  /** `notes`: oldest first. */
  #rollChanged(number: number, notes: readonly number[], { base, start, take }: RollBase): boolean {
    const { touched } = this.#parts;
    for (const note of notes) {
      const { kind, before, after, at } = this.#notes.read(note);
      if (this.#isElsewhere(number, at)) return false;
      this.#notes.gave(number, before);
      if (kind === CERTAIN) return touched.rollTo(before, base, start, take);
      const moved = kind === IF_MOVED ? this.#movedTo(number, at) : undefined;
      if (kind === IF_MOVED && moved === undefined) continue;
      const was = this.#copy(before, { base, start });
      const became = moved ?? this.#copy(after, { base, start });
      const isAny = this.#paths.length === 0;
      if (!isAny && !this.#paths.some((path) => differAt(was, became, path))) continue;
      take(was, 0, was.length);
      return true;
    }
    return false;
  }

  #movedTo(number: number, at: Timestamp): Buffer | undefined {
    const { shard, touched } = this.#parts;
    return shard?.across.movedTo(touched.idKey(number), at);
  }

  #isElsewhere(number: number, at: Timestamp): boolean {
    const { shard, touched } = this.#parts;
    return shard?.across.isElsewhere(shard.number, touched.idKey(number), at) === true;
  }

  #copy(state: number, { base, start }: Omit<RollBase, 'take'>): Buffer {
    let copy = Buffer.alloc(0);
    this.#parts.touched.rollTo(state, base, start, (bytes, from, to) => {
      copy = Buffer.from(bytes.subarray(from, to));
    });
    return copy;
  }
}

/** From what a document is rolled, and who takes it. */
interface RollBase {
  readonly base: Buffer | undefined;
  readonly start: number;
  readonly take: TakeDocument;
}
