/**
 * Reads a backup for a selection: in which order the collections of a plan are read and decided about, and who gets what comes out.
 */
import type {
  Backup,
  BackupPiece,
  CollectionMetadata,
  MemberInfo,
  MemberRead,
  ScanSummary,
  SeparatePiece,
  WholeDocuments,
} from '../backup/backup.ts';
import { notDocuments } from '../backup/readers/refusals.ts';
import { BsonFault } from '../bson/elements.ts';
import type { KeySet } from '../bson/key-set.ts';
import type { Plan } from '../plan/plan.ts';
import { QueryFault } from '../query/query-fault.ts';
import type { Run } from '../run.ts';
import type { CollectionSelector, ParentsRead } from './collection-selector.ts';
import { UnfitId } from './document-walk.ts';
import { filterOf } from './pushdown.ts';
import { refuseCollation, refuseMissing, refuseUnmatched } from './refusals.ts';
import { readSlices } from './slices/read-slices.ts';
import type { SliceRunner } from './slices/slice-runner.ts';
import { WaitingReferences } from './waiting-references.ts';

/** Reads what the plan needs and decides about every document of it. */
export async function readBackup(scan: BackupScan, selectors: readonly CollectionSelector[]): Promise<void> {
  const { backup } = scan;
  if (backup.access !== 'random') await scan.read(selectors);
  for (const level of byLevel(selectors)) {
    if (backup.access === 'random') await scan.read(level);
    const undecided = await decide(level, scan);
    if (undecided.length > 0) {
      scan.warn(readAgainBecause(undecided, backup.identity.location));
      await scan.readAgain(undecided);
    }
    // After each level: what a query at the top did not find, no dependent needs to be read for.
    refuseUnmatched(
      level.flatMap(({ chooser, scanned, deleted }) =>
        chooser
          .unused()
          .filter(({ parent }) => parent === undefined)
          .map((route) => ({ route, scanned, deleted: deleted?.foundBy(route) })),
      ),
    );
  }
}

/** Collections grouped so that each group's parents are in the groups before it, or (a tree, a loop) in the group itself. */
function byLevel(selectors: readonly CollectionSelector[]): CollectionSelector[][] {
  const levels = new Map<number, CollectionSelector[]>();
  for (const selector of selectors) {
    const { level } = selector.routes;
    const same = levels.get(level);
    if (same === undefined) levels.set(level, [selector]);
    else same.push(selector);
  }
  return [...levels.entries()].sort(([a], [b]) => a - b).map(([, level]) => level);
}

/** Decides about what a group has put off. Returns those that need documents that were not kept. */
async function decide(
  level: readonly CollectionSelector[],
  scan: BackupScan,
): Promise<readonly CollectionSelector[]> {
  const cyclic = level.filter(({ routes }) => routes.cyclic);
  if (cyclic.length > 0) await closeOver(cyclic, scan);
  const undecided: CollectionSelector[] = [];
  for (const each of level) if (!(await locateFaults(each, scan, () => each.decide()))) undecided.push(each);
  return undecided;
}

/**
 * Finds all keys of documents that decide about each other. One reading of them is enough where the documents that wait for parents find
 * room; else they are read until no key is new.
 */
async function closeOver(cyclic: readonly CollectionSelector[], scan: BackupScan): Promise<void> {
  const keysKnown = (): number => cyclic.reduce((sum, { chooser }) => sum + chooser.keysKnown, 0);
  const waiting = new WaitingReferences(cyclic.flatMap(({ routes }) => routes.routes));
  for (let before = -1; before < keysKnown() && !(before >= 0 && waiting.isComplete); ) {
    before = keysKnown();
    waiting.begin();
    for (const each of cyclic) await locateFaults(each, scan, () => each.lookForKeys(waiting));
  }
}

/** Where a document was put off and is now found damaged, the collection is read again to say where the document lies. */
async function locateFaults<T>(
  selector: CollectionSelector,
  scan: BackupScan,
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (fault) {
    if (![BsonFault, QueryFault, UnfitId].some((each) => fault instanceof each)) throw fault;
    await scan.readAgain([selector]);
    throw fault;
  }
}

function readAgainBecause(undecided: readonly CollectionSelector[], location: string): string {
  const names = undecided.map(({ routes }) => routes.collection).join(', ');
  return (
    `${location} holds more parents of ${names} after them, and they were too many to be kept on disk until then: ` +
    'it is read once more. More free space for --work-dir may avoid that.'
  );
}

/** Bytes between two progress events. */
const PROGRESS_BYTES = 4 * 1024 * 1024;

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

interface ScannedBackup {
  readonly backup: Backup;
  readonly plan: Plan;
  readonly onlooker?: Onlooker;
  /** Scans slices; undefined: all is read in its order. */
  readonly runner?: SliceRunner | undefined;
}

/** Reads a backup, once or several times, and hands each collection's documents to its selector. */
export class BackupScan {
  /** Bytes read from storage by the scans that have ended. */
  bytesRead = 0;
  /** What the backup says of each collection of the plan. */
  readonly collections = new Map<string, CollectionMetadata>();
  readonly backup: Backup;
  readonly #selectors: ReadonlyMap<string, CollectionSelector>;
  readonly #run: Pick<Run, 'emit' | 'signal'>;
  readonly #onlooker: Onlooker | undefined;
  readonly #runner: SliceRunner | undefined;
  /** Of the plan, inside the backup. */
  readonly #database: string;
  readonly #members = new Map<string, MemberRead>();
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

  constructor(
    run: Pick<Run, 'emit' | 'signal'>,
    { backup, plan, onlooker, runner }: ScannedBackup,
    selectors: readonly CollectionSelector[],
  ) {
    this.#run = run;
    this.#runner = runner;
    this.#database = plan.source.database;
    this.backup = backup;
    this.#onlooker = onlooker;
    this.#selectors = new Map(selectors.map((selector) => [selector.routes.collection, selector]));
  }

  /** What was read, in the order of the first reading. */
  get members(): readonly MemberRead[] {
    return [...this.#members.values()];
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
    const held = await this.backup.collections();
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
    this.#run.signal.throwIfAborted();
    for (const selector of this.#selectors.values()) this.#changed.add(selector);
    const names = new Set(selectors.map(({ routes }) => routes.collection));
    if (
      !this.#isAgain &&
      this.#runner?.suits(this.backup.storedBytes(names) ?? 0) &&
      this.backup.apart !== undefined
    )
      await this.#readSlices(this.backup.apart(names), selectors, this.#runner);
    else await this.#readPieces(names);
    refuseMissing(
      selectors.filter(({ membersRead }) => membersRead === 0).map(({ routes }) => routes),
      this.#held,
    );
  }

  async #readPieces(names: ReadonlySet<string>): Promise<void> {
    const pieces = this.backup.read(names, {
      filterOf: (collection) => this.#filterOf(collection),
      stored: (bytes) => this.#stored(bytes),
    });
    for await (const piece of pieces) {
      this.#run.signal.throwIfAborted();
      await this.#take(piece);
    }
  }

  /** The same by slices of the members. */
  async #readSlices(
    pieces: AsyncIterable<SeparatePiece>,
    selectors: readonly CollectionSelector[],
    runner: SliceRunner,
  ): Promise<void> {
    const { signal } = this.#run;
    const summary = await readSlices(pieces, runner, {
      routes: selectors.map(({ routes }) => routes),
      database: this.#database,
      signal,
      stored: (bytes) => this.#stored(bytes),
      note: (metadata) => this.#note(metadata),
      take: async (member, documents) => {
        signal.throwIfAborted();
        await this.#take({ ...documents, type: 'documents', member });
      },
      takePart: async (member, part) => {
        signal.throwIfAborted();
        const selector = this.#selectors.get(member.collection) as CollectionSelector;
        this.#changed.add(selector);
        await selector.takePart(member, part, this.#parentsRead(selector));
      },
      end: (member) => this.#end(member),
    });
    this.#finish(summary);
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

  warn(message: string): void {
    this.#run.emit({ type: 'warning', message });
  }

  #note(metadata: CollectionMetadata): void {
    const selector = this.#selectors.get(metadata.collection);
    if (selector === undefined) return;
    const { collection, type } = metadata;
    if (type !== 'collection') throw notDocuments(collection, type, this.backup.identity.location);
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
    const passing = await this.#onlooker?.meets(member.collection, parents);
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
    return parents.size > 0 && this.backup.access === 'sequential' ? 'so far' : 'all';
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
    this.#run.emit({
      type: 'selection-progress',
      bytesRead: this.#bytesStored,
      scanned: this.#scanned,
      selected: this.#selected,
    });
  }
}
