import type {
  Backup,
  BackupPiece,
  CollectionMetadata,
  MemberInfo,
  ScanSummary,
  WholeDocuments,
} from '../backup/backup.ts';
import { notDocuments } from '../backup/readers/refusals.ts';
import type { KeySet } from '../bson/key-set.ts';
import type { Emit } from '../events.ts';
import type { CollectionSelector, ParentsRead } from './collection-selector.ts';
import { filterOf } from './pushdown.ts';
import { refuseCollation, refuseMissing } from './refusals.ts';

/** Bytes between two progress events. */
const PROGRESS_BYTES = 4 * 1024 * 1024;

interface ScanOptions {
  readonly emit: Emit;
  readonly signal: AbortSignal;
  readonly onlooker?: Onlooker | undefined;
}

/** What of the plan's selection is known while a stream is read. */
export interface KnownParent {
  readonly collection: string;
  /** All of it that came by is decided about; more of it may follow. */
  readonly isSettled: boolean;
  /** Documents chosen so far. */
  readonly count: number;
  /** Their `_id`s. */
  ids(): Promise<KeySet>;
}

/** Is shown collections that a stream holds beside those of the plan. It must not throw for what they hold. */
export interface Onlooker {
  /** The documents are handed to what is returned. */
  meets(collection: string, parents: readonly KnownParent[]): Promise<PassingDocuments | undefined>;
}

/** Takes the documents of a collection that was not asked for, lent as those of a `BackupPiece`. */
export interface PassingDocuments {
  take(documents: WholeDocuments): void;
  /** All of them came, and were sound. */
  end(): void;
}

/** Reads a backup, once or several times, and hands each collection's documents to its selector. */
export class BackupScan {
  /** Bytes read from storage by the scans that have ended. */
  bytesRead = 0;
  /** What the backup says of each collection of the plan. */
  readonly collections = new Map<string, CollectionMetadata>();
  readonly #backup: Backup;
  readonly #selectors: ReadonlyMap<string, CollectionSelector>;
  readonly #options: ScanOptions;
  readonly #members = new Map<string, ScanSummary['members'][number]>();
  /** The same; there may be thousands of collections. */
  #byCollection: Map<string, ScanSummary['members'][number][]> | undefined;
  readonly #warnings = new Set<string>();
  #readToEnd = true;
  #isAgain = false;
  /** Members that were not asked for and are looked at, by number. */
  readonly #passing = new Map<number, PassingDocuments>();
  /** Numbers that were read did not say their types. */
  relaxed = false;
  /** Names the backup holds, where it could say so before it was read. */
  #held: readonly string[] | undefined;
  /** Bytes that have come from storage so far. */
  #bytesStored = 0;
  #bytesReported = 0;
  #scanned = 0;
  #selected = 0;
  /** What of it was added for each, and who may have changed since: there may be thousands of them, and of reports. */
  readonly #counted = new Map<CollectionSelector, { readonly scanned: number; readonly selected: number }>();
  readonly #changed = new Set<CollectionSelector>();

  constructor(backup: Backup, selectors: readonly CollectionSelector[], options: ScanOptions) {
    this.#backup = backup;
    this.#selectors = new Map(selectors.map((selector) => [selector.routes.collection, selector]));
    this.#options = options;
  }

  /** What was read, in the order of the first reading. */
  get members(): ScanSummary['members'] {
    return [...this.#members.values()];
  }

  /** What of it was read of one collection. */
  membersOf(collection: string): ScanSummary['members'] {
    this.#byCollection ??= groupByCollection(this.#members.values());
    return this.#byCollection.get(collection) ?? [];
  }

  /** What the readers of the backup found odd. */
  get warnings(): readonly string[] {
    return [...this.#warnings];
  }

  /** Whether every scan proved the backup whole. */
  get readToEnd(): boolean {
    return this.#readToEnd;
  }

  /** Refuses what the backup's directory shows to be missing or unsuited, before anything is read. */
  async refuseKnownFaults(): Promise<void> {
    const held = await this.#backup.collections();
    if (held === undefined) return;
    this.#held = held.map(({ collection }) => collection).sort();
    for (const metadata of held) this.#note(metadata);
    const names = new Set(this.#held);
    const wanted = [...this.#selectors.values()].map(({ routes }) => routes);
    refuseMissing(
      wanted.filter(({ collection }) => !names.has(collection)),
      this.#held,
    );
  }

  /** Reads the members of these collections once more, which can be decided about by now. */
  async readAgain(selectors: readonly CollectionSelector[]): Promise<void> {
    this.#isAgain = true;
    for (const each of selectors) await each.startAgain();
    await this.read(selectors);
  }

  /** Reads the members of these collections. Throws when one of them has none. */
  async read(selectors: readonly CollectionSelector[]): Promise<void> {
    this.#options.signal.throwIfAborted();
    for (const selector of this.#selectors.values()) this.#changed.add(selector);
    const names = new Set(selectors.map(({ routes }) => routes.collection));
    const pieces = this.#backup.read(names, {
      filterOf: (collection) => this.#filterOf(collection),
      stored: (bytes) => this.#stored(bytes),
    });
    for await (const piece of pieces) {
      this.#options.signal.throwIfAborted();
      await this.#take(piece);
    }
    refuseMissing(
      selectors.filter(({ membersRead }) => membersRead === 0).map(({ routes }) => routes),
      this.#held,
    );
  }

  async #take(piece: BackupPiece): Promise<void> {
    switch (piece.type) {
      case 'metadata':
        return this.#note(piece.metadata);
      case 'documents': {
        const { member } = piece;
        const selector = this.#selectors.get(member.collection);
        if (selector === undefined) return this.#passing.get(member.id)?.take(piece);
        this.#changed.add(selector);
        return selector.take(member, piece, this.#parentsRead(selector));
      }
      case 'ended':
        return this.#end(piece.member);
      case 'passing':
        return this.#meet(piece);
      case 'finished':
        return this.#finish(piece.summary);
    }
  }

  #note(metadata: CollectionMetadata): void {
    const selector = this.#selectors.get(metadata.collection);
    if (selector === undefined) return;
    const { collection, type } = metadata;
    if (type !== 'collection') throw notDocuments(collection, type, this.#backup.identity.location);
    refuseCollation(metadata, selector.routes);
    // Shards and hosts each have their copy; the first with a text will do for all.
    if (this.collections.get(metadata.collection)?.text === undefined)
      this.collections.set(metadata.collection, metadata);
  }

  async #end(member: MemberInfo): Promise<void> {
    const selector = this.#selectors.get(member.collection);
    if (selector === undefined) {
      this.#passing.get(member.id)?.end();
      this.#passing.delete(member.id);
      return;
    }
    this.#changed.add(selector);
    await selector.end(member, this.#parentsRead(selector));
    this.#report();
  }

  /** Only the first reading shows other collections: a second one is of the same. */
  async #meet({ member, take }: Extract<BackupPiece, { type: 'passing' }>): Promise<void> {
    if (this.#isAgain) return;
    const parents = [...this.#selectors.values()].map(
      (selector): KnownParent => ({
        collection: selector.routes.collection,
        isSettled: selector.settled,
        count: selector.chosen.count,
        ids: () => selector.chosen.ids(),
      }),
    );
    const passing = await this.#options.onlooker?.meets(member.collection, parents);
    if (passing === undefined) return;
    this.#passing.set(member.id, passing);
    take();
  }

  #finish({ bytesRead, readToEnd, members, warnings, relaxed = false }: ScanSummary): void {
    this.bytesRead += bytesRead;
    this.#readToEnd &&= readToEnd;
    this.relaxed ||= relaxed;
    for (const warning of warnings) this.#warnings.add(warning);
    for (const member of members) this.#members.set(member.path, member);
    this.#byCollection = undefined;
    this.#passing.clear();
  }

  #stored(bytes: number): void {
    this.#bytesStored += bytes;
    if (this.#bytesStored - this.#bytesReported >= PROGRESS_BYTES) this.#report();
  }

  #filterOf(collection: string): Buffer | undefined {
    const selector = this.#selectors.get(collection);
    return selector && filterOf(selector.routes);
  }

  #parentsRead({ routes: { parents } }: CollectionSelector): ParentsRead {
    for (const parent of parents) if (!this.#selectors.get(parent)?.settled) return 'not yet';
    return parents.size > 0 && this.#backup.access === 'sequential' ? 'so far' : 'all';
  }

  #report(): void {
    this.#bytesReported = this.#bytesStored;
    for (const selector of this.#changed) {
      const before = this.#counted.get(selector);
      const { scanned, chosen } = selector;
      this.#scanned += scanned - (before?.scanned ?? 0);
      this.#selected += chosen.count - (before?.selected ?? 0);
      this.#counted.set(selector, { scanned, selected: chosen.count });
    }
    this.#changed.clear();
    this.#options.emit({
      type: 'selection-progress',
      bytesRead: this.#bytesStored,
      scanned: this.#scanned,
      selected: this.#selected,
    });
  }
}

function groupByCollection<Member extends { readonly collection: string }>(
  members: Iterable<Member>,
): Map<string, Member[]> {
  const groups = new Map<string, Member[]>();
  for (const member of members) {
    const group = groups.get(member.collection);
    if (group === undefined) groups.set(member.collection, [member]);
    else group.push(member);
  }
  return groups;
}
