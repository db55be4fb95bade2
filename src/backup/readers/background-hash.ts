/**
 * SHA-256 or MD5 of one run of bytes after the other, computed beside the reading of them.
 *
 * Hashing costs about as much processor time as receiving and matching the bytes together, so a worker thread does it
 * where the bytes get there without a copy: the memory of chunks that were given away is handed over to it. A run that
 * begins with other chunks is hashed in place.
 */
import { createHash, type Hash } from 'node:crypto';
import { isGivenAway } from '../storage/byte-source.ts';
import { type HashAlgorithm, HashThread } from './hash-thread.ts';

/** Memory is handed over in parcels of about this size: each has a price of its own. */
const PARCEL_BYTES = 512 * 1024;
/** Fewer bytes than this are not worth starting a thread for. */
const THREAD_FROM_BYTES = 4 * 1024 * 1024;
/** Parcels that may wait to be hashed. */
const MOST_PARCELS = 16;

export class BackgroundHash {
  readonly #algorithm: HashAlgorithm;
  #inPlace: Hash;
  #thread: HashThread | undefined;
  /** Who hashes this run; undefined before its first chunk. */
  #by: 'thread' | 'in place' | undefined;
  #parcel: Buffer[] = [];
  #parcelBytes = 0;
  /** Parcels of which it is not known that they are hashed. */
  readonly #sent: Promise<unknown>[] = [];

  constructor(algorithm: HashAlgorithm = 'sha256') {
    this.#algorithm = algorithm;
    this.#inPlace = createHash(algorithm);
  }

  /**
   * Hashes the next chunk, and takes its memory if it was given away: such a chunk is not to be looked at again. Where a
   * promise comes back, the next chunk must wait for it.
   */
  update(chunk: Buffer): Promise<unknown> | undefined {
    this.#by ??= isGivenAway(chunk) ? 'thread' : 'in place';
    if (this.#by === 'in place') {
      this.#inPlace.update(chunk);
      return undefined;
    }
    this.#parcel.push(isGivenAway(chunk) ? chunk : Buffer.from(new Uint8Array(chunk).buffer));
    this.#parcelBytes += chunk.length;
    if (this.#parcelBytes < (this.#thread === undefined ? THREAD_FROM_BYTES : PARCEL_BYTES)) return undefined;
    this.#sendParcel();
    return this.#sent.length > MOST_PARCELS ? this.#sent.shift() : undefined;
  }

  /** Of the run, hex; what comes next is another run. */
  async digest(): Promise<string> {
    const isInThread = this.#by === 'thread';
    this.#by = undefined;
    if (isInThread && this.#thread !== undefined) {
      this.#sendParcel();
      return this.#thread.digest();
    }
    for (const chunk of this.#parcel.splice(0)) this.#inPlace.update(chunk);
    this.#parcelBytes = 0;
    const hash = this.#inPlace;
    this.#inPlace = createHash(this.#algorithm);
    return hash.digest('hex');
  }

  /** Ends the thread, whatever it was asked. */
  close(): void {
    this.#thread?.close();
  }

  #sendParcel(): void {
    if (this.#parcel.length === 0) return;
    const parcel = this.#parcel;
    this.#parcel = [];
    this.#parcelBytes = 0;
    this.#thread ??= new HashThread(this.#algorithm);
    const hashed = this.#thread.hash(parcel);
    hashed.catch(() => undefined); // a thread that failed fails the digest too
    this.#sent.push(hashed);
  }
}
