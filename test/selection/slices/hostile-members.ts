/**
 * Members whose bytes mislead whoever looks for the beginning of a document: documents that hold whole documents as binary data, chains of
 * them that end where a true one ends, `_id`s inside documents, and documents without `_id` first.
 */
import { Binary, type Document, Long, ObjectId } from 'bson';
import type { Random } from '../../lab/random.ts';
import { bson } from '../chunked-backup.ts';

/** Collections of a dump, and their documents as bytes. */
export type Members = ReadonlyMap<string, readonly Buffer[]>;

const DAY = new Date('2016-09-13T00:00:00Z');

export interface MemberSizes {
  /** Documents of each collection, about. */
  readonly documents: number;
  /** Most bytes of a large one. */
  readonly largest: number;
}

/** Partners, and what refers to them by every kind of route of `HOSTILE_PLAN`. */
export function hostileMembers(random: Random, sizes: MemberSizes): Members {
  const partners = many(random, sizes, (i) => ({
    _id: random.objectId(DAY),
    name: `p${i}`,
    slug: random.pick(['a', 'b', 'c']),
  }));
  const partnerOf = (): unknown => {
    const { _id } = random.pick(partners);
    return random.chance(0.1) ? String(_id) : _id;
  };
  const artworks = many(random, sizes, () => shuffled(random, artwork(random, partnerOf(), sizes)));
  const folders = tree(random, sizes);
  return new Map([
    ['partners', partners.map(bson)],
    ['artworks', artworks.map(bson)],
    ['imitations', many(random, sizes, () => imitation(random, partnerOf(), sizes))],
    ['folders', folders.map(bson)],
    [
      'numbers',
      many(random, sizes, (i) => (random.chance(0.9) ? { _id: i } : { n: i, _id: Long.fromNumber(i) })).map(
        bson,
      ),
    ],
    ['nothing', []],
  ]);
}

function many<T>(random: Random, { documents }: MemberSizes, make: (i: number) => T): T[] {
  return Array.from({ length: random.integer(documents >> 1, documents) }, (_, i) => make(i));
}

function artwork(random: Random, partner: unknown, sizes: MemberSizes): Document {
  const length = random.chance(0.02) ? random.integer(0, sizes.largest) : random.integer(0, 60);
  return {
    _id: random.objectId(DAY),
    partner_id: partner,
    lots: Array.from({ length: random.integer(0, 3) }, () => ({ _id: random.objectId(DAY), at: '_id' })),
    image: new Binary(random.bytes(length)),
  };
}

/** Some with their `_id` elsewhere than first. */
function shuffled(random: Random, document: Document): Document {
  if (random.chance(0.7)) return document;
  return Object.fromEntries(Object.entries(document).sort(() => random.fraction() - 0.5));
}

/** A folder comes before its parent, or behind it. */
function tree(random: Random, sizes: MemberSizes): Document[] {
  const ids = many(random, sizes, () => random.objectId(DAY));
  return ids.map((_id, i) => ({ _id, parent: i === 0 ? null : random.pick(ids), top: i < 2, name: `f${i}` }));
}

/** A document with a chain of others in a binary field; sometimes the last of these seems to reach to where a true one begins. */
function imitation(random: Random, partner: unknown, sizes: MemberSizes): Buffer {
  const length = random.integer(0, random.chance(0.1) ? 200 : 12);
  const chain = Array.from({ length }, (_, i) =>
    bson({ _id: random.chance(0.5) ? i : new ObjectId(random.bytes(12)), partner_id: partner, fake: true }),
  );
  const noise = random.bytes(
    random.chance(0.05) ? random.integer(0, sizes.largest >> 2) : random.integer(0, 9),
  );
  const outer = bson({
    _id: random.objectId(DAY),
    partner_id: partner,
    data: new Binary(Buffer.concat([noise, ...chain])),
    tail: 1,
  });
  const last = chain.at(-1);
  if (last !== undefined && random.chance(0.5)) {
    const at = outer.lastIndexOf(last);
    outer.writeInt32LE(outer.length - at, at);
  }
  return outer;
}
