/**
 * What S3 knows of the bytes of a whole object, and how a reader of all of them is held against it.
 *
 * Uploads since 2025 carry a CRC of the whole object. Of others there is the ETag: the MD5 of the bytes, or of the MD5s of
 * the parts of an upload in parts, unless the object is encrypted with a key of its own.
 */
import { createHash } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { crc32 } from 'node:zlib';
import { Crc64, nvmeTables } from '../containers/crc.ts';
import type { Checksum, RunningChecksum } from '../remote/object-server.ts';

/** Of the answer to a HEAD; checksums as S3 writes them, in base64. */
export interface StatedChecksums {
  readonly size: number;
  readonly etag: string;
  /** Checksums of an upload in parts are of the parts (COMPOSITE) or of the whole. Older servers do not say. */
  readonly type: string | undefined;
  readonly crc32: string | undefined;
  readonly crc64nvme: string | undefined;
  /** `AES256`, `aws:kms`, …; undefined = not encrypted. */
  readonly encryption: string | undefined;
  /** Bytes of the first part of an upload in parts; all but the last have as many. */
  readonly partBytes: number | undefined;
}

/** Undefined when nothing that S3 says of the object can be held against its bytes. */
export function checksumOf(facts: StatedChecksums): Checksum | undefined {
  for (const { key, name, start } of CRCS) {
    const expected = facts[key];
    // `…-3`: of three parts.
    if (expected !== undefined && facts.type !== 'COMPOSITE' && !expected.includes('-'))
      return { name, expected, start };
  }
  if (facts.encryption !== undefined && facts.encryption !== 'AES256') return undefined;
  const expected = facts.etag.replaceAll('"', '');
  const parts = partsOf(expected);
  if (parts === undefined) return undefined;
  if (parts === 'whole') return etagChecksum(expected, Math.max(1, facts.size));
  const { partBytes } = facts;
  if (partBytes === undefined || Math.ceil(facts.size / partBytes) !== parts) return undefined;
  return etagChecksum(expected, partBytes);
}

/** Whether the ETag is of an upload in parts, whose size has to be asked for. */
export function isOfParts(etag: string): boolean {
  return typeof partsOf(etag.replaceAll('"', '')) === 'number';
}

function partsOf(etag: string): number | 'whole' | undefined {
  const match = /^[0-9a-f]{32}(?:-(\d{1,5}))?$/.exec(etag);
  if (match === null) return undefined;
  return match[1] === undefined ? 'whole' : Number(match[1]);
}

const CRCS = [
  { key: 'crc32', name: 'CRC32', start: () => new RunningCrc32() },
  { key: 'crc64nvme', name: 'CRC64NVME', start: () => new RunningCrc64() },
] as const;

/** MD5s of parts of so many bytes. An ETag is a promise of AWS, not of every server: some compute it in ways of their own. */
export function etagChecksum(expected: string, partBytes: number): Checksum {
  return {
    name: 'ETag',
    expected,
    start: () => new RunningEtag(expected, partBytes),
    doubt: 'its ETag is no MD5 of its bytes, as with some servers',
  };
}

class RunningCrc32 implements RunningChecksum {
  #crc = 0;

  update(chunk: Buffer): undefined {
    this.#crc = crc32(chunk, this.#crc);
  }

  async digest(): Promise<string> {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(this.#crc);
    return bytes.toString('base64');
  }

  close(): void {}
}

class RunningCrc64 implements RunningChecksum {
  readonly #crc = new Crc64(nvmeTables());

  update(chunk: Buffer): undefined {
    this.#crc.update(chunk);
  }

  async digest(): Promise<string> {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(this.#crc.digest());
    return bytes.toString('base64');
  }

  close(): void {}
}

/** Copied before they are hashed. */
interface Parcel {
  readonly bytes: Uint8Array;
  length: number;
  /** A part of the upload ends here. */
  endsPart: boolean;
}

/** Each parcel has a price of its own. */
const PARCEL_BYTES = 512 * 1024;
/** Fewer are not worth starting a thread for. */
const THREAD_FROM_PARCELS = 8;

class RunningEtag implements RunningChecksum {
  readonly #partBytes: number;
  readonly #isOfParts: boolean;
  #inPart = 0;
  #filling: Parcel | undefined;
  #waiting: Parcel[] = [];
  #thread: Md5Thread | undefined;

  constructor(expected: string, partBytes: number) {
    this.#partBytes = partBytes;
    this.#isOfParts = isOfParts(expected);
  }

  update(chunk: Buffer): Promise<unknown> | undefined {
    for (let at = 0; at < chunk.length; ) {
      this.#filling ??= this.#thread?.free() ?? newParcel();
      const { bytes, length: filled } = this.#filling;
      const length = Math.min(chunk.length - at, this.#partBytes - this.#inPart, bytes.length - filled);
      bytes.set(chunk.subarray(at, at + length), filled);
      at += length;
      this.#filling.length += length;
      this.#inPart += length;
      if (this.#inPart === this.#partBytes) this.#endPart();
      else if (this.#filling.length === bytes.length) this.#pass();
    }
    return this.#thread?.keptUp();
  }

  async digest(): Promise<string> {
    const isEmpty = this.#thread === undefined && this.#waiting.length === 0;
    if (this.#inPart > 0 || isEmpty) this.#endPart();
    const parts = (await this.#thread?.digests()) ?? md5OfParts(this.#waiting);
    if (!this.#isOfParts) return parts[0] as string;
    const whole = createHash('md5').update(Buffer.from(parts.join(''), 'hex'));
    return `${whole.digest('hex')}-${parts.length}`;
  }

  close(): void {
    this.#thread?.close();
  }

  #endPart(): void {
    this.#filling ??= newParcel();
    this.#filling.endsPart = true;
    this.#inPart = 0;
    this.#pass();
  }

  #pass(): void {
    if (this.#filling !== undefined) this.#waiting.push(this.#filling);
    this.#filling = undefined;
    if (this.#thread === undefined && this.#waiting.length < THREAD_FROM_PARCELS) return;
    this.#thread ??= new Md5Thread();
    for (const parcel of this.#waiting.splice(0)) this.#thread.hash(parcel);
  }
}

function newParcel(): Parcel {
  return { bytes: new Uint8Array(PARCEL_BYTES), length: 0, endsPart: false };
}

function md5OfParts(parcels: readonly Parcel[]): string[] {
  const digests: string[] = [];
  let hash = createHash('md5');
  for (const { bytes, length, endsPart } of parcels) {
    hash.update(bytes.subarray(0, length));
    if (!endsPart) continue;
    digests.push(hash.digest('hex'));
    hash = createHash('md5');
  }
  return digests;
}

/** The thread's whole program; as text, so that it is the same whether this file runs from its source or built. */
const MD5_PROGRAM = `
  const { createHash } = require('node:crypto');
  const { parentPort } = require('node:worker_threads');
  let hash = createHash('md5');
  parentPort.on('message', ({ bytes, length, endsPart }) => {
    hash.update(bytes.subarray(0, length));
    const digest = endsPart ? hash.digest('hex') : undefined;
    if (endsPart) hash = createHash('md5');
    parentPort.postMessage({ bytes, digest }, [bytes.buffer]);
  });
`;

/** Parcels that may wait to be hashed. */
const MOST_PARCELS = 16;

/**
 * A thread that takes the MD5 of parts: that costs a processor more than receiving and matching the bytes together. Parcels go there and come
 * back to be filled again. It does not keep the process alive unless an answer is waited for.
 */
class Md5Thread {
  readonly #worker: Worker;
  readonly #free: Uint8Array[] = [];
  readonly #digests: string[] = [];
  #out = 0;
  #failure: Error | undefined;
  #wake = (): void => undefined;

  constructor() {
    this.#worker = new Worker(MD5_PROGRAM, { eval: true, execArgv: [] });
    this.#worker.unref();
    this.#worker.on('message', ({ bytes, digest }: { bytes: Uint8Array; digest: string | undefined }) => {
      this.#free.push(bytes);
      this.#out--;
      if (digest !== undefined) this.#digests.push(digest);
      this.#wake();
    });
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', () => this.#fail(new Error('the hashing thread ended early')));
  }

  /** To be filled, where one has come back. */
  free(): Parcel | undefined {
    const bytes = this.#free.pop();
    return bytes && { bytes, length: 0, endsPart: false };
  }

  /** Takes over the parcel's memory. */
  hash(parcel: Parcel): void {
    this.#out++;
    this.#worker.postMessage(parcel, [parcel.bytes.buffer as ArrayBuffer]);
  }

  /** Where too many parcels are out: settles when fewer are. */
  keptUp(): Promise<void> | undefined {
    return this.#out > MOST_PARCELS ? this.#until(MOST_PARCELS) : undefined;
  }

  /** Of all parts, in hex, in their order. */
  async digests(): Promise<readonly string[]> {
    await this.#until(0);
    return this.#digests;
  }

  close(): void {
    void this.#worker.terminate();
  }

  async #until(out: number): Promise<void> {
    this.#worker.ref();
    while (this.#out > out && this.#failure === undefined)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    this.#worker.unref();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#wake();
  }
}
