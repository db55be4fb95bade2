/** The small documents that give a mongodump archive its structure. */
import { BsonFault, documentEnd, findElement } from '../../bson/elements.ts';
import { BSON, type RawValue } from '../../bson/types.ts';

/** Bytes that are no archive; `offset` counts from the beginning of the (inflated) stream. */
export class ArchiveFault extends Error {
  override readonly name = 'ArchiveFault';
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

/** What the prelude tells of a collection. */
export interface ArchivedCollection {
  readonly database: string;
  readonly collection: string;
  /** The collection its documents are stored under: `system.buckets.x` for a time series. */
  readonly stored: string;
  /** Exactly the text of its metadata file; empty when there is none. */
  readonly metadata: string;
  readonly type: string;
}

interface SegmentHeader {
  readonly database: string;
  readonly collection: string;
  /** Not a segment, but the end of the namespace. */
  readonly ends: boolean;
  readonly crc: bigint;
}

/** One version of the format exists; a newer one would not be understood. */
export function readArchiveHeader(document: Buffer, offset: number): void {
  const fields = new Fields(document, offset);
  const version = fields.text('version');
  if (version !== '0.1')
    throw new ArchiveFault(`has the unknown format version ${JSON.stringify(version)}`, offset);
}

export function readCollection(document: Buffer, offset: number): ArchivedCollection {
  const fields = new Fields(document, offset);
  const collection = fields.text('collection');
  const type = fields.text('type', '');
  return {
    database: fields.text('db'),
    collection,
    stored: type === 'timeseries' ? `system.buckets.${collection}` : collection,
    metadata: fields.text('metadata', ''),
    type,
  };
}

export function readSegmentHeader(document: Buffer, offset: number): SegmentHeader {
  const fields = new Fields(document, offset);
  return {
    database: fields.text('db'),
    collection: fields.text('collection'),
    ends: fields.flag('EOF'),
    crc: fields.integer('CRC'),
  };
}

class Fields {
  readonly #document: Buffer;
  readonly #offset: number;

  constructor(document: Buffer, offset: number) {
    this.#document = document;
    this.#offset = offset;
    try {
      documentEnd(document, 0);
    } catch (error) {
      throw this.#damaged(error);
    }
  }

  /** Throws when the field is absent and there is no default. */
  text(key: string, absent?: string): string {
    const found = this.#find(key, BSON.STRING);
    if (found !== undefined) return found.bytes.toString('utf8', found.start + 4, found.end - 1);
    if (absent !== undefined) return absent;
    throw this.#damaged(key);
  }

  integer(key: string): bigint {
    const found = this.#find(key, BSON.INT64);
    if (found === undefined) throw this.#damaged(key);
    return found.bytes.readBigInt64LE(found.start);
  }

  flag(key: string): boolean {
    const found = this.#find(key, BSON.BOOL);
    if (found === undefined) throw this.#damaged(key);
    return found.bytes[found.start] === 1;
  }

  #find(key: string, type: number): RawValue | undefined {
    try {
      const found = findElement(this.#document, 0, Buffer.from(key));
      return found?.type === type ? found : undefined;
    } catch (error) {
      throw this.#damaged(error);
    }
  }

  #damaged(why: unknown): ArchiveFault {
    const detail = why instanceof BsonFault ? why.message : `${why} is missing`;
    return new ArchiveFault(`has a damaged header (${detail})`, this.#offset);
  }
}
