/**
 * A shop whose customers were deleted by a script, and what the night made of it: the accident that the scenarios about runs
 * with conflicts begin with. Each customer has 3 orders of 2 items, 2 reviews and 3 sessions: 15 documents.
 *
 * After the accident, three customers are made again as they were, three with other content, the e-mail of one is taken by
 * somebody else, and seven sessions are over, so that the TTL index would delete them as soon as they are back.
 */
import { type Db, type Document, Int32, Long, type ObjectId } from 'mongodb';
import { seededRandom } from '../lab/random.ts';

export interface Shop {
  readonly customers: readonly Document[];
  readonly orders: readonly Document[];
  readonly items: readonly Document[];
  readonly reviews: readonly Document[];
  readonly sessions: readonly Document[];
}

const COLLECTIONS = ['customers', 'orders', 'items', 'reviews', 'sessions'] as const;
export const DOCUMENTS_PER_CUSTOMER = 15;

/** What happened to customers of the shop, by their place among the deleted ones. */
export const RECREATED_ALIKE = [0, 1, 2];
export const RECREATED_DIFFERENTLY = [3, 4, 5];
export const EMAIL_TAKEN = 6;
export const EXPIRED_SESSIONS = 7;

const FOUNDED = Date.UTC(2020, 0, 1);
const LONG_OVER = new Date(Date.UTC(2021, 0, 1));
const FAR_OFF = new Date(Date.UTC(2090, 0, 1));

/** `deleted` of the customers carry `churned: true`, spread evenly among the others. */
export function shop({ customers, deleted }: { readonly customers: number; readonly deleted: number }): Shop {
  const random = seededRandom(20_261_129);
  const id = (): ObjectId => random.objectId(new Date(FOUNDED + random.integer(0, 10 ** 11)));
  const made: Record<(typeof COLLECTIONS)[number], Document[]> = {
    customers: [],
    orders: [],
    items: [],
    reviews: [],
    sessions: [],
  };
  const every = Math.floor(customers / deleted);
  let expired = 0;
  let lost = 0;
  for (let number = 0; number < customers; number++) {
    const churned = number % every === 0 && lost < deleted;
    const place = churned ? lost++ : undefined;
    const customerId = id();
    made.customers.push({
      _id: customerId,
      number: new Int32(number),
      email: `customer-${number}@example.com`,
      churned,
      credit: Long.fromNumber(number * 1_000),
      notes: 'x'.repeat(random.integer(20, 300)),
    });
    for (let each = 0; each < 3; each++) {
      const orderId = id();
      made.orders.push({ _id: orderId, customerId, total: random.integer(1, 9_999) / 100 });
      for (let item = 0; item < 2; item++)
        made.items.push({ _id: id(), orderId, sku: `sku-${random.integer(1, 500)}` });
      // The sessions of customers that come back as they were; those of others are counted with their customers.
      const isOver = place !== undefined && place > EMAIL_TAKEN && expired < EXPIRED_SESSIONS;
      if (isOver) expired++;
      made.sessions.push({ _id: id(), customerId, expiresAt: isOver ? LONG_OVER : FAR_OFF });
    }
    for (let each = 0; each < 2; each++)
      made.reviews.push({ _id: id(), customerId, stars: new Int32(random.integer(1, 5)) });
  }
  return made;
}

export const lostCustomers = ({ customers }: Shop): Document[] => customers.filter(({ churned }) => churned);

export async function fillShop(database: Db, all: Shop): Promise<void> {
  for (const name of COLLECTIONS) await database.collection(name).insertMany(all[name] as Document[]);
  await database.collection('customers').createIndex({ email: 1 }, { unique: true });
}

/** Deletes the churned customers with all that hangs on them; then the night goes on. */
export async function loseCustomers(database: Db, all: Shop): Promise<void> {
  const lost = lostCustomers(all);
  const customerId = { $in: lost.map(({ _id }) => _id) };
  const orders = await database.collection('orders').find({ customerId }).project({ _id: 1 }).toArray();
  await database.collection('items').deleteMany({ orderId: { $in: orders.map(({ _id }) => _id) } });
  for (const name of ['orders', 'reviews', 'sessions'] as const)
    await database.collection(name).deleteMany({ customerId });
  await database.collection('customers').deleteMany({ churned: true });

  const customers = database.collection('customers');
  for (const place of RECREATED_ALIKE) await customers.insertOne(lost[place] as Document);
  for (const place of RECREATED_DIFFERENTLY) {
    await customers.insertOne({ ...lost[place], credit: new Int32(0), welcome: 'back' });
  }
  await customers.insertOne({ email: lost[EMAIL_TAKEN]?.['email'], number: new Int32(-1), churned: false });
  await database.collection('sessions').createIndex({ expiresAt: 1 }, { expireAfterSeconds: 0 });
}
