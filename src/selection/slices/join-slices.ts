/**
 * Joins slices in the order of the backup.
 *
 * Where a slice's first document begins was found by its bytes alone. It is believed where the slice before it ended there: from the
 * member's first byte on, by induction. Where it did not, and where anything is wrong with a slice, that stretch is read again from the
 * place that is known, so that neither a document nor a fault rests on a guess.
 */
import {
  hexOfCrc32,
  type MemberInfo,
  type MemberRead,
  type SeparateMember,
  type WholeDocuments,
} from '../../backup/backup.ts';
import { CRC32, CRC64_NVME, combineCrc } from '../../backup/containers/crc.ts';
import { damagedDocument } from '../../backup/readers/member.ts';
import { StretchReader, wholeStretch } from '../../backup/readers/stretch.ts';
import type { WholeChecksum } from '../../backup/storage/byte-source.ts';
import { BsonFault } from '../../bson/elements.ts';
import { QueryFault } from '../../query/query-fault.ts';
import { UnfitId } from '../document-walk.ts';
import { type Part, UnfitPart } from './part.ts';
import type { Slice } from './slice.ts';

/** A member, and what the store says that its bytes add up to, where slices of it are held against that. */
export interface JoinedMember extends SeparateMember {
  readonly checksum: WholeChecksum | undefined;
}

/** Who is given the documents of members, in their order. */
export interface JoinReader {
  /** Documents that were read in their place. */
  take(member: MemberInfo, documents: WholeDocuments): Promise<void>;
  /** Those of a slice. Throws a bare fault of a document. */
  takePart(member: MemberInfo, part: Part): Promise<void>;
  /** All of the member's came. */
  end(member: MemberInfo): Promise<void>;
}

/** `parts` of all slices of these members, in their order. Throws RestorePlanError BACKUP, or what `joined` throws: UnfitPart too. */
export async function joinSlices(
  members: ReadonlyMap<number, JoinedMember>,
  parts: AsyncIterable<Part>,
  joined: JoinReader,
): Promise<MemberRead[]> {
  const read: MemberRead[] = [];
  let join: MemberJoin | undefined;
  for await (const part of parts) {
    join ??= new MemberJoin(members.get(part.slice.member.id) as JoinedMember, joined);
    await join.add(part);
    if (!join.isComplete) continue;
    read.push(await join.end());
    join = undefined;
  }
  return read;
}

class MemberJoin {
  readonly #member: JoinedMember;
  readonly #joined: JoinReader;
  /** Where the next document begins; so far all is proven. */
  #at = 0;
  #documents = 0;
  /** Where the next slice begins. */
  #next = 0;
  #bytes = 0;
  #crc32 = 0n;
  #crc64 = 0n;

  constructor(member: JoinedMember, joined: JoinReader) {
    this.#member = member;
    this.#joined = joined;
  }

  get isComplete(): boolean {
    return this.#next === this.#member.at.size;
  }

  async add(part: Part): Promise<void> {
    const { slice } = part;
    if (slice.from !== this.#next)
      throw new Error(`${slice.member.path}: a slice is missing at ${this.#next}`);
    this.#next = slice.to;
    const { begin = this.#at, end = this.#at } = part;
    const isEmpty = part.begin === undefined && !slice.isWhole;
    if (part.isUnread || begin !== this.#at || (isEmpty && this.#at < slice.to)) {
      await this.#readAgain(slice);
      return;
    }
    try {
      await this.#joined.takePart(slice.member, part);
    } catch (fault) {
      if (![BsonFault, QueryFault, UnfitId].some((each) => fault instanceof each)) throw fault;
      await this.#readAgain(slice); // throws it with its place
      throw new UnfitPart(
        part,
        `holds a document that the backup does not (${(fault as Error).message})`,
        fault,
      );
    }
    this.#documents += part.documents;
    this.#at = end;
    this.#addSums(part);
  }

  async end(): Promise<MemberRead> {
    const { member, at, checksum } = this.#member;
    const { name, expected } = checksum ?? {};
    if (checksum !== undefined && expected !== (name === 'CRC32' ? this.#crc32 : this.#crc64))
      throw checksum.damaged();
    await at.close();
    await this.#joined.end(member);
    const { path, collection } = member;
    return { path, collection, bytes: this.#bytes, crc32: hexOfCrc32(Number(this.#crc32)) };
  }

  async #readAgain({ member, from, to, isWhole, withCrc64 }: Slice): Promise<void> {
    const reader = isWhole
      ? wholeStretch(this.#member)
      : new StretchReader(this.#member.at, { from, to, start: this.#at, withCrc64 });
    try {
      for await (const documents of reader.read()) await this.#joined.take(member, documents);
    } catch (error) {
      if (!(error instanceof BsonFault)) throw error;
      throw damagedDocument(error, member, this.#documents + reader.documents);
    }
    this.#documents += reader.documents;
    this.#at = reader.end ?? this.#at;
    this.#addSums(reader);
  }

  #addSums({ bytes, crc32, crc64 }: Pick<Part, 'bytes' | 'crc32' | 'crc64'>): void {
    this.#bytes += bytes;
    this.#crc32 = combineCrc(CRC32, [this.#crc32, BigInt(crc32)], bytes);
    if (crc64 !== undefined) this.#crc64 = combineCrc(CRC64_NVME, [this.#crc64, crc64], bytes);
  }
}
