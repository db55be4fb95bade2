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
import { type CollectionViews, type Window, windowKey } from '../../plan/windows.ts';
import { type Cut, OP, type OplogEntry, timeOf } from '../entry.ts';
import { IdTable } from '../id-table.ts';
import { type DocumentPast, LaterChanges } from '../later.ts';
import { NO_RECORD, type RecordLog } from '../record-log.ts';
import { DELETED, idOf, type TakeDocument, TouchedDocuments } from '../touched.ts';
import { updateKind } from '../updates/update.ts';
import type { WantedCollection } from '../wanted.ts';
import { differAt, touches } from './touches.ts';
import { TtlIndexes } from './ttl-indexes.ts';

const FIRST_CAPACITY = 64;
/** State before, state after, wall, changes so far, state of the TTL indexes. */
const NOTE_BYTES = 8 + 8 + 8 + 4 + 4;

/** Kinds of notes: whether the document itself has to be looked at. */
const CERTAIN = 0;
const UNLESS_EXPIRED = 1;
const IF_FIELDS_DIFFER = 2;

/** Why documents that were deleted in the span are no deletions of somebody. */
export interface OtherCauses {
  /** A TTL index may have deleted them: their time was over. */
  expired: number;
  /** They moved to another shard. */
  migrated: number;
}

/** What is wanted of collections besides, or instead of, their documents at one moment. */
export interface WindowScope {
  /** That moment, before all windows; the cut itself is behind them. */
  readonly at: Exclude<Cut, 'end'>;
  /** By collection. */
  readonly views: ReadonlyMap<string, CollectionViews>;
}

/** For each collection; undefined where no window of it is wanted. */
export function windowsOf(
  {
    collections,
    windows,
  }: { readonly collections: readonly WantedCollection[]; readonly windows?: WindowScope },
  log: RecordLog,
): (CollectionWindows | undefined)[] {
  return collections.map(({ collection, metadata }) => {
    const wanted = windows?.views.get(collection)?.windows ?? [];
    if (wanted.length === 0) return undefined;
    return new CollectionWindows(wanted, { log, ttl: new TtlIndexes(metadata) });
  });
}

/** All windows of one collection: what happens to its documents is kept once for all of them. */
export class CollectionWindows {
  readonly views: readonly WindowView[];
  readonly touched: TouchedDocuments;
  readonly ttl: TtlIndexes;
  /** What the backup has, and no entry named, is gone. */
  #isBaseGone = false;

  constructor(
    windows: readonly Window[],
    { log, ttl }: { readonly log: RecordLog; readonly ttl: TtlIndexes },
  ) {
    const ids = new IdTable();
    this.touched = new TouchedDocuments(log, ids);
    this.ttl = ttl;
    this.views = windows.map((window) => new WindowView(window, { log, ids, touched: this.touched, ttl }));
  }

  /** An operation on a document, with the entry by which it takes effect. Both are lent. */
  take(operation: OplogEntry, container: OplogEntry): void {
    const wall = timeOf(container);
    const id = idOf(operation);
    const before = this.touched.stateOf(this.touched.find(id));
    const number = this.touched.take(operation);
    const happened = { operation, container, id, number, before, wall };
    for (const view of this.views) view.take(happened);
  }

  /** The same behind the last window: only told. */
  takeLater(operation: OplogEntry, wall: number): void {
    const id = idOf(operation);
    const number = this.touched.find(id);
    for (const view of this.views) view.later(operation.op, { id, number, wall });
  }

  /** All documents are gone, without an entry for each. False: no window has begun, so that nothing is left to be restored. */
  drop(wall: number, held: number | undefined): boolean {
    if (!this.views.every(({ window }) => window.from.epochMs <= wall)) return false;
    for (const view of this.views)
      if (view.holds(wall)) view.drop(wall, { held, isBaseGone: this.#isBaseGone });
    this.touched.removeAll();
    this.#isBaseGone = true;
    return true;
  }
}

interface Happened {
  readonly operation: OplogEntry;
  readonly container: OplogEntry;
  readonly id: RawValue;
  readonly number: number;
  /** The document's state until then. */
  readonly before: number;
  readonly wall: number;
}

interface WindowParts {
  readonly log: RecordLog;
  readonly ids: IdTable;
  readonly touched: TouchedDocuments;
  readonly ttl: TtlIndexes;
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
  readonly #parts: WindowParts;
  readonly #laterChanges: LaterChanges;
  /** What has to change; none: anything. */
  readonly #paths: readonly (readonly string[])[];
  /** By number of the document: the newest note of it. */
  #notes = new Float64Array(FIRST_CAPACITY).fill(NO_RECORD);
  /** A document with this number or a higher one, or none, was as the backup has it when everything was dropped. */
  #untouchedFrom: number | undefined;
  readonly #note = Buffer.alloc(NOTE_BYTES);
  readonly #expired = { state: 0, wall: 0, is: false };
  #take: TakeDocument = () => {};

  constructor(window: Window, parts: WindowParts) {
    this.window = window;
    this.key = windowKey(window);
    this.#parts = parts;
    this.#laterChanges = new LaterChanges(parts.ids);
    this.#paths = window.kind === 'changed' ? window.fields.map((path) => path.split('.')) : [];
  }

  holds(wall: number): boolean {
    return wall >= this.window.from.epochMs && wall < this.window.until.epochMs;
  }

  take(happened: Happened): void {
    const { op } = happened.operation;
    if (this.holds(happened.wall) && happened.before !== DELETED) {
      if (this.window.kind === 'deleted') {
        if (op === OP.DELETE) this.#deleted(happened);
      } else if (op === OP.UPDATE) this.#changed(happened);
    }
    this.later(op, happened);
  }

  /** What becomes of a document that was deleted or changed. */
  later(op: number, { id, number, wall }: Pick<Happened, 'id' | 'number' | 'wall'>): void {
    if (this.#noteOf(number) === NO_RECORD && this.#untouchedFrom === undefined) return;
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
      this.#add(number, { kind: CERTAIN, before, after: DELETED, wall, changes });
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
    const newest = number < 0 ? NO_RECORD : this.#noteOf(number);
    const isUntouched = this.#untouchedFrom !== undefined && (number < 0 || number >= this.#untouchedFrom);
    if (newest !== NO_RECORD) {
      const notes = this.#parts.log.chain(newest);
      const isRolled =
        this.window.kind === 'deleted'
          ? this.#rollDeleted(notes.reverse(), { base, start }, take)
          : this.#rollChanged(notes, { base, start }, take);
      if (isRolled || !isUntouched) return isRolled;
    }
    if (!isUntouched || base === undefined) return false;
    this.foundDropped++;
    take(base, start, start + base.readInt32LE(start));
    return true;
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
    const newest = number < 0 ? NO_RECORD : this.#noteOf(number);
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
    const changes = this.#read(newest).changes;
    return { changes, isInserted: !this.#parts.touched.isMet(number), ...(later && { later }) };
  }

  #deleted({ operation, container, id, number, before, wall }: Happened): void {
    const { ttl, touched } = this.#parts;
    if (operation.fromMigrate) {
      this.leftOut.migrated++;
      return;
    }
    const kind = container.lsid < 0 && ttl.areThere ? UNLESS_EXPIRED : CERTAIN;
    this.#add(number, { kind, before, after: DELETED, wall, changes: touched.changesOf(number) - 1 });
    this.#laterChanges.forget(id);
  }

  #changed({ operation, number, before, wall }: Happened): void {
    const newest = this.#noteOf(number);
    // The first that is certain decides.
    if (newest !== NO_RECORD && this.#parts.log.read(newest).kind === CERTAIN) return;
    const { bytes, o } = operation;
    const isWhole = updateKind(bytes, o) === 'whole';
    const isAny = this.#paths.length === 0;
    if (!isAny && !isWhole && !touches(bytes, o, this.#paths)) return;
    const kind = isWhole && !isAny ? IF_FIELDS_DIFFER : CERTAIN;
    const { touched } = this.#parts;
    this.#add(number, {
      kind,
      before,
      after: touched.stateOf(number),
      wall,
      changes: touched.changesOf(number) - 1,
    });
  }

  #add(number: number, { kind, before, after, wall, changes }: Note): void {
    const { log, ttl } = this.#parts;
    const note = this.#note;
    note.writeDoubleLE(before, 0);
    note.writeDoubleLE(after, 8);
    note.writeDoubleLE(wall, 16);
    note.writeUInt32LE(changes, 24);
    note.writeUInt32LE(ttl.state, 28);
    if (number >= this.#notes.length) {
      const larger = new Float64Array(Math.max(number + 1, this.#notes.length * 2)).fill(NO_RECORD);
      larger.set(this.#notes);
      this.#notes = larger;
    }
    // A deletion that is certain makes those before it meaningless.
    const previous =
      kind === CERTAIN && this.window.kind === 'deleted' ? NO_RECORD : (this.#notes[number] as number);
    this.#notes[number] = log.append(previous, kind, note, 0, NOTE_BYTES);
  }

  #noteOf(number: number): number {
    return this.#notes[number] ?? NO_RECORD;
  }

  #read(note: number): Note & { readonly ttl: number } {
    const { kind, bytes, start } = this.#parts.log.read(note);
    return {
      kind,
      before: bytes.readDoubleLE(start),
      after: bytes.readDoubleLE(start + 8),
      wall: bytes.readDoubleLE(start + 16),
      changes: bytes.readUInt32LE(start + 24),
      ttl: bytes.readUInt32LE(start + 28),
    };
  }

  /** `notes`: newest first. */
  #rollDeleted(notes: readonly number[], { base, start }: Base, take: TakeDocument): boolean {
    for (const note of notes) {
      const { kind, before, wall, ttl } = this.#read(note);
      if (kind === CERTAIN) {
        if (this.dropped?.wall === wall) this.foundDropped++;
        return this.#parts.touched.rollTo(before, base, start, take);
      }
      Object.assign(this.#expired, { state: ttl, wall, is: false });
      this.#take = take;
      this.#parts.touched.rollTo(before, base, start, this.#unlessExpired);
      if (!this.#expired.is) return true;
    }
    this.leftOut.expired++;
    return false;
  }

  readonly #unlessExpired = (bytes: Buffer, start: number, end: number): void => {
    const expired = this.#expired;
    expired.is = this.#parts.ttl.isExpired(expired.state, bytes, start, expired.wall);
    if (!expired.is) this.#take(bytes, start, end);
  };

  /** `notes`: oldest first. */
  #rollChanged(notes: readonly number[], { base, start }: Base, take: TakeDocument): boolean {
    const { touched } = this.#parts;
    for (const note of notes) {
      const { kind, before, after } = this.#read(note);
      if (kind === CERTAIN) return touched.rollTo(before, base, start, take);
      const was = this.#copy(before, { base, start });
      const became = this.#copy(after, { base, start });
      if (!this.#paths.some((path) => differAt(was, became, path))) continue;
      take(was, 0, was.length);
      return true;
    }
    return false;
  }

  #copy(state: number, { base, start }: Base): Buffer {
    let copy = Buffer.alloc(0);
    this.#parts.touched.rollTo(state, base, start, (bytes, from, to) => {
      copy = Buffer.from(bytes.subarray(from, to));
    });
    return copy;
  }
}

/** What was noted when a document was deleted or changed. */
interface Note {
  readonly kind: number;
  /** The document's state before, and after. */
  readonly before: number;
  readonly after: number;
  readonly wall: number;
  /** Entries that made it what it was before. */
  readonly changes: number;
}

interface Base {
  readonly base: Buffer | undefined;
  readonly start: number;
}
