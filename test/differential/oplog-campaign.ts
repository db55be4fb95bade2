/**
 * Random writes on a real replica set, and the question of the oplog engine: from any earlier state, does following the oplog give the
 * documents that the server has, byte for byte?
 *
 * States are read between rounds. Each is rolled to each later one, twice: from the entry after it, and from the very first entry, as the
 * replay of a dump begins before its documents were read.
 */
import { MongoClient, Timestamp } from 'mongodb';
import { canonicalKey } from '../../src/bson/canonical-bytes.ts';
import { findId } from '../../src/bson/documents.ts';
import { showDocument } from '../../src/bson/show.ts';
import { BSON, type RawValue } from '../../src/bson/types.ts';
import { writeExtendedJson } from '../../src/bson/write-extended-json.ts';
import { type Timestamp as Moment, OP, OplogEntry } from '../../src/oplog/entry.ts';
import { CannotRoll } from '../../src/oplog/faults.ts';
import { Replay } from '../../src/oplog/replay.ts';
import { updateKind } from '../../src/oplog/updates/update.ts';
import { commandOf } from '../../src/oplog/wanted.ts';
import { type Random, seededRandom } from '../lab/random.ts';
import type { ReplicaSet } from '../lab/replica-set.ts';
import { randomUpdate } from './random-updates.ts';
import { randomObject, withoutRepeats } from './random-values.ts';
import { command, failureOf, RawConnection } from './raw-connection.ts';

export interface OplogCampaign {
  readonly seed: number;
  /** Statements sent; some of them the server refuses. */
  readonly updates: number;
  readonly rounds?: number;
  readonly documents?: number;
}

export interface OplogCampaignResult {
  readonly sent: number;
  readonly refusedByServer: number;
  readonly entries: number;
  readonly kinds: Readonly<Record<string, number>>;
  /** Documents rolled and compared. */
  readonly compared: number;
  readonly mismatches: readonly string[];
}

interface State {
  /** The newest entry at that time. */
  readonly ts: Moment;
  readonly documents: readonly Buffer[];
}

const STATEMENTS_TOGETHER = 50;

export async function runOplogCampaign(
  set: ReplicaSet,
  campaign: OplogCampaign,
): Promise<OplogCampaignResult> {
  const { seed, updates, rounds = 8, documents = 150 } = campaign;
  const random = seededRandom(seed);
  const database = `oplog-${seed}`;
  const client = await new MongoClient(set.uri).connect();
  const connection = await RawConnection.open((await set.primary()).port);
  const writer = new Writer(connection, database, random, documents);
  try {
    await client.db(database).createCollection('c');
    const [info] = await client.db(database).listCollections({ name: 'c' }).toArray();
    const uuid = (
      info as unknown as { info: { uuid: { toString(format: string): string } } }
    ).info.uuid.toString('hex');
    const first = await newest(client);
    await writer.insertAll();
    const states: State[] = [await state(client, database)];
    for (let round = 0; round < rounds; round++) {
      await writer.write(Math.ceil(updates / rounds));
      states.push(await state(client, database));
    }
    const entries = await entriesAfter(client, first);
    const { compared, mismatches } = compareAll(states, entries, { uuid, namespace: `${database}.c` });
    return {
      sent: writer.sent,
      refusedByServer: writer.refused,
      entries: entries.length,
      kinds: kindsOf(entries),
      compared,
      mismatches,
    };
  } finally {
    connection.close();
    await client.db(database).dropDatabase();
    await client.close();
  }
}

class Writer {
  sent = 0;
  refused = 0;
  readonly #connection: RawConnection;
  readonly #database: string;
  readonly #random: Random;
  readonly #documents: number;
  #transaction = 0;

  constructor(connection: RawConnection, database: string, random: Random, documents: number) {
    this.#connection = connection;
    this.#database = database;
    this.#random = random;
    this.#documents = documents;
  }

  async insertAll(): Promise<void> {
    for (let id = 0; id < this.#documents; id += 100) {
      const some = Array.from({ length: Math.min(100, this.#documents - id) }, (_, i) =>
        this.#document(id + i),
      );
      await this.#send(command({ insert: 'c', documents: some, $db: this.#database }));
    }
  }

  async write(count: number): Promise<void> {
    for (const end = this.sent + count; this.sent < end; ) {
      const kind = this.#random.integer(0, 19);
      if (kind < 6) await this.#updates();
      else if (kind < 17) await this.#transactionOf();
      else if (kind === 17) await this.#deletes();
      else await this.#inserts();
    }
  }

  #updates(more: Record<string, Buffer | boolean> = {}): Promise<Buffer> {
    const updates = Array.from({ length: STATEMENTS_TOGETHER }, () => this.#update());
    this.sent += updates.length;
    return this.#send(command({ update: 'c', updates, ordered: false, $db: this.#database, ...more }));
  }

  /** A transaction of some statements, each of which may be refused and then ends it; half of them are aborted. */
  async #transactionOf(): Promise<void> {
    const random = this.#random;
    const session = {
      lsid: command({ id: { type: BSON.BINARY, bytes: uuidValue(random), start: 0, end: 21 } }),
      txnNumber: int64(++this.#transaction),
      autocommit: false,
    };
    let start: Record<string, boolean> = { startTransaction: true };
    for (let i = random.integer(1, 5); i > 0; i--) {
      this.sent++;
      const reply = await this.#connection.send(
        command({ update: 'c', updates: [this.#update()], $db: this.#database, ...session, ...start }),
      );
      start = {};
      if (failureOf(reply) !== undefined) {
        this.refused++;
        return;
      }
    }
    const end = random.chance(0.2) ? 'abortTransaction' : 'commitTransaction';
    await this.#connection.send(command({ [end]: 1, $db: 'admin', ...session }));
  }

  #deletes(): Promise<Buffer> {
    const random = this.#random;
    const many = command({ _id: command({ $mod: listOf(random.integer(20, 60), random.integer(0, 19)) }) });
    const deletes = [
      command({ q: command({ _id: this.#id() }), limit: 1 }),
      ...(random.chance(0.2) ? [command({ q: many, limit: 0 })] : []),
    ];
    this.sent += deletes.length;
    return this.#send(command({ delete: 'c', deletes, ordered: false, $db: this.#database }));
  }

  /** What was deleted comes back, some of it as another number type, and new documents come. */
  #inserts(): Promise<Buffer> {
    const documents = Array.from({ length: 5 }, () => this.#document(this.#id()));
    this.sent += documents.length;
    return this.#send(command({ insert: 'c', documents, ordered: false, $db: this.#database }));
  }

  #id(): number {
    return this.#random.integer(0, Math.ceil(this.#documents * 1.2));
  }

  #update(): Buffer {
    return writeExtendedJson(randomUpdate(this.#random, this.#id()), { dialect: 'query' });
  }

  #document(id: number): Buffer {
    const content = withoutRepeats(randomObject(this.#random, 3)) as Map<string, never>;
    return writeExtendedJson(new Map<string, unknown>([['_id', id], ...content]));
  }

  async #send(message: Buffer): Promise<Buffer> {
    const reply = await this.#connection.send(message);
    this.refused += writeErrors(reply);
    return reply;
  }
}

function uuidValue(random: Random): Buffer {
  const bytes = Buffer.concat([Buffer.from([16, 0, 0, 0, 4]), random.bytes(16)]);
  return bytes;
}

function int64(number: number): RawValue {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(number));
  return { type: BSON.INT64, bytes, start: 0, end: 8 };
}

function listOf(...numbers: number[]): RawValue {
  const bytes = command(Object.fromEntries(numbers.map((number, index) => [`${index}`, number])));
  return { type: BSON.ARRAY, bytes, start: 0, end: bytes.length };
}

function writeErrors(reply: Buffer): number {
  const text = showDocument(reply);
  return text.split('errmsg').length - 1;
}

async function newest(client: MongoClient): Promise<Moment> {
  const [entry] = await client
    .db('local')
    .collection('oplog.rs')
    .find()
    .sort({ $natural: -1 })
    .limit(1)
    .toArray();
  const ts = entry?.['ts'] as Timestamp;
  return { seconds: ts.getHighBits() >>> 0, ordinal: ts.getLowBits() >>> 0 };
}

async function state(client: MongoClient, database: string): Promise<State> {
  const found = client.db(database).collection('c').find({}, { raw: true, batchSize: 10_000 });
  const documents = (await found.toArray()).map((each) => Buffer.from(each as unknown as Uint8Array));
  return { ts: await newest(client), documents };
}

async function entriesAfter(client: MongoClient, { seconds, ordinal }: Moment): Promise<Buffer[]> {
  const after = { ts: { $gt: new Timestamp({ t: seconds, i: ordinal }) } };
  const found = client.db('local').collection('oplog.rs').find(after, { raw: true, batchSize: 10_000 });
  return (await found.toArray()).map((each) => Buffer.from(each as unknown as Uint8Array));
}

function compareAll(
  states: readonly State[],
  entries: readonly Buffer[],
  { uuid, namespace }: { readonly uuid: string; readonly namespace: string },
): { readonly compared: number; readonly mismatches: string[] } {
  const mismatches: string[] = [];
  let compared = 0;
  for (const [i, from] of states.entries()) {
    for (const to of states.slice(i + 1)) {
      for (const begin of [undefined, { seconds: from.ts.seconds, ordinal: from.ts.ordinal + 1 }]) {
        const replay = new Replay({
          collections: [{ collection: 'c', namespace, uuid }],
          begin,
          cut: { ts: { seconds: to.ts.seconds, ordinal: to.ts.ordinal + 1 } },
          spillPath: '/nowhere/',
        });
        for (const entry of entries) if (!replay.entry(entry, 0)) break;
        const rolled = roll(replay, from.documents, mismatches);
        const expected = new Map(to.documents.map((document) => [idOf(document), document]));
        for (const [id, document] of expected) {
          compared++;
          const got = rolled.get(id);
          if (got?.equals(document)) continue;
          mismatches.push(
            `${showDocument(document)}\nand not\n${got === undefined ? 'none' : showDocument(got)}`,
          );
        }
        for (const id of rolled.keys()) if (!expected.has(id)) mismatches.push(`too many: ${id}`);
      }
    }
  }
  return { compared, mismatches };
}

function roll(replay: Replay, base: readonly Buffer[], mismatches: string[]): Map<string, Buffer> {
  const { touched } = replay.finish();
  const [documents] = touched;
  if (documents === undefined) throw new Error('no collection');
  const rolled = new Map<string, Buffer>();
  const take = (bytes: Buffer, start: number, end: number): void => {
    const document = Buffer.from(bytes.subarray(start, end));
    rolled.set(idOf(document), document);
  };
  const tried = (number: number, document: Buffer | undefined): void => {
    try {
      documents.roll(number, document, 0, take);
    } catch (fault) {
      if (!(fault instanceof CannotRoll)) throw fault;
      mismatches.push(fault.message);
    }
  };
  for (const document of base) {
    const number = documents.find(findId(document) as RawValue);
    if (number < 0) take(document, 0, document.length);
    else tried(number, document);
  }
  for (const number of documents.notInBackup()) tried(number, undefined);
  return rolled;
}

function idOf(document: Buffer): string {
  return canonicalKey(findId(document) as RawValue);
}

/** How many entries there are of each kind; updates by what they hold. */
function kindsOf(entries: readonly Buffer[]): Record<string, number> {
  const kinds: Record<string, number> = {};
  const entry = new OplogEntry();
  for (const bytes of entries) {
    const { op, opText, o } = entry.read(bytes, 0);
    const kind =
      op === OP.UPDATE ? `u ${updateKind(bytes, o)}` : op === OP.COMMAND ? commandOf(entry) : opText;
    kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  return kinds;
}
