/** All windows of one collection: what happens to its documents is kept once for all of them. */
import type { CollectionViews, Window } from '../../plan/windows.ts';
import {
  type Cut,
  compareTimestamps,
  momentOf,
  OP,
  type OplogEntry,
  type Timestamp,
  timeOf,
} from '../entry.ts';
import { IdTable } from '../id-table.ts';
import { NO_RECORD, type RecordLog } from '../record-log.ts';
import { isMigration, type ShardScope } from '../shards/shard-writes.ts';
import { DELETED, idOf, TouchedDocuments } from '../touched.ts';
import type { WantedCollection } from '../wanted.ts';
import type { ShardOfWindow } from './across-shards.ts';
import { TtlIndexes } from './ttl-indexes.ts';
import { type Happened, WindowView } from './window-views.ts';

/** Before every entry. */
const NEVER: Timestamp = { seconds: 0, ordinal: 0 };

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
    shard,
  }: {
    readonly collections: readonly WantedCollection[];
    readonly windows?: WindowScope;
    readonly shard?: ShardScope | undefined;
  },
  log: RecordLog,
): (CollectionWindows | undefined)[] {
  return collections.map(({ collection, metadata }, index) => {
    const wanted = windows?.views.get(collection)?.windows ?? [];
    if (wanted.length === 0) return undefined;
    const across = shard?.across[index]?.map((each) => ({ number: shard.number, across: each }));
    return new CollectionWindows(wanted, { log, ttl: new TtlIndexes(metadata), across });
  });
}

export class CollectionWindows {
  readonly views: readonly WindowView[];
  readonly touched: TouchedDocuments;
  readonly ttl: TtlIndexes;
  /** What the backup has, and no entry named, is gone. */
  #isBaseGone = false;
  readonly #isShard: boolean;
  /** Documents that the transaction which is followed now has made: until it is committed nobody can lose them. */
  readonly #made = { by: NEVER as Timestamp, numbers: new Set<number>() };

  constructor(
    windows: readonly Window[],
    {
      log,
      ttl,
      across,
    }: {
      readonly log: RecordLog;
      readonly ttl: TtlIndexes;
      /** Of each window, where they are a shard's. */
      readonly across?: readonly ShardOfWindow[] | undefined;
    },
  ) {
    const ids = new IdTable();
    this.#isShard = across !== undefined;
    this.touched = new TouchedDocuments(log, ids);
    this.ttl = ttl;
    const parts = { log, ids, touched: this.touched, ttl };
    this.views = windows.map((window, i) => new WindowView(window, { ...parts, shard: across?.[i] }));
  }

  /** An operation on a document, with the entry by which it takes effect. Both are lent. */
  take(operation: OplogEntry, container: OplogEntry): void {
    const wall = timeOf(container);
    const id = idOf(operation);
    const before = this.touched.stateOf(this.touched.find(id));
    const isMigrated = isMigration(operation, container);
    const number = this.touched.take(operation, isMigrated);
    const isNew = this.#isNew(operation, container, { number, before });
    const happened = { operation, container, id, number, before, wall, isMigrated, isNew };
    for (const view of this.views) view.take(happened);
  }

  /** Whether the transaction that holds it has made its document as well. */
  #isNew(
    operation: OplogEntry,
    container: OplogEntry,
    { number, before }: Pick<Happened, 'number' | 'before'>,
  ): boolean {
    // Of shards, it may have come from another one.
    if (operation === container || this.#isShard) return false;
    if (compareTimestamps(this.#made.by, container) !== 0) {
      this.#made.by = momentOf(container);
      this.#made.numbers.clear();
    }
    if (operation.op !== OP.INSERT) return this.#made.numbers.has(number);
    if (before === NO_RECORD || before === DELETED) this.#made.numbers.add(number);
    return true;
  }

  /** The same behind the last window: only told. */
  takeLater(operation: OplogEntry, container: OplogEntry): void {
    if (isMigration(operation, container)) return;
    const id = idOf(operation);
    const number = this.touched.find(id);
    for (const view of this.views) view.later(operation.op, { id, number, wall: timeOf(container) });
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
