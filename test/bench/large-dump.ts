/**
 * A large art-market dump, written straight as raw BSON in moments: a few hundred real documents per collection serve as patterns whose
 * keys are overwritten for every copy. There are more patterns than fit in gzip's window, so the dump compresses as real data would.
 */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, Int32, ObjectId, serialize } from 'bson';
import { artwork, LOST_PARTNER, offer, person, saleArtwork } from '../lab/art-market.ts';
import { seededRandom } from '../lab/random.ts';

export interface LargeDumpSize {
  /** About 1,040 bytes each. */
  readonly artworks: number;
  /** About 324 bytes each. */
  readonly lots: number;
  /** About 233 bytes each; no plan wants them. */
  readonly people: number;
  /** About 202 bytes each; no plan wants them. */
  readonly offers: number;
}

/** 1.1 GB, of which a plan for artworks and their lots needs 690 MB. */
export const LARGE: LargeDumpSize = { artworks: 600_000, lots: 216_000, people: 800_000, offers: 1_100_000 };

/** One artwork in this many belongs to the lost partner: 300 of the 600,000. */
const ARTWORKS_PER_LOST_ONE = 2000;

/** Lots have these artworks by turns, so the lost partner's artworks have lots in proportion. */
const artworkOfLot = (lot: number, artworks: number): number => (lot * 7919) % artworks;

/** The lost partner's artworks, and how many lots these have. */
export function lostArtworks(size: LargeDumpSize): { ids: ObjectId[]; lots: number } {
  const isLost = (artwork: number): boolean => artwork % ARTWORKS_PER_LOST_ONE === 0;
  const numbers = Array.from({ length: size.artworks }, (_, index) => index).filter(isLost);
  const lots = Array.from({ length: size.lots }, (_, lot) => artworkOfLot(lot, size.artworks)).filter(isLost);
  return { ids: numbers.map((index) => new ObjectId(keyOf('artwork', index))), lots: lots.length };
}

const PATTERNS = 400;
/** A key in a pattern, overwritten in every copy. */
const KEY = new ObjectId('feedfacefeedfacefeedface');
const OTHER_KEY = new ObjectId('feedfacecafebabefeedface');
const LOT_NUMBER = 0x5eed5eed;
/** Offset of the value of `_id`, the first element. */
const ID_AT = 9;

/** Writes `<folder>/<database>/<collection>.bson` with metadata, as mongodump does. */
export function writeLargeDump(folder: string, database: string, size: LargeDumpSize): void {
  const random = seededRandom(11);
  const home = join(folder, database);
  mkdirSync(home, { recursive: true });
  const parent = { _id: KEY };
  writeCollection(home, 'artworks', {
    count: size.artworks,
    pattern: () => artwork(random, KEY, { _id: OTHER_KEY }),
    fill: (copy, { keyAt, textAt }, index) => {
      const isLost = index % ARTWORKS_PER_LOST_ONE === 0;
      if (isLost) copy.set(LOST_PARTNER.id, keyAt);
      else writeKey(copy, keyAt, 'partner', index % 977);
      copy.write(index.toString(16).padStart(8, '0'), textAt, 'latin1');
    },
    kind: 'artwork',
    textOf: (document) => String(document['slug']).slice(-8),
  });
  writeCollection(home, 'sale_artworks', {
    count: size.lots,
    pattern: () => ({
      ...saleArtwork(random, { _id: OTHER_KEY }, parent, 0),
      lot_number: new Int32(LOT_NUMBER),
    }),
    fill: (copy, { keyAt, lotAt }, index) => {
      writeKey(copy, keyAt, 'artwork', artworkOfLot(index, size.artworks));
      copy.writeInt32LE(index, lotAt);
    },
    kind: 'lot',
  });
  writeCollection(home, 'people', { count: size.people, pattern: () => person(random), kind: 'person' });
  writeCollection(home, 'offers', {
    count: size.offers,
    pattern: () => offer(random, parent, { _id: OTHER_KEY }),
    fill: (copy, { keyAt }, index) => writeKey(copy, keyAt, 'artwork', index % size.artworks),
    kind: 'offer',
  });
}

/**
 * Parents and their children: every offer names one of the people, in an order that has nothing to do with theirs.
 * Small documents, so that keys and not bytes decide how long it takes.
 */
export function writeFamily(folder: string, database: string, parents: number, children: number): void {
  const random = seededRandom(12);
  const home = join(folder, database);
  mkdirSync(home, { recursive: true });
  writeCollection(home, 'people', { count: parents, pattern: () => person(random), kind: 'person' });
  writeCollection(home, 'offers', {
    count: children,
    pattern: () => offer(random, { _id: OTHER_KEY }, { _id: KEY }),
    fill: (copy, { keyAt }, index) => writeKey(copy, keyAt, 'person', (index * 7919) % parents),
    kind: 'offer',
  });
}

/** Where a pattern's overwritten parts lie; -1 for what it does not have. */
interface Places {
  readonly keyAt: number;
  readonly lotAt: number;
  readonly textAt: number;
}

interface CollectionPattern {
  readonly count: number;
  readonly pattern: () => Document;
  /** Makes copy number `index` differ from the others, beyond its `_id`. */
  readonly fill?: (copy: Buffer, places: Places, index: number) => void;
  /** Goes into the `_id`s. */
  readonly kind: string;
  /** A text in the pattern that `fill` overwrites. */
  readonly textOf?: (document: Document) => string;
}

const CHUNK_BYTES = 8 * 1024 * 1024;

function writeCollection(
  home: string,
  name: string,
  { count, pattern, fill, kind, textOf }: CollectionPattern,
): void {
  const patterns = Array.from({ length: PATTERNS }, () => {
    const document = pattern();
    const bytes = Buffer.from(serialize(document));
    const lot = Buffer.alloc(4);
    lot.writeInt32LE(LOT_NUMBER);
    const places = {
      keyAt: bytes.indexOf(KEY.id),
      lotAt: bytes.indexOf(lot),
      textAt: textOf === undefined ? -1 : bytes.indexOf(textOf(document)),
    };
    return { bytes, places };
  });
  const file = openSync(join(home, `${name}.bson`), 'w');
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let used = 0;
  for (let index = 0; index < count; index++) {
    const { bytes, places } = patterns[index % PATTERNS] as (typeof patterns)[number];
    if (used + bytes.length > CHUNK_BYTES) {
      writeSync(file, chunk, 0, used);
      used = 0;
    }
    const copy = chunk.subarray(used, used + bytes.length);
    copy.set(bytes);
    writeKey(copy, ID_AT, kind, index);
    fill?.(copy, places, index);
    used += bytes.length;
  }
  writeSync(file, chunk, 0, used);
  closeSync(file);
  const metadata = {
    indexes: [{ v: { $numberInt: '2' }, key: { _id: { $numberInt: '1' } }, name: '_id_' }],
    uuid: '0123456789abcdef0123456789abcdef',
    collectionName: name,
    type: 'collection',
  };
  writeFileSync(join(home, `${name}.metadata.json`), JSON.stringify(metadata));
}

function keyOf(kind: string, index: number): Buffer {
  const key = Buffer.alloc(12);
  writeKey(key, 0, kind, index);
  return key;
}

/** The ObjectId of document number `index` of a kind: times ascend, the rest looks random. */
function writeKey(bytes: Buffer, at: number, kind: string, index: number): void {
  bytes.writeUInt32BE(0x4f4e_0000 + index * 40, at);
  bytes.writeUInt32BE(Math.imul(index + kind.length, 0x9e37_79b1) >>> 0, at + 4);
  bytes.writeUInt32BE(Math.imul(index ^ kind.charCodeAt(0), 0x85eb_ca6b) >>> 0, at + 8);
}
