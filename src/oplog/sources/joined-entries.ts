/**
 * Reads files of entries that go on from each other as one.
 *
 * Where several hold the same stretch, all of them must hold the same entries there; they are then given once. Where one ends before the next
 * begins, entries are missing, unless names say up to where each reaches. Nothing is kept but the batches that are looked at.
 */
import type { WholeDocuments } from '../../backup/backup.ts';
import { DocumentFramer } from '../../backup/readers/member.ts';
import type { RestorePlanError } from '../../errors.ts';
import {
  compareTimestamps,
  type Moment,
  momentOf,
  OP,
  OplogEntry,
  showMoment,
  type Timestamp,
  timeless,
} from '../entry.ts';
import { faultTold, oplogError } from '../faults.ts';
import { isSameScope, type SavedScope, scopeOf } from '../saved-scope.ts';
import { usableUntil, withUsable } from './entry-source.ts';

/** What the name of a file says: it has every entry from `from` to `till`, both inclusive, but for those without content. */
export interface Covered {
  readonly from: Timestamp;
  readonly till: Timestamp;
}

export interface EntryFile {
  /** For messages. */
  readonly location: string;
  readonly covers?: Covered | undefined;
  /** Its bytes, inflated, cut anywhere and lent until the next; readable again and again. */
  chunks(): AsyncIterable<Buffer>;
  /** Whether a part of it that was cut off at the end of an entry would be noticed. */
  readonly tellsItsEnd?: boolean;
}

/** In the order in which they begin. An array of them will do. */
export interface EntryFiles {
  readonly length: number;
  /** Undefined beyond the last. */
  at(index: number): EntryFile | undefined;
}

/** A file that was read to its end. */
interface Ended {
  readonly file: EntryFile;
  /** The last entry that it has, and up to where it has every entry. */
  readonly last: Timestamp;
  readonly till: Timestamp;
}

/** One reading through files that go on from each other. */
export class Joined {
  readonly notes: string[] = [];
  readonly #origin: string;
  readonly #files: EntryFiles;
  /** Place of the first file that is not read yet. */
  #next: number;
  readonly #entry = new OplogEntry();
  #active: EntryCursor[] = [];
  #ended: Ended[] = [];
  /** Where the file begins that is read last so far. */
  #begun: Moment | undefined;
  /** What the first file that was saved for some collections only says of them. */
  #saved: { readonly by: EntryCursor; readonly scope: SavedScope } | undefined;
  /** The last entry given. */
  last: Moment | undefined;

  /** `first`: place of the file to begin with. */
  constructor(origin: string, files: EntryFiles, first = 0) {
    this.#origin = origin;
    this.#files = files;
    this.#next = first;
  }

  /** The first file that is not read yet. */
  get #waiting(): EntryFile | undefined {
    return this.#files.at(this.#next);
  }

  async *entries(): AsyncGenerator<WholeDocuments> {
    try {
      // The first is not looked at before it is read: it may take a whole archive to come to its beginning.
      this.#begin();
      await this.#dropEnded();
      for (const { head, file } of this.#active) this.#begun = timeless(file.covers?.from ?? momentOf(head));
      let next = await this.#nextBeginning();
      for (;;) {
        await this.#dropEnded();
        if (next !== undefined && this.#isTurnOf(next)) {
          this.#refuseGap(next);
          this.#begin();
          next = await this.#nextBeginning();
          continue;
        }
        const [lead] = this.#active;
        if (lead === undefined) return;
        const batch = this.#active.length === 1 ? this.#alone(lead, next) : this.#together(next);
        this.#refuseCutOff(batch, lead);
        this.last = momentOf(this.#entry.read(batch.bytes, batch.starts[batch.count - 1] as number));
        yield batch;
      }
    } finally {
      for (const cursor of this.#active) await cursor.close();
    }
  }

  /** Goes on with the next file beside those that are read. */
  #begin(): void {
    const file = this.#waiting;
    if (file !== undefined) this.#active.push(new EntryCursor(file));
    this.#next++;
  }

  /** Where the next file begins; files without entries and without a name that tells of a stretch are passed over. */
  async #nextBeginning(): Promise<Moment | undefined> {
    for (let file = this.#waiting; file !== undefined; file = this.#waiting) {
      const begins = await beginningOf(file);
      if (begins !== undefined) {
        this.#refuseDisorder(file, begins);
        return begins;
      }
      this.#next++;
    }
    return undefined;
  }

  #refuseDisorder({ location }: EntryFile, begins: Moment): void {
    const begun = this.#begun;
    this.#begun = begins;
    if (begun === undefined || compareTimestamps(begun, begins) <= 0) return;
    throw oplogError(
      this.#origin,
      `${location} begins at ${showMoment(begins)}, earlier than the one before it by its name, which begins at ${showMoment(begun)}`,
      'Name the folder that the files lie in instead of a series: their entries then tell their order.',
    );
  }

  async #dropEnded(): Promise<void> {
    for (const cursor of this.#active) {
      if ((await cursor.there()) && this.#isRepeated(cursor)) cursor.take(1);
      if (await cursor.there()) continue;
      const { file, last = before(file.covers?.from) } = cursor;
      if (last !== undefined) this.#ended.push({ file, last, till: file.covers?.till ?? last });
      this.#noteOpenEnd(cursor);
      await cursor.close();
      this.#active = this.#active.filter((other) => other !== cursor);
    }
  }

  /** Whether a file begins by saying of which collections it is, as one before it did: that is no entry of the oplog, and has no place among them. */
  #isRepeated(cursor: EntryCursor): boolean {
    const scope = cursor.savedScope();
    if (scope === undefined) return false;
    this.#saved ??= { by: cursor, scope };
    return this.#saved.by !== cursor && isSameScope(this.#saved.scope, scope);
  }

  /** Whether the next file must be looked at before another entry is given. */
  #isTurnOf(next: Moment): boolean {
    return this.#active.every((cursor) => compareTimestamps(next, cursor.head) <= 0);
  }

  /** Throws where the next file does not go on from those before. */
  #refuseGap(next: Moment): void {
    if (this.#active.length > 0 || this.#ended.length === 0) return;
    const { file: furthest, till } = this.#ended.reduce(further);
    const file = this.#waiting as EntryFile;
    const isNamed = furthest.covers !== undefined && file.covers !== undefined;
    const reach = isNamed ? { ...till, ordinal: till.ordinal + 1 } : till;
    if (compareTimestamps(next, reach) <= 0) return;
    throw oplogError(
      this.#origin,
      `nothing covers what lies between ${showTime(till)}, where ${furthest.location} ends, and ${showMoment(next)}, where ${file.location} begins`,
      `${usableUntil(this.last)} Else bring the entries between${isNamed ? '' : ': each file has to begin with an entry that the one before it has, too'}.`,
    );
  }

  /** Everything of a single file up to where the next one begins. */
  #alone(cursor: EntryCursor, next: Moment | undefined): WholeDocuments {
    return cursor.take(next === undefined ? cursor.left : cursor.countBefore(next));
  }

  /** A run of entries that all of several files hold. Throws where they do not. */
  #together(next: Moment | undefined): WholeDocuments {
    const lead = this.#active.reduce((a, b) => (compareTimestamps(b.head, a.head) < 0 ? b : a));
    const others = this.#active.filter((cursor) => cursor !== lead);
    const most = next === undefined ? lead.left : Math.max(1, lead.countBefore(next));
    let same = 0;
    while (same < most && others.every((other) => other.left > same && other.isSame(same, lead))) same++;
    if (same > 0) {
      for (const other of others) other.take(same);
      return lead.take(same);
    }
    for (const other of others) {
      if (other.isSame(0, lead)) other.take(1);
      else if (lead.op !== OP.NOOP) throw this.#different(lead, other.file);
    }
    return lead.take(1);
  }

  #different(lead: EntryCursor, { location }: EntryFile): RestorePlanError {
    return oplogError(
      this.#origin,
      `${lead.file.location} has an entry ${showMoment(lead.head)} that ${location}, which covers that moment, has not, or has otherwise`,
      `They are of different oplogs, or not all entries were saved. ${usableUntil(this.last)} Else leave one of them away.`,
    );
  }

  /** Throws where a file that has ended lacks an entry that its name promises. */
  #refuseCutOff({ bytes, starts, count }: WholeDocuments, lead: EntryCursor): void {
    for (const { file, last, till } of this.#ended) {
      for (let i = 0; i < count; i++) {
        const entry = this.#entry.read(bytes, starts[i] as number);
        if (compareTimestamps(entry, till) > 0) break;
        if (entry.op === OP.NOOP || compareTimestamps(entry, last) <= 0) continue;
        throw oplogError(
          this.#origin,
          `${file.location} is cut off: its name says that it reaches to ${showTime(till)}, and the entry ${showMoment(entry)}, which ${lead.file.location} has, is missing`,
          `${usableUntil(this.last)} Else copy the file again.`,
        );
      }
    }
    if (this.#ended.length < 2) return;
    const furthest = this.#ended.reduce(further);
    const first = this.#entry.read(bytes, starts[0] as number);
    this.#ended = this.#ended.filter((one) => one === furthest || compareTimestamps(one.till, first) > 0);
  }

  /** The last file ends without saying so itself. One that `plan oplog save` made ends with the entry that its name says. */
  #noteOpenEnd({ file, last, isSaved }: EntryCursor): void {
    if (file.covers === undefined || file.tellsItsEnd === true || this.#waiting !== undefined) return;
    if (last !== undefined && compareTimestamps(last, file.covers.till) >= 0) return;
    if (isSaved)
      throw oplogError(
        this.#origin,
        `${file.location} is cut off: its name says that it reaches to ${showTime(file.covers.till)}, and that entry is missing`,
        `${usableUntil(last)} Else copy the file again.`,
      );
    const ends = last === undefined ? 'holds no entry' : `ends with ${showMoment(last)}`;
    this.notes.push(
      `${file.location} ${ends}, before the end that its name says; whether a part was cut off cannot be told`,
    );
  }
}

function further(a: Ended, b: Ended): Ended {
  return compareTimestamps(a.till, b.till) < 0 ? b : a;
}

function before(from: Timestamp | undefined): Timestamp | undefined {
  return from && { ...from, ordinal: from.ordinal - 1 };
}

const showTime = (time: Timestamp): string => showMoment(timeless(time));

/** Goes through the entries of one file. */
class EntryCursor {
  readonly file: EntryFile;
  readonly #framer = new DocumentFramer();
  readonly #chunks: AsyncIterator<Buffer>;
  #pieces: Iterator<WholeDocuments> | undefined;
  #batch: WholeDocuments = { bytes: Buffer.alloc(0), starts: new Int32Array(1), count: 0 };
  #next = 0;
  readonly #head = new OplogEntry();
  readonly #other = new OplogEntry();
  /** The last entry that was taken. */
  last: Moment | undefined;
  /** It began by saying for which collections it was saved. */
  isSaved = false;

  constructor(file: EntryFile) {
    this.file = file;
    this.#chunks = file.chunks()[Symbol.asyncIterator]();
  }

  /** Whether there is another entry; it is then the head. */
  async there(): Promise<boolean> {
    while (this.#next === this.#batch.count) {
      if (!(await this.#more())) return false;
      this.#read(0, this.#head);
    }
    return true;
  }

  get head(): Moment {
    return this.#head;
  }

  get op(): number {
    return this.#head.op;
  }

  /** What the head says, where it says for which collections the file was saved. */
  savedScope(): SavedScope | undefined {
    try {
      const scope = scopeOf(this.#head);
      if (scope !== undefined) this.isSaved = true;
      return scope;
    } catch (fault) {
      throw this.#told(fault);
    }
  }

  /** Entries that are there already. */
  get left(): number {
    return this.#batch.count - this.#next;
  }

  /** How many of them come before a moment. */
  countBefore(moment: Timestamp): number {
    if (compareTimestamps(this.#read(this.left - 1, this.#other), moment) < 0) return this.left;
    let count = 0;
    while (compareTimestamps(this.#read(count, this.#other), moment) < 0) count++;
    return count;
  }

  /** Whether the entry `ahead` places behind the head is the one that another file has there. */
  isSame(ahead: number, other: EntryCursor): boolean {
    const { bytes, start, end } = this.#read(ahead, this.#other);
    const { bytes: others, start: first, end: last } = other.#read(ahead, other.#other);
    return bytes.compare(others, first, last, start, end) === 0;
  }

  /** The next entries, at least one and no more than are there. */
  take(count: number): WholeDocuments {
    this.last = momentOf(this.#read(count - 1, this.#other));
    const { bytes, starts } = this.#batch;
    const taken = { bytes, starts: starts.subarray(this.#next, this.#next + count + 1), count };
    this.#next += count;
    if (this.left > 0) this.#read(0, this.#head);
    return taken;
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  #read(ahead: number, entry: OplogEntry): OplogEntry {
    try {
      return entry.read(this.#batch.bytes, this.#batch.starts[this.#next + ahead] as number);
    } catch (fault) {
      throw this.#told(fault);
    }
  }

  async #more(): Promise<boolean> {
    try {
      for (;;) {
        const piece = this.#pieces?.next();
        if (piece !== undefined && !piece.done) {
          this.#batch = piece.value;
          this.#next = 0;
          return true;
        }
        const { done, value } = await this.#chunks.next();
        if (done) {
          this.#framer.end();
          return false;
        }
        this.#pieces = this.#framer.push(value);
      }
    } catch (fault) {
      throw this.#told(fault);
    }
  }

  /** What is wrong with the file, with what can be done with the part before. */
  #told(fault: unknown): unknown {
    const { last } = this;
    const behind = last === undefined ? '' : ` behind the entry ${showMoment(last)}`;
    const told = faultTold(`the oplog in ${this.file.location}${behind}`, fault);
    return withUsable(told, { last, cause: fault });
  }
}

const beginnings = new WeakMap<EntryFile, Promise<Moment | undefined>>();

/** Where a file begins: by its name, else with its first entry; undefined where it has none. */
export function beginningOf(file: EntryFile): Promise<Moment | undefined> {
  let begins = beginnings.get(file);
  if (begins === undefined) {
    begins = file.covers === undefined ? firstOf(file) : Promise.resolve(timeless(file.covers.from));
    beginnings.set(file, begins);
  }
  return begins;
}

async function firstOf(file: EntryFile): Promise<Moment | undefined> {
  const cursor = new EntryCursor(file);
  try {
    return (await cursor.there()) ? momentOf(cursor.head) : undefined;
  } finally {
    await cursor.close();
  }
}
