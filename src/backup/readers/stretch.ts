/**
 * Reads the documents that begin in a stretch of a member. Where the first of them begins need not be known: it is looked for.
 *
 * What is found is a guess, however good: a document may hold others as binary data. Whoever puts stretches together compares where each
 * ends with where the next begins, and only what follows from the member's first byte is believed.
 */
import { crc32 } from 'node:zlib';
import { BsonFault } from '../../bson/elements.ts';
import { BSON, MAX_DOCUMENT_BYTES, MIN_DOCUMENT_BYTES } from '../../bson/types.ts';
import type { SeparateMember, WholeDocuments } from '../backup.ts';
import { Crc64, nvmeTables } from '../containers/crc.ts';
import { compressionOf } from '../containers/sniff.ts';
import type { ByteSource } from '../storage/byte-source.ts';
import { DocumentFramer, documentBytes } from './member.ts';

/** Bytes `[from, to)` of a member that holds documents as they are. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
  /** Where the first document that begins at `from` or after it does, if that is known. */
  readonly start?: number;
  /** CRC-64/NVME is wanted, too. */
  readonly withCrc64?: boolean;
}

/** What is read behind a stretch at first, to end its last document. */
const BEHIND_BYTES = 64 * 1024;
/** And then, four times as much each time. */
const MOST_BEHIND_BYTES = 4 * 1024 * 1024;

export interface StretchReading {
  /** So many bytes more have come from storage. */
  readonly stored?: ((bytes: number) => void) | undefined;
  readonly framer?: DocumentFramer | undefined;
}

export class StretchReader {
  /** Where the first document begins, and where the last one ends; undefined where none begins in the stretch. */
  begin: number | undefined;
  end: number | undefined;
  /** Documents that were given; at a fault, with the damaged one. */
  documents = 0;
  /** Of the bytes `[from, to)`, once all documents came. */
  crc32 = 0;
  readonly #crc64: Crc64 | undefined;
  readonly #at: Pick<ByteSource, 'size' | 'read' | 'stream'>;
  readonly #stretch: Stretch;
  readonly #stored: ((bytes: number) => void) | undefined;
  readonly #framer: DocumentFramer;
  /** Where the next document begins; undefined until the first is found. */
  #next: number | undefined;
  /** Where the bytes that come next lie. */
  #position: number;

  /** `framer`: in use nowhere else meanwhile. */
  constructor(
    at: Pick<ByteSource, 'size' | 'read' | 'stream'>,
    stretch: Stretch,
    { stored, framer = new DocumentFramer() }: StretchReading = {},
  ) {
    this.#at = at;
    this.#stretch = stretch;
    this.#stored = stored;
    this.#framer = framer;
    framer.reset();
    this.#position = stretch.from;
    this.#next = stretch.from === 0 ? 0 : stretch.start;
    if (stretch.withCrc64) this.#crc64 = new Crc64(nvmeTables());
  }

  /** Of the stretch, as far as they came. */
  get bytes(): number {
    return Math.min(this.#position, this.#stretch.to) - this.#stretch.from;
  }

  /** Unsigned; undefined where it was not asked for. */
  get crc64(): bigint | undefined {
    return this.#crc64 && BigInt.asUintN(64, this.#crc64.digest());
  }

  /** Throws BsonFault at a bad frame, its offset counted from the start of the member, and what the source throws. */
  async *read(): AsyncGenerator<WholeDocuments> {
    const { from, to } = this.#stretch;
    const { size } = this.#at;
    const search = this.#next === undefined ? new StartSearch() : undefined;
    const streamed = Math.min(size, to + BEHIND_BYTES);
    for await (const chunk of this.#at.stream(from, streamed)) {
      this.#count(chunk);
      if (this.#next !== undefined) yield* this.#cut(chunk);
      else if (search !== undefined) {
        const isLast = this.#position === streamed;
        const place = search.add(chunk, { within: to - from, isLast, isEnd: this.#position === size });
        if (place !== undefined) {
          this.#next = from + place;
          yield* this.#frame(search.bytes);
        }
      }
      if (this.#isDone) break;
    }
    if (this.#next === undefined) return;
    for (let length = BEHIND_BYTES; !this.#isDone && this.#position < size; ) {
      length = Math.min(4 * length, MOST_BEHIND_BYTES, size - this.#position);
      const chunk = await this.#at.read(this.#position, length);
      if (chunk.length === 0) break; // of a member whose size shows at its end
      this.#count(chunk);
      yield* this.#cut(chunk);
    }
    if (!this.#isDone) this.#placed(() => this.#framer.end());
  }

  get #isDone(): boolean {
    return this.#next !== undefined && this.#next >= this.#stretch.to && this.#position >= this.#stretch.to;
  }

  #count(chunk: Buffer): void {
    const own = chunk.subarray(0, Math.max(0, this.#stretch.to - this.#position));
    if (own.length > 0) {
      this.crc32 = crc32(own, this.crc32);
      this.#crc64?.update(own);
      this.#stored?.(own.length);
    }
    this.#position += chunk.length;
  }

  /** The chunk lies before `#position`; what precedes the first document is passed over. */
  *#cut(chunk: Buffer): Generator<WholeDocuments> {
    const before = this.begin === undefined ? (this.#next as number) - (this.#position - chunk.length) : 0;
    if (before < chunk.length) yield* this.#frame(before > 0 ? chunk.subarray(before) : chunk);
  }

  *#frame(bytes: Buffer): Generator<WholeDocuments> {
    // Nothing of it begins here, but the next one's first bytes must not be taken for the rest of this.
    if ((this.#next as number) >= this.#stretch.to) return;
    this.begin ??= this.#next;
    const pieces = this.#framer.push(bytes);
    for (;;) {
      const piece = this.#placed(() => pieces.next());
      if (piece.done) return;
      const { starts } = piece.value;
      const first = starts[0] as number;
      const room = this.#stretch.to - (this.#next as number) + first;
      let { count } = piece.value;
      while (count > 0 && (starts[count - 1] as number) >= room) count--;
      this.#next = (this.#next as number) + (starts[count] as number) - first;
      this.documents += count;
      if (count > 0) yield { ...piece.value, count };
      this.end = this.#next;
      if (this.#next >= this.#stretch.to) return;
    }
  }

  #placed<T>(act: () => T): T {
    try {
      return act();
    } catch (error) {
      if (!(error instanceof BsonFault)) throw error;
      this.documents++;
      throw new BsonFault(error.message, (this.begin ?? 0) + error.offset);
    }
  }
}

/** A member that is read whole, compressed or not, as a stretch of what it inflates to. */
export function wholeStretch(member: SeparateMember, reading: StretchReading = {}): StretchReader {
  const at = {
    size: Number.POSITIVE_INFINITY,
    stream: () => documentBytes(member, reading.stored),
    read: async () => Buffer.alloc(0),
  };
  return new StretchReader(at, { from: 0, to: Number.POSITIVE_INFINITY }, { framer: reading.framer });
}

const SNIFFED_BYTES = 16;

/** Whether documents lie in it as they are, so that it can be read from any byte on. */
export async function canBeCut({ at, crc }: SeparateMember): Promise<boolean> {
  return crc === undefined && compressionOf(await at.read(0, Math.min(at.size, SNIFFED_BYTES))) === undefined;
}

// Where documents begin, by the bytes alone.

/** At first; as long as no place is certain, twice as much, up to the most. There the first place that may be one is taken. */
const WINDOW_BYTES = 256 * 1024;
const MOST_WINDOW_BYTES = 1024 * 1024;
/** So many documents behind each other are no accident. */
const CHAIN = 8;
const ID_KEY = Buffer.from('_id\0');
/** Of a document: its length and the type of its first element lie before that element's key. */
const KEY_AT = 5;

const IS_TYPE = new Uint8Array(256);
for (const type of Object.values(BSON)) IS_TYPE[type] = 1;

interface Window {
  /** Only documents that begin before this offset count. */
  readonly within: number;
  /** No more bytes will come, or no more are waited for. */
  readonly isLast: boolean;
  /** They reach to the end of the member. */
  readonly isEnd: boolean;
}

/** Looks for the first document in bytes that come in chunks. Keeps no more than a window of them, however large documents are. */
class StartSearch {
  /** From the place that was found on, as far as they were added; while the last chunk is there. */
  bytes: Buffer = Buffer.alloc(0);
  /** What was added and not passed over; `#passed`: how much was. */
  #kept = Buffer.alloc(0);
  #length = 0;
  #passed = 0;
  #wanted = WINDOW_BYTES;

  /** Offset from the beginning of what was added; undefined where there is none, or none yet. */
  add(chunk: Buffer, { within, isLast, isEnd }: Window): number | undefined {
    // Mostly the first chunk is enough, and is not copied.
    const isFirst = this.#passed + this.#length === 0;
    const bytes = isFirst ? chunk : this.#keep(chunk);
    if (bytes.length >= this.#wanted || isLast) {
      const isWhole = isLast || bytes.length >= MOST_WINDOW_BYTES;
      const window = { within: within - this.#passed, isLast: isWhole, isEnd };
      const place =
        startWithId(bytes, window) ??
        // To look at each byte takes long: where the first window has no such documents, the rest is not looked at.
        (this.#passed === 0 ? anyStart(bytes, { ...window, isLast }) : undefined);
      if (place !== undefined) {
        this.bytes = bytes.subarray(place);
        return this.#passed + place;
      }
      if (isWhole) return this.#passOver(bytes);
      this.#wanted = Math.min(2 * bytes.length, MOST_WINDOW_BYTES);
    }
    if (isFirst) this.#keep(chunk);
    return undefined;
  }

  /** No document begins in these bytes, but perhaps in the last few. */
  #passOver(bytes: Buffer): undefined {
    const left = Math.min(KEY_AT + ID_KEY.length, bytes.length);
    this.#passed += bytes.length - left;
    const last = Buffer.from(bytes.subarray(bytes.length - left));
    this.#length = 0;
    this.#keep(last);
  }

  #keep(chunk: Buffer): Buffer {
    const length = this.#length + chunk.length;
    if (length > this.#kept.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(2 * this.#kept.length, length));
      this.#kept.copy(grown, 0, 0, this.#length);
      this.#kept = grown;
    }
    chunk.copy(this.#kept, this.#length);
    this.#length = length;
    return this.#kept.subarray(0, length);
  }
}

/** Of the documents of a server, which begin with their `_id`. */
function startWithId(bytes: Buffer, window: Window): number | undefined {
  return bestOf(placesOfIds(bytes, window.within), bytes, window);
}

/** Of any documents, in the first window. */
function anyStart(bytes: Buffer, window: Window): number | undefined {
  return bestOf(places(bytes, Math.min(window.within, MOST_WINDOW_BYTES)), bytes, window);
}

function* placesOfIds(bytes: Buffer, within: number): Generator<number> {
  for (let key = bytes.indexOf(ID_KEY, KEY_AT); key >= 0; key = bytes.indexOf(ID_KEY, key + 1)) {
    if (key - KEY_AT >= within) return;
    yield key - KEY_AT;
  }
}

function* places(bytes: Buffer, within: number): Generator<number> {
  const end = Math.min(within, bytes.length - MIN_DOCUMENT_BYTES + 1);
  // Of a length no more than 16 MiB and some, the last byte is 0 or 1.
  for (let at = 0; at < end; at++) if ((bytes[at + 3] as number) <= 1) yield at;
}

/** The first place that is followed by a long chain; of the last bytes, else the first that has one at all. */
function bestOf(candidates: Iterable<number>, bytes: Buffer, { isLast, isEnd }: Window): number | undefined {
  let open: number | undefined;
  for (const at of candidates) {
    const chain = chainAt(bytes, at, isEnd);
    if (chain === 'long') return at;
    if (chain === 'open') open ??= at;
  }
  return isLast ? open : undefined;
}

/** Whether documents follow each other from `at` on; open: as far as there are bytes. */
function chainAt(bytes: Buffer, from: number, isEnd: boolean): 'long' | 'open' | undefined {
  let at = from;
  for (let count = 0; count < CHAIN; count++) {
    if (at === bytes.length && isEnd) return 'long';
    if (bytes.length - at < MIN_DOCUMENT_BYTES) return isEnd ? undefined : 'open';
    const length = bytes.readInt32LE(at);
    if (length < MIN_DOCUMENT_BYTES || length > MAX_DOCUMENT_BYTES) return undefined;
    const type = bytes[at + 4] as number;
    if (length === MIN_DOCUMENT_BYTES ? type !== 0 : IS_TYPE[type] === 0) return undefined;
    if (at + length > bytes.length) return isEnd ? undefined : 'open';
    if (bytes[at + length - 1] !== 0) return undefined;
    at += length;
  }
  return 'long';
}
