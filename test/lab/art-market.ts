/**
 * A realistic art-market database, made from a seed: galleries (partners) and their artworks, auctions (sales) and the lots in them
 * (sale_artworks), offers that collectors (people) made on artworks. The fields use most BSON types that such data has.
 */
import { Binary, Decimal128, type Document, Double, Int32, Long, ObjectId } from 'bson';
import type { Db, IndexDescription } from 'mongodb';
import { type Random, seededRandom } from './random.ts';

/** The gallery that the demo destroys by mistake and restores. */
export const LOST_PARTNER = new ObjectId('57d17993a09a6759d8000d9e');

/** Documents by collection, in the order in which they are inserted. */
export type ArtMarket = Readonly<Record<CollectionName, readonly Document[]>>;

type CollectionName = 'partners' | 'artists' | 'people' | 'artworks' | 'sales' | 'sale_artworks' | 'offers';

export interface ArtMarketOptions {
  readonly seed?: number;
  /** Number of artworks; the other collections follow in proportion. Default 2,000. */
  readonly artworks?: number;
}

/** The data ends the day before the accident. */
const BEGIN = Date.parse('2012-03-01T00:00:00Z');
const END = Date.parse('2016-09-12T00:00:00Z');

export function artMarket({ seed = 1, artworks = 2000 }: ArtMarketOptions = {}): ArtMarket {
  const random = seededRandom(seed);
  const many = <T>(count: number, make: (index: number) => T): T[] =>
    Array.from({ length: count }, (_, index) => make(index));
  const share = (part: number): number => Math.max(2, Math.round(artworks * part));

  const partners = many(share(0.01), (index) => partner(random, index === 1 ? LOST_PARTNER : undefined));
  const artists = many(share(0.06), () => artist(random));
  const people = many(share(0.15), () => person(random));
  const works = many(artworks, () => artwork(random, random.pick(partners)['_id'], random.pick(artists)));
  const sales = many(share(0.012), () => sale(random));
  // A lot belongs to one sale; about a third of the artworks have been in a sale, some in two.
  const lots = many(share(0.4), (index) =>
    saleArtwork(random, random.pick(sales), random.pick(works), index),
  );
  const offers = many(share(0.3), () => offer(random, random.pick(works), random.pick(people)));
  return { partners, artists, people, artworks: works, sales, sale_artworks: lots, offers };
}

/** Indexes as such an application keeps them; a restore must not touch them, and a backup's metadata holds them. */
export const ART_MARKET_INDEXES: Readonly<Partial<Record<CollectionName, readonly IndexDescription[]>>> = {
  partners: [{ key: { slug: 1 }, name: 'slug_1', unique: true }],
  artworks: [
    { key: { partner_id: 1, published: 1 }, name: 'partner_id_1_published_1' },
    { key: { slug: 1 }, name: 'slug_1', unique: true },
  ],
  sale_artworks: [
    { key: { artwork_id: 1 }, name: 'artwork_id_1' },
    { key: { sale_id: 1, lot_number: 1 }, name: 'sale_id_1_lot_number_1', unique: true },
  ],
  offers: [{ key: { artwork_id: 1 }, name: 'artwork_id_1' }],
};

/** Creates the collections with their indexes and inserts everything. */
export async function fillArtMarket(database: Db, market: ArtMarket): Promise<void> {
  for (const [name, documents] of Object.entries(market) as [CollectionName, Document[]][]) {
    const collection = await database.createCollection(name);
    const indexes = ART_MARKET_INDEXES[name];
    if (indexes !== undefined) await collection.createIndexes([...indexes]);
    await collection.insertMany(documents, { writeConcern: { w: 'majority' } });
  }
}

const WORDS =
  `light shadow river harbour winter garden figure study blue yellow red silence memory street window mountain
  horse dancer mirror bridge night morning field letter table fruit portrait interior landscape composition untitled number movement
  column island cloud mask bird stone thread paper glass iron salt`.split(/\s+/);
const FIRST_NAMES =
  'Ada Bruno Chiara Dmitri Elif Farid Greta Hana Ines Jonas Keiko Léa Małgorzata Ngozi Øystein'.split(' ');
const LAST_NAMES =
  'Albers Bourgeois Calder Delaunay Ernst Frankenthaler Gris Höch Itten Judd Krasner Lam Martin'.split(' ');
const CITIES = ['New York', 'Berlin', 'São Paulo', '東京', 'Łódź', 'Beirut', 'Lagos', 'Paris'];
const MEDIUMS = [
  'Oil on canvas',
  'Gelatin silver print',
  'Bronze',
  'Watercolour on paper',
  'Lithograph',
  'Neon',
];

function partner(random: Random, id?: ObjectId): Document {
  const created = moment(random);
  const name = `${random.pick(LAST_NAMES)} & ${random.pick(LAST_NAMES)} Gallery`;
  return {
    _id: id ?? random.objectId(created),
    name,
    slug: slug(name, random),
    type: random.pick(['Gallery', 'Institution', 'Auction House']),
    contact: {
      email: `info@${slug(name, random)}.example`,
      cities: [random.pick(CITIES), random.pick(CITIES)],
    },
    commission: new Double(random.pick([0.05, 0.1, 0])),
    subscribed: random.chance(0.8),
    deleted_at: null,
    ...timestamps(random, created),
  };
}

function artist(random: Random): Document {
  const created = moment(random);
  const name = `${random.pick(FIRST_NAMES)} ${random.pick(LAST_NAMES)}`;
  const born = random.integer(1860, 1990);
  return {
    _id: random.objectId(created),
    name,
    slug: slug(name, random),
    years: {
      born: new Int32(born),
      died: random.chance(0.5) ? new Int32(born + random.integer(30, 70)) : null,
    },
    ...timestamps(random, created),
  };
}

export function person(random: Random): Document {
  const created = moment(random);
  const name = `${random.pick(FIRST_NAMES)} ${random.pick(LAST_NAMES)}`;
  return {
    _id: random.objectId(created),
    name,
    email: `${slug(name, random)}@example.org`,
    location: { city: random.pick(CITIES), coordinates: [random.fraction() * 180, random.fraction() * 90] },
    price_range: new Decimal128(`${random.integer(1, 90)}000.00`),
    ...timestamps(random, created),
  };
}

export function artwork(random: Random, partnerId: ObjectId, by: Document): Document {
  const created = moment(random);
  const title = words(random, random.integer(1, 4));
  const width = random.integer(10, 300);
  return {
    _id: random.objectId(created),
    partner_id: partnerId,
    artist_ids: [by['_id']],
    title,
    slug: slug(title, random),
    date: String(random.integer(1890, 2016)),
    medium: random.pick(MEDIUMS),
    published: random.chance(0.9),
    availability: random.pick(['for sale', 'sold', 'on hold', 'not for sale']),
    // A whole number that must stay a double, beside one that is an int32.
    dimensions: { width: new Double(width), height: new Double(random.integer(10, 300)), unit: 'cm' },
    edition_size: random.chance(0.3) ? new Int32(random.integer(3, 250)) : null,
    price: {
      amount: new Decimal128(`${random.integer(5, 9000)}00.00`),
      currency: random.pick(['USD', 'EUR', 'JPY']),
    },
    views: Long.fromNumber(random.integer(0, 5_000_000)),
    tags: Array.from({ length: random.integer(0, 6) }, () => random.pick(WORDS)),
    images: Array.from({ length: random.integer(1, 3) }, (_, index) => ({
      position: new Int32(index),
      fingerprint: new Binary(random.bytes(16), Binary.SUBTYPE_MD5),
      url: `https://images.example.net/${random.bytes(8).toString('hex')}/large.jpg`,
      geometry: { width: new Int32(random.integer(600, 4000)), height: new Int32(random.integer(600, 4000)) },
    })),
    description: words(random, random.integer(12, 50)),
    provenance: random.chance(0.4) ? `${random.pick(LAST_NAMES)} collection, ${random.pick(CITIES)}` : null,
    ...timestamps(random, created),
  };
}

function sale(random: Random): Document {
  const start = moment(random);
  return {
    _id: random.objectId(start),
    name: `${words(random, 2)}: ${random.pick(['Contemporary', 'Modern', 'Benefit'])} Auction`,
    currency: random.pick(['USD', 'EUR']),
    start_at: start,
    end_at: new Date(start.getTime() + 14 * 86_400_000),
    is_auction: true,
    bid_increments: [new Int32(100), new Int32(500), new Double(1000)],
    ...timestamps(random, start),
  };
}

export function saleArtwork(random: Random, of: Document, work: Document, lot: number): Document {
  const created = moment(random);
  const low = random.integer(1, 500);
  return {
    _id: random.objectId(created),
    sale_id: of['_id'],
    artwork_id: work['_id'],
    lot_number: new Int32(lot + 1),
    state: random.pick(['open', 'open', 'closed', 'draft']),
    estimate: {
      low: new Decimal128(`${low}00.00`),
      high: new Decimal128(`${low + random.integer(1, 200)}00.00`),
    },
    reserve: random.chance(0.5) ? Long.fromNumber(low * 9000) : null,
    bids: Array.from({ length: random.integer(0, 5) }, (_, index) => ({
      amount_cents: Long.fromNumber(low * 10_000 + index * 5000),
      at: new Date(created.getTime() + index * 3_600_000),
    })),
    ...timestamps(random, created),
  };
}

export function offer(random: Random, work: Document, by: Document): Document {
  const created = moment(random);
  return {
    _id: random.objectId(created),
    artwork_id: work['_id'],
    person_id: by['_id'],
    amount: new Decimal128(`${random.integer(1, 4000)}50.00`),
    state: random.pick(['submitted', 'accepted', 'declined', 'lapsed']),
    note: random.chance(0.5) ? words(random, random.integer(4, 20)) : null,
    ...timestamps(random, created),
  };
}

const moment = (random: Random): Date => new Date(BEGIN + Math.floor(random.fraction() * (END - BEGIN)));

function timestamps(random: Random, created: Date): Document {
  const updated = new Date(Math.min(END, created.getTime() + random.integer(0, 400) * 86_400_000));
  return { created_at: created, updated_at: updated };
}

function words(random: Random, count: number): string {
  const text = Array.from({ length: count }, () => random.pick(WORDS)).join(' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function slug(text: string, random: Random): string {
  const plain = text
    .toLowerCase()
    .normalize('NFD')
    .replace(/[^a-z0-9]+/g, '-');
  return `${plain}-${random.bytes(4).toString('hex')}`;
}
