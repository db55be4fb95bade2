/**
 * The documents that were deleted or changed in a span of time, out of the pre-images of a server: no backup, no oplog.
 *
 * A change stream tells each event with the document as it was before it. So nothing is rolled: before an event is followed, the document's
 * state is set to its pre-image. Which event of a document counts, and which fields, is decided as for an oplog (`CollectionWindows`); for that
 * an event is put into the form of an entry. An event that a plan wants and that has no pre-image ends the reading: documents that are missing
 * without a word would look like documents that were not deleted.
 */
import { changeEvents, WITHOUT_PRE_IMAGES } from '../../backup/live/pre-images.ts';
import { buildDocument, type DocumentBuilder } from '../../bson/document-builder.ts';
import { elements, keyOf } from '../../bson/elements.ts';
import { showIsoDate } from '../../bson/extended-json-types.ts';
import { showValue } from '../../bson/show.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import { RestorePlanError } from '../../errors.ts';
import type { PreImagesLocation } from '../../plan/sources/mongodb.ts';
import type { CollectionViews, Window } from '../../plan/windows.ts';
import type { Run } from '../../run.ts';
import { type DumpOfPlan, wantedIn } from '../dump.ts';
import { OP, OplogEntry } from '../entry.ts';
import { following } from '../faults.ts';
import { LaterChanges } from '../later.ts';
import { RecordLog } from '../record-log.ts';
import { Rolling } from '../rolled-backup.ts';
import { idIn, TouchedDocuments } from '../touched.ts';
import { CollectionWindows } from './collection-windows.ts';
import { touches } from './touches.ts';
import { TtlIndexes } from './ttl-indexes.ts';

/**
 * What stands before `backup`, which says which collections there are and has no documents, and gives it its documents. `spillPath`: with which
 * the names of temporary files begin. Throws RestorePlanError BACKUP where the stream does not reach back, or a document that is wanted has no
 * pre-image.
 */
export async function readPreImages(
  run: Run,
  {
    source,
    backup,
    wanted,
    views,
    spillPath,
  }: Omit<DumpOfPlan, 'oplog'> & {
    readonly source: { readonly location: PreImagesLocation };
    readonly views: ReadonlyMap<string, CollectionViews>;
    readonly spillPath: string;
  },
): Promise<Rolling> {
  const origin = backup.identity.location;
  const log = new RecordLog(`${spillPath}changes`);
  try {
    const collections = await wantedIn({ source, backup, wanted });
    const followed = collections.map(
      ({ collection, metadata }) =>
        new Followed(collection, views.get(collection)?.windows ?? [], {
          log,
          ttl: new TtlIndexes(metadata),
        }),
    );
    const byName = new Map(followed.map((each) => [each.collection, each]));
    const windows = [...views.values()].flatMap((each) => each.windows);
    const range = {
      ...{ database: source.database, collections: [...wanted] },
      from: Math.min(...windows.map(({ from }) => from.epochMs)),
      until: Math.max(...windows.map(({ until }) => until.epochMs)),
    };
    const event = new ChangeEvent();
    for await (const events of changeEvents(run, source.location.uri, range)) {
      run.signal.throwIfAborted();
      following(origin, {}, () => {
        for (const bytes of events) {
          event.read(bytes);
          if (event.isOfWhole) refuseLoss(event, { windows: views, wanted, origin });
          else byName.get(event.collection)?.take(event, origin);
        }
      });
    }
    const replay = {
      touched: followed.map(() => new TouchedDocuments(log)),
      later: followed.map(() => new LaterChanges()),
      windows: followed.map((each) => each.windows),
      close: () => log.close(),
    };
    return new Rolling([{ replay, origin, views }], collections);
  } catch (error) {
    log.close();
    throw error;
  }
}

/** One collection. */
class Followed {
  readonly collection: string;
  readonly windows: CollectionWindows;
  readonly #spans: readonly Window[];
  readonly #operation = new OplogEntry();

  constructor(
    collection: string,
    spans: readonly Window[],
    parts: { readonly log: RecordLog; readonly ttl: TtlIndexes },
  ) {
    this.collection = collection;
    this.#spans = spans;
    this.windows = new CollectionWindows(spans, parts);
  }

  take(event: ChangeEvent, origin: string): void {
    const { op, before } = event;
    if (op === 0) return;
    const operation = this.#operation.read(event.asEntry(), 0);
    if (op !== OP.INSERT) {
      if (before !== undefined)
        this.windows.touched.know(idIn(before.bytes, before.start), before.bytes, before.start);
      else if (this.#isWanted(operation, event.operationType === 'replace'))
        throw this.#missing(event, origin);
    }
    this.windows.take(operation, operation);
  }

  /** A window may give back what this event changed or deleted. */
  #isWanted({ op, wall, bytes, o }: OplogEntry, isWhole: boolean): boolean {
    return this.#spans.some((span) => {
      if (wall < span.from.epochMs || wall >= span.until.epochMs) return false;
      if (span.kind === 'deleted') return op === OP.DELETE;
      if (op !== OP.UPDATE) return false;
      const paths = span.fields.map((path) => path.split('.'));
      return isWhole || paths.length === 0 || touches(bytes, o, paths);
    });
  }

  #missing({ wall, id, operationType }: ChangeEvent, origin: string): RestorePlanError {
    const which = id === undefined ? 'a document' : `the document _id ${showValue(id)}`;
    return new RestorePlanError(
      'BACKUP',
      `${origin}: ${this.collection} has no pre-image of ${which} (${operationType} at ${showIsoDate(wall)}): they were not kept then, or have expired.`,
      { hint: `Nothing was used. ${WITHOUT_PRE_IMAGES}` },
    );
  }
}

/** What takes all documents at once leaves no pre-images of them. */
function refuseLoss(
  event: ChangeEvent,
  {
    windows,
    wanted,
    origin,
  }: {
    readonly windows: ReadonlyMap<string, CollectionViews>;
    readonly wanted: ReadonlySet<string>;
    readonly origin: string;
  },
): void {
  const { operationType, wall } = event;
  const gone = operationType === 'dropDatabase' ? [...wanted] : [event.collection, event.to];
  for (const collection of gone) {
    const isLost = windows
      .get(collection)
      ?.windows.some(
        ({ kind, from, until }) => kind === 'deleted' && wall >= from.epochMs && wall < until.epochMs,
      );
    if (!isLost) continue;
    throw new RestorePlanError(
      'BACKUP',
      `${origin}: ${collection} was lost as a whole (${operationType} at ${showIsoDate(wall)}), which leaves no pre-images.`,
      { hint: `Nothing was used. ${WITHOUT_PRE_IMAGES}` },
    );
  }
}

/** Operations on documents, and what they are in an oplog. */
const OPERATIONS: Readonly<Record<string, number>> = {
  insert: OP.INSERT,
  update: OP.UPDATE,
  replace: OP.UPDATE,
  delete: OP.DELETE,
};
const OF_WHOLE = new Set(['drop', 'rename', 'dropDatabase']);
const LETTERS: Readonly<Record<number, string>> = { [OP.INSERT]: 'i', [OP.UPDATE]: 'u', [OP.DELETE]: 'd' };

/** One event of a change stream; the same object for all of them. */
class ChangeEvent {
  operationType = '';
  /** Of the collection that it is about, and of the one that a rename makes it. */
  collection = '';
  to = '';
  /** UTC milliseconds. */
  wall = 0;
  id: RawValue | undefined;
  /** The document as it was. */
  before: RawValue | undefined;
  #key: RawValue | undefined;
  #full: RawValue | undefined;
  #update: RawValue | undefined;
  #time: RawValue | undefined;

  /** 0 for an event that is about no document. */
  get op(): number {
    return OPERATIONS[this.operationType] ?? 0;
  }

  /** It is about all documents of a collection or database. */
  get isOfWhole(): boolean {
    return OF_WHOLE.has(this.operationType);
  }

  read(bytes: Buffer): void {
    this.operationType = this.collection = this.to = '';
    this.id = this.before = this.#key = this.#full = this.#update = undefined;
    for (const element of elements(bytes)) {
      switch (keyOf(element)) {
        case 'operationType':
          this.operationType = textOf(element);
          break;
        case 'ns':
          this.collection = textIn(element, 'coll');
          break;
        case 'to':
          this.to = textIn(element, 'coll');
          break;
        case 'wallTime':
          if (element.type === BSON.DATE) this.wall = Number(bytes.readBigInt64LE(element.start));
          break;
        case 'clusterTime':
          this.#time = element;
          break;
        case 'documentKey':
          this.#key = element;
          for (const each of elements(bytes, element.start)) if (keyOf(each) === '_id') this.id = each;
          break;
        case 'fullDocument':
          if (element.type === BSON.OBJECT) this.#full = element;
          break;
        case 'updateDescription':
          this.#update = element;
          break;
        case 'fullDocumentBeforeChange':
          if (element.type === BSON.OBJECT) this.before = element;
          break;
      }
    }
  }

  /** As an oplog has it; of an update only which fields it sets and takes out, not where they stand. */
  asEntry(): Buffer {
    return buildDocument((entry) => {
      if (this.#time !== undefined) put(entry, 'ts', this.#time);
      entry.element(BSON.STRING, 'op');
      entry.string(LETTERS[this.op] ?? '');
      entry.element(BSON.DATE, 'wall');
      entry.int64(BigInt(this.wall));
      const { operationType } = this;
      if (operationType === 'update') {
        entry.element(BSON.OBJECT, 'o');
        entry.embed((modifiers) => this.#modifiers(modifiers));
      } else put(entry, 'o', operationType === 'delete' ? this.#key : this.#full);
      if (this.op === OP.UPDATE) put(entry, 'o2', this.#key);
    });
  }

  #modifiers(modifiers: DocumentBuilder): void {
    const removed: string[] = [];
    for (const part of this.#update === undefined ? [] : elements(this.#update.bytes, this.#update.start)) {
      const key = keyOf(part);
      if (key === 'updatedFields') put(modifiers, '$set', part);
      else if (key === 'removedFields')
        for (const name of elements(part.bytes, part.start)) removed.push(textOf(name));
      else if (key === 'truncatedArrays')
        for (const each of elements(part.bytes, part.start)) removed.push(textIn(each, 'field'));
    }
    modifiers.element(BSON.OBJECT, '$unset');
    modifiers.embed((names) => {
      for (const name of removed) {
        names.element(BSON.BOOL, name);
        names.byte(1);
      }
    });
  }
}

function put(builder: DocumentBuilder, key: string, value: RawValue | undefined): void {
  if (value === undefined) return;
  builder.element(value.type, key);
  builder.value(value);
}

function textIn({ bytes, start }: RawValue, key: string): string {
  for (const each of elements(bytes, start)) if (keyOf(each) === key) return textOf(each);
  return '';
}

function textOf({ type, bytes, start, end }: RawValue): string {
  return type === BSON.STRING ? bytes.toString('utf8', start + 4, end - 1) : '';
}
