/**
 * A backup whose members, order and cuts the test decides: what adapters hand to a selection, without a storage behind it.
 * Layouts and real dumps are tested with the real adapters.
 */
import { createHash } from 'node:crypto';
import { type Document, serialize } from 'bson';
import type { Backup, CollectionMetadata, MemberVisitor, PassingDocuments } from '../../src/backup/backup.ts';

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

  async function scan(wanted: ReadonlySet<string>, visitor: MemberVisitor) {
    const isPassing = access !== 'random' && visitor.passing !== undefined;
    const chosen = members.filter(({ info }) => isPassing || wanted.has(info.collection));
    const passing = new Map<number, PassingDocuments | undefined>();
    for (const each of metadata) visitor.metadata(each);
    const open = chosen.map((member) => ({ ...member, at: 0 }));
    // Handed out again and again, as adapters may do: whoever keeps bytes must copy them.
    const lent = Buffer.alloc(1 << 20);
    while (open.length > 0) {
      const index = nextMember(open.length) % open.length;
      const member = open[index] as (typeof open)[number];
      const isWanted = wanted.has(member.info.collection);
      if (!isWanted && member.at === 0 && !passing.has(member.info.id)) {
        passing.set(member.info.id, await visitor.passing?.(member.info));
      }
      if (member.at === member.bytes.length) {
        if (isWanted) await visitor.end(member.info);
        else passing.get(member.info.id)?.end();
        open.splice(index, 1);
        continue;
      }
      const length = Math.min(nextLength(), member.bytes.length - member.at, lent.length);
      member.bytes.copy(lent, 0, member.at, member.at + length);
      member.at += length;
      visitor.stored?.(length);
      if (isWanted) await visitor.chunk(member.info, lent.subarray(0, length));
      else passing.get(member.info.id)?.chunk(lent.subarray(0, length));
      lent.fill(0xee, 0, length);
    }
    const read = chosen.filter(({ info }) => wanted.has(info.collection));
    const given = chosen.filter(({ info }) => read.some((one) => one.info === info) || passing.get(info.id));
    for (const { info } of given) reads.set(info.path, (reads.get(info.path) ?? 0) + 1);
    return {
      bytesRead: chosen.reduce((sum, { bytes }) => sum + bytes.length, 0),
      readToEnd: true,
      warnings: ['chunks are odd'],
      members: read.map(({ info, bytes }) => ({
        path: info.path,
        collection: info.collection,
        bytes: bytes.length,
        sha256: createHash('sha256').update(bytes).digest('hex'),
      })),
    };
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
    scan,
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
