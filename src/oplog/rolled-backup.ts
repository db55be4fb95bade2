/**
 * A backup whose documents are as an oplog made them: it stands before another and changes what passes.
 *
 * Documents that nothing happened to pass as they are. The others are rolled where they lie; what was deleted drops out, and what the backup
 * did not have yet comes at the end of its collection, in the order in which the oplog first names it.
 */
import { around, type Backup, type BackupPiece, type MemberInfo, type MemberRead } from '../backup/backup.ts';
import { OPLOG_WARNING } from '../backup/readers/refusals.ts';
import { showIsoDate } from '../bson/extended-json-types.ts';
import type { RawValue } from '../bson/types.ts';
import { RestorePlanError } from '../errors.ts';
import type { CollectionViews } from '../plan/windows.ts';
import { showDuration } from '../text/quantities.ts';
import type { Holes } from './alone/holes.ts';
import { ifFollowed } from './faults.ts';
import { PAUSE_MS } from './history-runs.ts';
import { type DocumentPast, type LaterChanges, togetherLater } from './later.ts';
import type { ReplayResult } from './replay.ts';
import { Rolled, type WatchesDeleted } from './rolled-collection.ts';
import type { ShardWrites } from './shards/shard-writes.ts';
import type { TakeDocument, TouchedDocuments } from './touched.ts';
import type { WantedCollection } from './wanted.ts';

/** What an oplog made of the documents of a backup, or of the part of it that is one shard's. */
export interface RollingPart {
  readonly replay: Pick<ReplayResult, 'touched' | 'later' | 'windows' | 'close'>;
  /** The oplog, for messages. */
  readonly origin: string;
  /** The folder of the shard, as the plan names it; undefined: it is no sharded cluster. */
  readonly folder?: string;
  /** Which states of each collection are wanted; undefined: one of each, as of the replay's end. */
  readonly views?: ReadonlyMap<string, CollectionViews> | undefined;
  /** Where no backup stands before it: takes what the oplog does not hold whole. */
  readonly holes?: Holes;
}

/** Of a sharded cluster: what happened to the documents of each collection on any shard. */
export interface AllWrites {
  readonly writes: readonly ShardWrites[];
  close(): void;
}

/** A document as it was handed on. */
export interface GivenDocument {
  readonly id: RawValue;
  /** Its state (`MemberInfo.view`); undefined: as of one moment. */
  readonly view: string | undefined;
  readonly bytes: Buffer;
  readonly start: number;
}

export class Rolling {
  readonly #parts: readonly RollingPart[];
  readonly #all: AllWrites | undefined;
  /** Of each collection, in the order of the parts. */
  readonly #collections: ReadonlyMap<string, RolledCollection>;

  /** `collections` and `writes` in the order of the replays'. */
  constructor(parts: readonly RollingPart[], collections: readonly WantedCollection[], all?: AllWrites) {
    this.#parts = parts;
    this.#all = all;
    this.#collections = new Map(
      collections.map(({ collection }, index) => {
        const common = { collection, writes: all?.writes[index] };
        const rolled = parts.map(
          ({ replay, origin, folder, views, holes }, number) =>
            new Rolled({
              ...common,
              ...{ touched: replay.touched[index] as TouchedDocuments, origin, folder, number },
              ...{ windows: replay.windows[index], isAt: views?.get(collection)?.isAt ?? true },
              holes,
              ownId: -1 - (index * parts.length + number),
            }),
        );
        const later = parts.map(({ replay }) => replay.later[index] as LaterChanges);
        return [collection, { rolled, later, writes: common.writes }];
      }),
    );
  }

  /** `backup` as the oplog made it. */
  of(backup: Backup): Backup {
    return around(backup, {
      read: (wanted, options) => this.#read(wanted, backup.read(wanted, options)),
      close: () => backup.close(),
    });
  }

  /** `watch` is shown what is not there at the cut, as it was just before its last deletion; of shards nothing, where it may have moved. */
  watchDeleted(collection: string, watch: WatchesDeleted): void {
    for (const each of this.#collections.get(collection)?.rolled ?? []) each.watch = watch;
  }

  /** What the windows left out, a sentence each without its end; to be asked when all was read. */
  notes(): string[] {
    return [...this.#collections.values()].flatMap(({ rolled }) =>
      rolled.flatMap((each) => [...each.notes()]),
    );
  }

  /** What was deleted of a collection just beside the span of a view, a clause without its subject each. */
  besides(collection: string, view: string): string[] {
    const found = (this.#collections.get(collection)?.rolled ?? []).flatMap(
      (each) => each.viewOf(view)?.beside ?? [],
    );
    const before = found.reduce((sum, each) => sum + each.before, 0);
    const after = found.reduce((sum, each) => sum + each.after, 0);
    const first = Math.min(...found.map((each) => each.first));
    const last = Math.max(...found.map((each) => each.last));
    const seconds = showDuration(PAUSE_MS);
    return [
      ...(before === 0
        ? []
        : [
            `${were(before)} deleted in the ${seconds} before that, the first at ${showIsoDate(first)}: \`from: ${showIsoDate(first)}\` looks at them, too`,
          ]),
      ...(after === 0
        ? []
        : [
            `${were(after)} deleted in the ${seconds} after that, the last at ${showIsoDate(last)}: \`until: ${showIsoDate(last + 1)}\` looks at them, too`,
          ]),
    ];
  }

  /** Forgets the changes; the backups made by `of` cannot be read any more. */
  close(): void {
    for (const { replay } of this.#parts) replay.close();
    this.#all?.close();
  }

  /** What is known of a document that was handed on, by its `_id`, in that state (`MemberInfo.view`); undefined: nothing happened to it. */
  pastOf(collection: string, id: RawValue, view: string | undefined): DocumentPast | undefined {
    const { rolled = [], later = [], writes } = this.#collections.get(collection) ?? {};
    if (view !== undefined) {
      for (const each of rolled) {
        const seen = each.viewOf(view)?.pastOf(id);
        if (seen !== undefined) return seen;
      }
      return undefined;
    }
    const before = writes === undefined ? rolled[0]?.pastOf(id) : writes.pastOf(id);
    const behind = later.flatMap((each) => each.of(id) ?? []);
    if (before === undefined && behind.length === 0) return undefined;
    return {
      ...(before ?? { changes: 0, isInserted: false }),
      ...(behind.length > 0 && { later: behind.reduce(togetherLater) }),
    };
  }

  /** Whether documents are given as they were before they were changed. */
  knowsAfter(collection: string): boolean {
    const [first] = this.#parts;
    const views = first?.views?.get(collection)?.windows ?? [];
    return first?.folder === undefined && views.some(({ kind }) => kind === 'changed');
  }

  /** Hands on such a document, at `start` of `bytes`, as it was right after the last change that counts; nothing of another one, and where that cannot be rolled. */
  rollOn(collection: string, { id, view, bytes, start }: GivenDocument, take: TakeDocument): void {
    if (view === undefined) return;
    ifFollowed(() =>
      this.#collections.get(collection)?.rolled[0]?.viewOf(view)?.rollOn(id, bytes, start, take),
    );
  }

  async *#read(wanted: ReadonlySet<string>, pieces: AsyncIterable<BackupPiece>): AsyncGenerator<BackupPiece> {
    for (const collection of wanted) {
      const { rolled = [], writes } = this.#collections.get(collection) ?? {};
      writes?.beginReading();
      for (const each of rolled) each.begin();
    }
    for (const { holes } of this.#parts) holes?.beginReading();
    for await (const piece of pieces) {
      if (piece.type === 'documents' || piece.type === 'ended') {
        const rolled = this.#rolledOf(piece.member);
        if (rolled === undefined) yield piece;
        else yield* piece.type === 'documents' ? rolled.documents(piece) : rolled.ended(piece);
      } else if (piece.type === 'finished') {
        yield* this.#finish(wanted, piece);
      } else {
        yield piece;
      }
    }
  }

  /** Undefined where the collection is not of the plan. Throws BACKUP where no oplog is named for the shard. */
  #rolledOf(member: MemberInfo): Rolled | undefined {
    const rolled = this.#collections.get(member.collection)?.rolled;
    const [first] = rolled ?? [];
    if (rolled === undefined || first?.folder === undefined) return first;
    const { part = '' } = member;
    const found = rolled.find(({ folder = '' }) => isOfShard(part, folder));
    if (found === undefined) throw noOplogFor(part);
    return found;
  }

  async *#finish(
    wanted: ReadonlySet<string>,
    piece: BackupPiece & { type: 'finished' },
  ): AsyncGenerator<BackupPiece> {
    for (const { holes } of this.#parts) holes?.refuse();
    const own: MemberRead[] = [];
    let orphans = 0;
    for (const collection of wanted) {
      const { rolled = [], writes } = this.#collections.get(collection) ?? {};
      for (const each of rolled) {
        // Migrations may have brought documents to a shard that had none when it was dumped.
        if (writes !== undefined && !each.isMet) own.push(...(yield* each.withoutMember()));
        orphans += each.orphans;
      }
    }
    const members = piece.summary.members.flatMap((member) => {
      const rolled = this.#collections.get(member.collection)?.rolled ?? [];
      return rolled.find(({ path }) => path === member.path)?.membersOf(member) ?? [member];
    });
    // It is applied, whichever oplog it was.
    const warnings = piece.summary.warnings.filter((warning) => warning !== OPLOG_WARNING);
    if (orphans > 0) warnings.push(orphansLeftOut(orphans));
    yield { ...piece, summary: { ...piece.summary, members: [...members, ...own], warnings } };
  }
}

interface RolledCollection {
  readonly rolled: readonly Rolled[];
  readonly later: readonly LaterChanges[];
  readonly writes: ShardWrites | undefined;
}

function were(documents: number): string {
  return documents === 1 ? '1 document was' : `${documents} documents were`;
}

function orphansLeftOut(count: number): string {
  const what = count === 1 ? '1 copy of a document' : `${count} copies of documents`;
  return `${what} that another shard changed or deleted last, as its owner since a migration: left out (orphans)`;
}

export function noOplogFor(part: string): RestorePlanError {
  const folder = part.slice(part.lastIndexOf('/') + 1);
  return new RestorePlanError('BACKUP', `source.oplog.shards names no oplog for ${part} of the backup.`, {
    hint: `Without the oplog of every shard nobody knows what became of a document: add source.oplog.shards.${folder}.`,
  });
}

/** Whether the folder of a part of a backup is the one that a plan names: the name of one of its folders, or several with `/`, with or without `.tar`. */
export function isOfShard(part: string, folder: string): boolean {
  const plain = part.split('/').map((name) => name.replace(/\.(?:tar|tgz)(?:\.(?:gz|zst))?$/i, ''));
  return [part, plain.join('/')].some((path) => `/${path}/`.includes(`/${folder}/`));
}
