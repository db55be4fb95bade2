/**
 * A backup whose members, order and cuts the test decides: what adapters hand to a selection, without a storage behind it.
 * Layouts and real dumps are tested with the real adapters.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { type Document, serialize } from 'bson';
import {
  type Backup,
  type BackupPiece,
  type CollectionMetadata,
  hexOfCrc32,
  type ReadOptions,
} from '../../src/backup/backup.ts';
import { DocumentFramer, documentsIn, endOf } from '../../src/backup/readers/member.ts';

export interface ChunkedMember {
  readonly collection: string;
  readonly bytes: Buffer;
  readonly path?: string;
}

/** The bytes of a document as a dump would hold them. */
export const bson = (document: Document): Buffer =>
  Buffer.from(serialize(document, { ignoreUndefined: false }));

export function memberOf(
  collection: string,
  documents: readonly Document[],
  path = `dump/gravity/${collection}.bson`,
): ChunkedMember {
  return { collection, bytes: Buffer.concat(documents.map(bson)), path };
}

export interface ChunkedBackup extends Backup {
  /** How often each member was handed out. */
  readonly reads: Map<string, number>;
}

export interface Chunking {
  readonly access: Backup['access'];
  readonly members: readonly ChunkedMember[];
  /** Length of the next chunk, at least 1; default: 64 KiB. */
  readonly nextLength?: () => number;
  /** Which of `open` members gives the next chunk; default: the first, so that members follow each other. */
  readonly nextMember?: (open: number) => number;
  readonly metadata?: readonly CollectionMetadata[];
  /** What `collections()` answers; default: unknown. */
  readonly collections?: readonly CollectionMetadata[];
}

export function chunkedBackup(chunking: Chunking): ChunkedBackup {
  const { access, nextLength = () => 65_536, nextMember = () => 0, metadata = [], collections } = chunking;
  const members = chunking.members.map(
    ({ collection, bytes, path = `dump/gravity/${collection}.bson` }, id) => ({
      info: { collection, path, id },
      bytes,
    }),
  );
  const reads = new Map<string, number>();
  const fingerprint = createHash('sha256');
  for (const { info, bytes } of members) fingerprint.update(`${info.path} ${bytes.length}`).update(bytes);

  async function* read(
    wanted: ReadonlySet<string>,
    { stored }: ReadOptions = {},
  ): AsyncGenerator<BackupPiece> {
    const chosen = members.filter(({ info }) => access !== 'random' || wanted.has(info.collection));
    for (const each of metadata) yield { type: 'metadata', metadata: each };
    const open = chosen.map((member) => ({ ...member, at: 0, framer: new DocumentFramer(), isTaken: false }));
    const given = [...open];
    // Handed out again and again, as adapters may do: whoever keeps bytes must copy them.
    const lent = Buffer.alloc(1 << 20);
    while (open.length > 0) {
      const index = nextMember(open.length) % open.length;
      const member = open[index] as (typeof open)[number];
      const { info, framer, bytes } = member;
      if (wanted.has(info.collection)) member.isTaken = true;
      else if (member.at === 0)
        yield {
          type: 'passing',
          member: info,
          take: () => {
            member.isTaken = true;
          },
        };
      if (member.at === bytes.length) {
        open.splice(index, 1);
        if (member.isTaken) {
          endOf(info, framer);
          yield { type: 'ended', member: info };
        }
        continue;
      }
      const length = Math.min(nextLength(), bytes.length - member.at, lent.length);
      bytes.copy(lent, 0, member.at, member.at + length);
      member.at += length;
      stored?.(length);
      try {
        if (member.isTaken) yield* documentsIn(lent.subarray(0, length), framer, info);
      } catch (error) {
        if (wanted.has(info.collection)) throw error;
        member.isTaken = false;
      }
      lent.fill(0xee, 0, length);
    }
    for (const { info, isTaken } of given) if (isTaken) reads.set(info.path, (reads.get(info.path) ?? 0) + 1);
    const summary = {
      bytesRead: chosen.reduce((sum, { bytes }) => sum + bytes.length, 0),
      readToEnd: true,
      warnings: ['chunks are odd'],
      members: chosen
        .filter(({ info }) => wanted.has(info.collection))
        .map(({ info, bytes }) => ({
          path: info.path,
          collection: info.collection,
          bytes: bytes.length,
          crc32: hexOfCrc32(crc32(bytes)),
        })),
    };
    yield { type: 'finished', summary };
  }

  async function sample(collection: string, maxBytes: number): Promise<Buffer> {
    const found = members.find(({ info }) => info.collection === collection);
    return (found?.bytes ?? Buffer.alloc(0)).subarray(0, maxBytes);
  }

  return {
    identity: {
      location: 'test',
      kind: 'chunks',
      time: undefined,
      localTime: undefined,
      modified: undefined,
      size: undefined,
      fingerprint: fingerprint.digest('hex'),
    },
    access,
    reads,
    holds: () => undefined,
    collections: async () => collections,
    storedBytes: () => members.reduce((sum, { bytes }) => sum + bytes.length, 0),
    read,
    ...(access === 'random' && { sample }),
    close: async () => {},
  };
}

/** Artworks of two partners, their lots, and bids on these. */
export const ART: readonly ChunkedMember[] = [
  memberOf('artworks', [
    { _id: 1, partner: 'p' },
    { _id: 2, partner: 'q' },
    { _id: 3, partner: 'p' },
  ]),
  memberOf('sale_artworks', [
    { _id: 10, artwork_id: 1, state: 'open' },
    { _id: 11, artwork_id: 2, state: 'open' },
    { _id: 12, artwork_id: 3, state: 'draft' },
    { _id: 13, artwork_id: 3, state: 'open' },
  ]),
  memberOf('bids', [
    { _id: 20, lot: 10 },
    { _id: 21, lot: 11 },
    { _id: 22, lot: 12 },
    { _id: 23, lot: 13 },
    { _id: 24 },
    { _id: 25, lot: null },
  ]),
];
