import { join } from 'node:path';
import type { MemberInfo, WholeDocuments } from '../backup/backup.ts';
import { fileNameOf } from '../backup/layout/dump-paths.ts';
import { IDS_TOGETHER } from '../bson/flat-sets.ts';
import { Chooser, DeletedMatches } from './chooser.ts';
import { ChosenDocuments } from './chosen-documents.ts';
import { DocumentWalk, type TimeLimit } from './document-walk.ts';
import { fileBatches, ONE_AFTER_ANOTHER } from './file-batches.ts';
import type { IdFilter } from './id-filter.ts';
import { KeptDependents, type SpareSpace, Spool } from './put-off.ts';
import type { CollectionRoutes } from './routes.ts';
import { documentsOf, type Part, UnfitPart } from './slices/part.ts';
import type { WaitingReferences } from './waiting-references.ts';

/** Of one selection. */
interface SharedByCollections {
  /** Folder of the selection's `.bson` files. */
  readonly folder: string;
  /** Folder for files that are not part of the selection. */
  readonly spoolFolder: string;
  /** Which `_id`s came before. */
  readonly ids: IdFilter;
  readonly space: SpareSpace;
  /** How long regular expressions may be at work on a megabyte or so. */
  readonly limit: TimeLimit;
  readonly signal: AbortSignal;
}

/** Of the collections that decide about one. So far: all that came by is decided about, and more of them may follow. */
export type ParentsRead = 'all' | 'so far' | 'not yet';

/**
 * Selects the documents of one collection while its members stream by.
 *
 * They are decided about at once when their parents have been read, else spooled and decided about in `decide`. A collection of which
 * anything was spooled goes on being spooled: its documents must keep the order of the backup.
 */
export class CollectionSelector {
  readonly routes: CollectionRoutes;
  /** Members read to their end. */
  membersRead = 0;
  readonly chooser: Chooser;
  /** What an oplog is asked to count beside it; it is shown that by the backup itself. */
  readonly deleted: DeletedMatches | undefined;
  readonly #shared: SharedByCollections;
  #chosen: ChosenDocuments;
  /** All documents, where parents had not been read. */
  #spool: Spool | undefined;
  /** Where parents had been read, and more of them may follow. */
  #candidates: KeptDependents | undefined;
  /** It is read again, and all keys are known. */
  #knowsAllKeys = false;
  /** Where a regular expression could take for ever. */
  readonly #limit: TimeLimit | undefined;
  readonly #walks = new Map<number, DocumentWalk>();
  #scannedBefore = 0;

  private constructor(routes: CollectionRoutes, shared: SharedByCollections, begun: Begun) {
    this.routes = routes;
    this.deleted = DeletedMatches.of(routes);
    this.#shared = shared;
    this.chooser = begun.chooser;
    this.#chosen = begun.chosen;
    if (routes.routes.some(({ mayBacktrack }) => mayBacktrack)) this.#limit = shared.limit;
  }

  static async create(routes: CollectionRoutes, shared: SharedByCollections): Promise<CollectionSelector> {
    const chooser = new Chooser(routes);
    return new CollectionSelector(routes, shared, {
      chooser,
      chosen: await newFile(routes, shared, chooser),
    });
  }

  get chosen(): ChosenDocuments {
    return this.#chosen;
  }

  /** Documents seen in the backup. */
  get scanned(): number {
    let scanned = this.#scannedBefore;
    for (const { documents } of this.#walks.values()) scanned += documents;
    return scanned;
  }

  /** All that came by of it has been decided about. */
  get settled(): boolean {
    return this.membersRead > 0 && this.#walks.size === 0 && this.#spool === undefined;
  }

  /** Takes the next documents of a member. */
  async take(member: MemberInfo, documents: WholeDocuments, parents: ParentsRead): Promise<void> {
    const walk = this.#walks.get(member.id) ?? (await this.#begin(member, parents));
    const consumer = this.#consumer;
    consumer.from(member);
    walk.take(documents);
    await consumer.drain();
  }

  /**
   * Takes the next documents of a member as somebody else has scanned them: those that are kept, and the number of all. Throws what is wrong
   * with one of them without its place, and UnfitPart.
   */
  async takePart(member: MemberInfo, part: Part, parents: ParentsRead): Promise<void> {
    const walk = this.#walks.get(member.id) ?? (await this.#begin(member, parents));
    const consumer = this.#consumer;
    consumer.from(member);
    walk.end();
    for (const documents of documentsOf(part)) {
      this.#match(() => takeSome(consumer, part, documents));
      await consumer.drain();
    }
    const { routes } = this.routes;
    for (const { route: number, ...leftOut } of part.leftOut) {
      const route = routes[number];
      if (route === undefined) throw new UnfitPart(part, 'tells of more entries than the plan has');
      this.#chosen.otherTypes.add({ ...leftOut, route });
    }
    for (const [i, keys] of part.foundIds.entries())
      for (const key of keys) routes[i]?.ids?.found.addCanonical(Buffer.from(key));
    walk.pass(part.documents, (part.end ?? 0) - (part.begin ?? 0));
  }

  async end(member: MemberInfo, parents: ParentsRead): Promise<void> {
    const walk = this.#walks.get(member.id) ?? (await this.#begin(member, parents));
    const consumer = this.#consumer;
    consumer.from(member);
    walk.end();
    await consumer.drain();
    // What is not written yet would be held until the end of the selection, for each of thousands of collections.
    await this.#chosen.flush();
    await this.#spool?.flush();
    this.#rest();
    this.#scannedBefore += walk.documents;
    this.#walks.delete(member.id);
    this.membersRead++;
  }

  /** Looks for keys, of more of its own documents, among what was spooled. */
  async lookForKeys(waiting: WaitingReferences): Promise<void> {
    const spool = this.#spool;
    if (spool === undefined) return;
    await spool.flush();
    const members = [...spool.members];
    for await (const { bytes, offsets, first } of fileBatches(spool.path, spool.bytes, ONE_AFTER_ANOTHER)) {
      this.#shared.signal.throwIfAborted();
      this.#match(() => {
        for (const [i, start] of offsets.entries()) {
          while (members[0] !== undefined && members[0].first <= first + i)
            this.chooser.turnTo((members.shift() as (typeof members)[number]).member);
          this.chooser.choosesOrWaits(bytes, start, waiting);
        }
      });
    }
  }

  /**
   * Decides about everything that was put off, now that all keys are known. False where documents are needed that were too many to be
   * kept: the collection has to be read again.
   */
  async decide(): Promise<boolean> {
    if (this.#spool !== undefined) {
      await this.#decideAbout(this.#spool);
      await this.#spool.discard();
      this.#spool = undefined;
    } else if (this.#candidates?.missedParents) {
      const kept = await this.#candidates.kept();
      if (kept === undefined) return false;
      await this.#forgetChosen();
      await this.#decideAbout(kept);
    }
    await this.#candidates?.discard();
    this.#rest();
    return true;
  }

  #rest(): void {
    this.chooser.rest();
    this.deleted?.rest();
    this.#chosen.rest();
  }

  /** Forgets what was chosen and kept, so that the collection can be read again, this time with all keys known. */
  async startAgain(): Promise<void> {
    await this.#forgetChosen();
    await this.#spool?.discard();
    this.#spool = undefined;
    await this.#candidates?.discard();
    this.#candidates = undefined;
    this.#knowsAllKeys = true;
    this.#scannedBefore = 0;
    this.membersRead = 0;
  }

  /** Lets go of its files after a fault; they are to be removed with their folder. */
  async abandon(): Promise<void> {
    await Promise.allSettled([this.#chosen.close(), this.#spool?.close(), this.#candidates?.discard()]);
  }

  /** Matches documents that were put off. */
  #match(work: () => void): void {
    if (this.#limit === undefined) work();
    else this.#limit.run(work);
  }

  get #consumer(): ChosenDocuments | Spool | KeptDependents {
    return this.#spool ?? this.#candidates ?? this.#chosen;
  }

  async #begin(member: MemberInfo, parents: ParentsRead): Promise<DocumentWalk> {
    const isFirst = this.#spool === undefined && this.#candidates === undefined;
    if (isFirst && !this.#knowsAllKeys && parents !== 'all') {
      const spool = await this.#newSpool();
      if (parents === 'not yet') this.#spool = spool;
      else this.#candidates = new KeptDependents(this.#chosen, spool, this.#shared.space);
    }
    const walk = new DocumentWalk(member, this.#consumer, this.#limit);
    this.#walks.set(member.id, walk);
    return walk;
  }

  async #forgetChosen(): Promise<void> {
    await this.#chosen.discard();
    this.#chosen = await newFile(this.routes, this.#shared, this.chooser);
  }

  async #decideAbout(spool: Spool): Promise<void> {
    await spool.flush();
    const members = [...spool.members];
    for await (const { bytes, offsets, first } of fileBatches(spool.path, spool.bytes, ONE_AFTER_ANOTHER)) {
      this.#shared.signal.throwIfAborted();
      this.#match(() => {
        for (const [i, start] of offsets.entries()) {
          while (members[0] !== undefined && members[0].first <= first + i) {
            this.#chosen.from((members.shift() as (typeof members)[number]).member);
          }
          const end = offsets[i + 1] ?? bytes.length;
          if (this.#chosen.wants(bytes, start)) this.#chosen.append(bytes, start, end);
        }
      });
      await this.#chosen.drain();
    }
  }

  #newSpool(): Promise<Spool> {
    const name = `${fileNameOf(this.routes.collection)}.spool`;
    return Spool.create(join(this.#shared.spoolFolder, name), this.chooser);
  }
}

interface Begun {
  readonly chooser: Chooser;
  readonly chosen: ChosenDocuments;
}

function newFile(
  { collection }: CollectionRoutes,
  { folder, ids }: SharedByCollections,
  chooser: Chooser,
): Promise<ChosenDocuments> {
  return ChosenDocuments.create(join(folder, `${fileNameOf(collection)}.bson`), chooser, ids);
}

/** Has documents of a part decided about once more, which feeds dependents. */
function takeSome(
  consumer: ChosenDocuments | Spool | KeptDependents,
  part: Part,
  { bytes, starts, count }: WholeDocuments,
): void {
  for (let i = 0; i < count; ) {
    const until = Math.min(i + IDS_TOGETHER, count);
    consumer.lookAhead(bytes, starts.subarray(i, until), until - i);
    for (; i < until; i++) {
      const start = starts[i] as number;
      const isTaken =
        consumer instanceof ChosenDocuments
          ? consumer.takes(bytes, start)
          : consumer.wants(bytes, start, starts[i + 1] as number);
      if (!isTaken) throw new UnfitPart(part, 'holds a document that the plan does not choose');
    }
  }
  consumer.append(bytes, starts[0] as number, starts[count] as number);
}
