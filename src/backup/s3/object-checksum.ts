/**
 * What S3 knows of the bytes of a whole object, and how a reader of all of them is held against it.
 *
 * Uploads since 2025 carry a CRC of the whole object. Of others there is the ETag: the MD5 of the bytes, or of the MD5s of
 * the parts of an upload in parts, unless the object is encrypted with a key of its own.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { Crc64, nvmeTables } from '../containers/crc64.ts';
import { BackgroundHash } from '../readers/background-hash.ts';
import type { Checksum, RunningChecksum } from '../remote/checked-stream.ts';
import { giveAway } from '../storage/byte-source.ts';

/** Of the answer to a HEAD; checksums as S3 writes them, in base64. */
export interface ChecksumFacts {
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
export function checksumOf(facts: ChecksumFacts): Checksum | undefined {
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

class RunningEtag implements RunningChecksum {
  readonly #hash = new BackgroundHash('md5');
  readonly #parts: Promise<string>[] = [];
  readonly #partBytes: number;
  readonly #isOfParts: boolean;
  #inPart = 0;

  constructor(expected: string, partBytes: number) {
    this.#partBytes = partBytes;
    this.#isOfParts = isOfParts(expected);
  }

  /** A copy is hashed, so that the chunk itself can be given away. */
  update(chunk: Buffer): Promise<unknown> | undefined {
    let busy: Promise<unknown> | undefined;
    for (let at = 0; at < chunk.length; ) {
      const length = Math.min(chunk.length - at, this.#partBytes - this.#inPart);
      const copy = new Uint8Array(chunk.subarray(at, at + length));
      busy = this.#hash.update(giveAway(Buffer.from(copy.buffer))) ?? busy;
      at += length;
      this.#inPart += length;
      if (this.#inPart === this.#partBytes) this.#endPart();
    }
    return busy;
  }

  async digest(): Promise<string> {
    if (this.#inPart > 0 || this.#parts.length === 0) this.#endPart();
    const parts = await Promise.all(this.#parts);
    if (!this.#isOfParts) return parts[0] as string;
    const whole = createHash('md5').update(Buffer.from(parts.join(''), 'hex'));
    return `${whole.digest('hex')}-${parts.length}`;
  }

  close(): void {
    this.#hash.close();
  }

  #endPart(): void {
    const md5 = this.#hash.digest();
    md5.catch(() => undefined); // thrown where all of them are awaited
    this.#parts.push(md5);
    this.#inPart = 0;
  }
}
