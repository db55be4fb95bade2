/**
 * What came of a slice: the documents that begin in it and are kept, and where it begins and ends, for those who join slices.
 *
 * It is plain data: handed from thread to thread, or written as an object of its own, which names its version and holds the SHA-256 of
 * its content.
 */
import { createHash } from 'node:crypto';
import type { WholeDocuments } from '../../backup/backup.ts';
import { DocumentFramer } from '../../backup/readers/member.ts';
import { BsonFault } from '../../bson/elements.ts';
import type { Slice } from './slice.ts';

export interface Part {
  readonly slice: Slice;
  /** Offsets in the member: where the first document that begins in the slice does, and where the last of them ends. */
  readonly begin: number | undefined;
  readonly end: number | undefined;
  /** The slice is to be read in its place, whatever else stands here: something is wrong with it, perhaps only where it was taken to begin. */
  readonly isUnread: boolean;
  /** Documents that begin in the slice. */
  readonly documents: number;
  /** Of the member's documents, those that lie in the slice: `to - from`, or of a whole member what it inflates to. */
  readonly bytes: number;
  /** Of these bytes. */
  readonly crc32: number;
  readonly crc64: bigint | undefined;
  /** Whole documents back to back, in order, cut anywhere: those chosen, or in an open scope those that may be. */
  readonly kept: readonly Uint8Array[];
  readonly leftOut: readonly PartLeftOut[];
  /** For each route with a file of ids, the canonical bytes of those that were found. */
  readonly foundIds: readonly (readonly Uint8Array[])[];
}

/** Documents that a route did not choose for the type of their key. */
export interface PartLeftOut {
  /** Index of the route. */
  readonly route: number;
  readonly type: string;
  readonly parentType: string;
  readonly example: string;
  readonly documents: number;
}

/** The documents kept. Throws BsonFault where there are other bytes. */
export function* documentsOf({ kept }: Pick<Part, 'kept'>): Generator<WholeDocuments> {
  const framer = new DocumentFramer();
  for (const { buffer, byteOffset, byteLength } of kept)
    yield* framer.push(Buffer.from(buffer, byteOffset, byteLength));
  framer.end();
}

export function keptBytes({ kept }: Pick<Part, 'kept'>): number {
  return kept.reduce((bytes, { length }) => bytes + length, 0);
}

/** A part is not what a scan of its slice makes. Only one that somebody else has made can be. */
export class UnfitPart extends Error {
  readonly slice: Slice;

  constructor({ slice }: Part, what: string, cause?: unknown) {
    super(what, { cause });
    this.slice = slice;
  }
}

/** A format is read by the versions that write it. */
const MAGIC = Buffer.from('restore-plan part 1\n');
const HASH_BYTES = 32;
const LENGTH_BYTES = 4;

/** Magic, SHA-256 of what follows, length of the description, the description as JSON, the kept documents; these where they lie. */
export function encodePart({ kept, ...described }: Part): Uint8Array[] {
  const text = Buffer.from(
    JSON.stringify({
      ...described,
      crc64: described.crc64?.toString(),
      foundIds: described.foundIds.map((keys) => keys.map((key) => Buffer.from(key).toString('base64'))),
    }),
  );
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(text.length);
  const content = [length, text, ...kept];
  return [MAGIC, sha256(content), ...content];
}

/** Undefined where it is no part of this version, cut off, damaged, or made of anything else, whose sums fit. */
export function decodePart(bytes: Buffer): Part | undefined {
  const content = bytes.subarray(MAGIC.length + HASH_BYTES);
  if (content.length < LENGTH_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  if (!sha256([content]).equals(bytes.subarray(MAGIC.length, MAGIC.length + HASH_BYTES))) return undefined;
  const end = LENGTH_BYTES + content.readUInt32LE(0);
  const described = parsed(content.toString('utf8', LENGTH_BYTES, end));
  const kept = [content.subarray(end)];
  if (!isDescription(described) || !areFramed({ kept })) return undefined;
  return {
    ...described,
    begin: described.begin,
    end: described.end,
    crc64: described.crc64 === undefined ? undefined : BigInt(described.crc64),
    foundIds: described.foundIds.map((keys) => keys.map((key) => Buffer.from(key, 'base64'))),
    kept,
  };
}

type Description = Omit<Part, 'kept' | 'crc64' | 'foundIds'> & {
  readonly crc64?: string;
  readonly foundIds: readonly (readonly string[])[];
};

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

type Fields = Readonly<Record<string, unknown>>;

function isDescription(given: unknown): given is Description {
  if (!isFields(given)) return false;
  const { slice, begin, end, isUnread, documents, bytes, crc32, crc64, leftOut, foundIds } = given;
  return (
    isFields(slice) &&
    isFields(slice['member']) &&
    [begin, end].every((at) => at === undefined || isCount(at)) &&
    typeof isUnread === 'boolean' &&
    [documents, bytes, crc32].every(isCount) &&
    (crc64 === undefined || (typeof crc64 === 'string' && /^\d{1,20}$/.test(crc64))) &&
    isListOf(leftOut, isLeftOut) &&
    isListOf(foundIds, (keys) => isListOf(keys, (key) => typeof key === 'string' && key !== ''))
  );
}

function isLeftOut(given: unknown): given is PartLeftOut {
  return (
    isFields(given) &&
    isCount(given['route']) &&
    isCount(given['documents']) &&
    ['type', 'parentType', 'example'].every((key) => typeof given[key] === 'string')
  );
}

const isFields = (given: unknown): given is Fields => typeof given === 'object' && given !== null;
const isCount = (given: unknown): given is number => Number.isSafeInteger(given) && (given as number) >= 0;
const isListOf = (given: unknown, is: (each: unknown) => boolean): boolean =>
  Array.isArray(given) && given.every(is);

/** Whether they are whole documents back to back. */
function areFramed(part: Pick<Part, 'kept'>): boolean {
  try {
    for (const _ of documentsOf(part));
    return true;
  } catch (error) {
    if (!(error instanceof BsonFault)) throw error;
    return false;
  }
}

function sha256(content: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const bytes of content) hash.update(bytes);
  return hash.digest();
}
