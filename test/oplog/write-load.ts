/** A replica set that is written to while a dump is taken: random updates of every kind, inserts, deletes, transactions. */
import type { Collection, Document, MongoClient } from 'mongodb';
import { writeExtendedJson } from '../../src/bson/write-extended-json.ts';
import { randomUpdate } from '../differential/random-updates.ts';
import { command, RawConnection } from '../differential/raw-connection.ts';
import { type Random, seededRandom } from '../lab/random.ts';
import type { ReplicaSet } from '../lab/replica-set.ts';

const WRITERS = 3;

/** Fills `database.a` and `database.b` with so many documents each. */
export async function fill(client: MongoClient, database: string, documents: number): Promise<void> {
  const random = seededRandom(7);
  for (const name of ['a', 'b']) {
    for (let from = 0; from < documents; from += 5000) {
      const some = Array.from({ length: Math.min(5000, documents - from) }, (_, i) => ({
        _id: (from + i) as never,
        n: random.integer(0, 1000),
        text: 'x'.repeat(random.integer(10, 400)),
        deep: { list: [1, 2, { three: 3 }] },
      }));
      await client.db(database).collection(name).insertMany(some);
    }
  }
}

/** Does `work` while the two collections are written to. Returns how many writes there were. */
export async function underLoad(
  set: ReplicaSet,
  database: string,
  documents: number,
  work: () => Promise<void>,
): Promise<number> {
  const { port } = await set.primary();
  let isOver = false;
  const writers = Array.from({ length: WRITERS }, async (_, writer) => {
    const connection = await RawConnection.open(port);
    const random = seededRandom(100 + writer);
    let writes = 0;
    while (!isOver) writes += await writeSome(set.client, { connection, database, documents, random });
    connection.close();
    return writes;
  });
  // So that the dump begins within the load.
  await new Promise((resolve) => setTimeout(resolve, 300));
  await work();
  await new Promise((resolve) => setTimeout(resolve, 300));
  isOver = true;
  return (await Promise.all(writers)).reduce((sum, writes) => sum + writes, 0);
}

interface Writing {
  readonly connection: RawConnection;
  readonly database: string;
  readonly documents: number;
  readonly random: Random;
}

async function writeSome(
  client: MongoClient,
  { connection, database, documents, random }: Writing,
): Promise<number> {
  const id = (): number => random.integer(0, documents);
  const name = random.pick(['a', 'b']);
  const collection: Collection<Document> = client.db(database).collection(name);
  const kind = random.integer(0, 9);
  if (kind < 7) {
    const updates = Array.from({ length: 20 }, () =>
      writeExtendedJson(randomUpdate(random, id()), { dialect: 'query' }),
    );
    await connection.send(command({ update: name, updates, ordered: false, $db: database }));
    return updates.length;
  }
  if (kind === 7) {
    await collection.deleteMany({ n: random.integer(0, 1000) });
    return 1;
  }
  if (kind === 8) {
    await collection.insertMany(
      Array.from({ length: 5 }, () => ({ n: random.integer(0, 1000), made: new Date() })),
    );
    return 5;
  }
  await client.withSession((session) =>
    session.withTransaction(async () => {
      await collection.updateOne({ _id: id() as never }, { $set: { together: id() } }, { session });
      await client.db(database).collection('b').insertOne({ together: id() }, { session });
    }),
  );
  return 2;
}
