import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { MemberInfo } from '../backup/backup.ts';
import { fileNameOf } from '../backup/layout/collection-names.ts';
import { BsonFault } from '../bson/elements.ts';
import { RestorePlanError } from '../errors.ts';
import { QueryFault } from '../query/query-fault.ts';
import { Chooser } from './chooser.ts';
import { ChosenDocuments } from './chosen-documents.ts';
import { DocumentFramer } from './document-framer.ts';
import type { IdFilter } from './id-filter.ts';
import { fileBatches } from './read-batches.ts';
import type { CollectionRoutes } from './routes.ts';
import { Spool } from './spool.ts';

const BATCH = { maxBytes: 1024 * 1024, maxDocuments: 100_000, held: 1 };

export interface SelectorOptions {
  /** Folder of the selection's `.bson` files. */
  readonly folder: string;
  /** Folder for files that are not part of the selection. */
  readonly spoolFolder: string;
  /** Shared by all collections of a selection. */
  readonly ids: IdFilter;
  readonly signal: AbortSignal;
}

/**
 * Selects the documents of one collection while its members stream by.
 *
 * They are decided about at once when all their parents have been read, else spooled and decided about in `decideSpooled`. A
 * collection of which anything was spooled goes on being spooled: its documents must keep the order of the backup.
 */
export class CollectionSelector {
  readonly routes: CollectionRoutes;
  /** Members read to their end. */
  membersRead = 0;
  readonly chooser: Chooser;
  readonly #options: SelectorOptions;
  #chosen: ChosenDocuments;
  #spool: Spool | undefined;
  readonly #framers = new Map<number, DocumentFramer>();
  #scannedBefore = 0;
  /** Parent keys when the first document was decided about as it came by. */
  #keysAtFirst: number | undefined;
  #parentsCameLater = false;

  private constructor(routes: CollectionRoutes, options: SelectorOptions, begun: Begun) {
    this.routes = routes;
    this.#options = options;
    this.chooser = begun.chooser;
    this.#chosen = begun.chosen;
  }

  static async create(routes: CollectionRoutes, options: SelectorOptions): Promise<CollectionSelector> {
    const chooser = new Chooser(routes);
    return new CollectionSelector(routes, options, {
      chooser,
      chosen: await newFile(routes, options, chooser),
    });
  }

  get chosen(): ChosenDocuments {
    return this.#chosen;
  }

  get spooled(): boolean {
    return this.#spool !== undefined;
  }

  /** Documents seen in the backup. */
  get scanned(): number {
    let scanned = this.#scannedBefore;
    for (const framer of this.#framers.values()) scanned += framer.documents;
    return scanned;
  }

  /** All that was announced of it has been read and decided about. Another member may still follow; see `missedSome`. */
  get settled(): boolean {
    return this.membersRead > 0 && this.#framers.size === 0 && this.#spool === undefined;
  }

  /**
   * Parents turned up after children had been decided about without them (the backup holds several members of a collection, such as
   * shards, one after the other): the collection has to be read again.
   */
  get missedSome(): boolean {
    if (this.#spool !== undefined || this.#keysAtFirst === undefined) return false;
    return this.#parentsCameLater || this.chooser.keysKnown > this.#keysAtFirst;
  }

  /** Takes the next bytes of a member. `parentsRead`: every collection that decides about this one is settled. */
  async chunk(member: MemberInfo, bytes: Buffer, parentsRead: boolean): Promise<void> {
    const framer = this.#framers.get(member.id) ?? (await this.#begin(member, parentsRead));
    const consumer = this.#spool ?? this.#chosen;
    consumer.from(member);
    try {
      framer.push(bytes);
    } catch (error) {
      throw damaged(error, member, framer.documents);
    }
    await consumer.drain();
  }

  async end(member: MemberInfo, parentsRead: boolean): Promise<void> {
    const framer = this.#framers.get(member.id) ?? (await this.#begin(member, parentsRead));
    try {
      framer.end();
    } catch (error) {
      throw damaged(error, member, framer.documents);
    }
    this.#scannedBefore += framer.documents;
    this.#framers.delete(member.id);
    this.membersRead++;
  }

  /** Forgets what was chosen so that the collection can be read again, this time to be spooled. */
  async startAgain(): Promise<void> {
    await this.#chosen.close();
    await rm(this.#chosen.path);
    this.#chosen = await newFile(this.routes, this.#options, this.chooser);
    this.#spool = await this.#newSpool();
    this.#keysAtFirst = undefined;
    this.#scannedBefore = 0;
    this.membersRead = 0;
  }

  /** Goes through what was spooled for more keys. */
  async lookForKeys(): Promise<void> {
    const spool = this.#spool as Spool;
    await spool.flush();
    for await (const { bytes, offsets } of fileBatches(spool.path, spool.bytes, BATCH)) {
      this.#options.signal.throwIfAborted();
      for (const start of offsets) this.chooser.chooses(bytes, start);
    }
  }

  /** Decides about everything spooled, now that all keys are known. */
  async decideSpooled(): Promise<void> {
    const spool = this.#spool as Spool;
    await spool.close();
    const members = [...spool.members];
    for await (const { bytes, offsets, first } of fileBatches(spool.path, spool.bytes, BATCH)) {
      this.#options.signal.throwIfAborted();
      for (const [i, start] of offsets.entries()) {
        while (members[0] !== undefined && members[0].first <= first + i) {
          this.#chosen.from((members.shift() as (typeof members)[number]).member);
        }
        const end = offsets[i + 1] ?? bytes.length;
        if (this.#chosen.wants(bytes, start)) this.#chosen.append(bytes, start, end);
      }
      await this.#chosen.drain();
    }
    this.#spool = undefined;
    await rm(spool.path);
  }

  /** Lets go of its files after a fault; they are to be removed with their folder. */
  async abandon(): Promise<void> {
    await Promise.allSettled([this.#chosen.close(), this.#spool?.close()]);
  }

  async #begin(member: MemberInfo, parentsRead: boolean): Promise<DocumentFramer> {
    if (parentsRead) this.#keysAtFirst ??= this.chooser.keysKnown;
    else if (this.#keysAtFirst === undefined) this.#spool ??= await this.#newSpool();
    else this.#parentsCameLater = true;
    const framer = new DocumentFramer(this.#spool ?? this.#chosen);
    this.#framers.set(member.id, framer);
    return framer;
  }

  #newSpool(): Promise<Spool> {
    const name = `${fileNameOf(this.routes.collection)}.spool`;
    return Spool.create(join(this.#options.spoolFolder, name), this.chooser);
  }
}

interface Begun {
  readonly chooser: Chooser;
  readonly chosen: ChosenDocuments;
}

function newFile(
  { collection }: CollectionRoutes,
  { folder, ids }: SelectorOptions,
  chooser: Chooser,
): Promise<ChosenDocuments> {
  return ChosenDocuments.create(join(folder, `${fileNameOf(collection)}.bson`), { chooser, ids });
}

function damaged(error: unknown, member: MemberInfo, document: number): unknown {
  if (error instanceof QueryFault) return unanswerable(error, member, document);
  if (!(error instanceof BsonFault)) return error;
  return new RestorePlanError(
    'BACKUP',
    `${member.path}: document ${document} is damaged, at byte ${error.offset} of the member: ${error.message}`,
    {
      hint: 'Nothing of this backup was used. Take another backup, for instance the next older one: `plan backups` lists them.',
      cause: error,
      facts: { member: member.path, collection: member.collection, document, offset: error.offset },
    },
  );
}

/** An expression ($expr) that would have ended the query on a server too, rather than leave the document out. */
function unanswerable(fault: QueryFault, member: MemberInfo, document: number): RestorePlanError {
  const where = fault.path === '' ? 'the query' : `the query's ${fault.path}`;
  return new RestorePlanError(
    'PLAN_INVALID',
    `${where} has no answer for document ${document} of ${member.path}: ${fault.message}`,
    {
      hint: 'Have the expression look at such documents first, for instance with $cond and $type. Nothing was selected.',
      cause: fault,
      facts: { member: member.path, collection: member.collection, document },
    },
  );
}
