/**
 * `source.preImages`: what a change stream tells of a database, with each document as it was before it was deleted or changed.
 *
 * The backup itself has no documents: it says which collections there are. The events say the rest, to oplog/pre-images.ts. A stream that is
 * asked to require pre-images ends at the first event without one, wanted or not, and names no document; so it is asked for them where they are
 * available, and whoever wants one that is missing refuses it by name.
 */
import { Long, Timestamp } from 'bson';
import type { Document, MongoClient } from 'mongodb';
import { buildDocument } from '../../bson/document-builder.ts';
import { elements, findElement, keyOf } from '../../bson/elements.ts';
import { showIsoDate } from '../../bson/extended-json-types.ts';
import { BSON } from '../../bson/types.ts';
import { RestorePlanError } from '../../errors.ts';
import { asBuffer, readCursor } from '../../mongo/raw-messages.ts';
import type { Source } from '../../plan/plan.ts';
import type { PreImagesLocation } from '../../plan/sources/mongodb.ts';
import type { Run } from '../../run.ts';
import type { Secret } from '../../secret.ts';
import type { Backup } from '../backup.ts';
import {
  connectLive,
  describeLive,
  field,
  LiveBackup,
  listCollections,
  liveFault,
  noDocuments,
} from './live-backup.ts';

const NAMED = 'source.preImages';

/** MongoDB 6.0, the first that keeps pre-images. */
const OLDEST_WIRE_VERSION = 17;
/** MongoDB 7.0, the first that splits events which are larger than a document may be. */
const SPLITS_EVENTS = 21;

/** Codes of a server. */
const HISTORY_LOST = new Set([286, 136]);
const TOO_LARGE = new Set([10334, 280]);

/** How long the server waits for news before it says that there are none, milliseconds. */
const AWAIT_MS = 200;
/** Clocks and timestamps differ by this much, seconds. */
const MARGIN_SECONDS = 1;

export const WITHOUT_PRE_IMAGES =
  'Restore from a backup with source.oplog instead, or, within minutes, with source.snapshot: `plan sources` says which of them reach back.';

/** Throws RestorePlanError BACKUP where the server cannot be reached, or keeps no pre-images at all. */
export async function openPreImages(
  run: Run,
  { uri }: PreImagesLocation,
  { database }: Source,
): Promise<Backup> {
  const { client, hosts } = await connectLive(run, uri, NAMED);
  try {
    refuseOthers(await asking('asking what it is', () => client.db('admin').command({ hello: 1 })));
    const db = client.db(database);
    const collections = await asking('listing collections', () => listCollections(db));
    const place = `${hosts}/${database}`;
    return new LiveBackup({
      identity: {
        location: `mongodb (pre-images) ${place}`,
        kind: 'pre-images',
        time: undefined,
        localTime: undefined,
        modified: undefined,
        size: undefined,
        // What was selected while they were there is found by this when they have expired.
        fingerprint: `preImages:${place}`,
      },
      collections,
      describe: (one) => asking('listing indexes', () => describeLive(db, one)),
      documents: noDocuments,
      close: () => client.close(),
    });
  } catch (error) {
    await client.close();
    throw error;
  }
}

function refuseOthers(hello: Document): void {
  const refuse = (what: string, hint: string): never => {
    throw new RestorePlanError('BACKUP', `${NAMED} names ${what}.`, { hint });
  };
  const isMongos = hello['msg'] === 'isdbgrid';
  if (!isMongos && hello['setName'] === undefined)
    refuse(
      'a server that is no member of a replica set, and has no change streams',
      'Restore from a backup.',
    );
  if (Number(hello['maxWireVersion']) < OLDEST_WIRE_VERSION)
    refuse('a server older than MongoDB 6.0, which keeps no pre-images', WITHOUT_PRE_IMAGES);
}

export interface ChangeRange {
  readonly database: string;
  /** Names of the collections whose events count. */
  readonly collections: readonly string[];
  /** UTC milliseconds; events from a little before on. */
  readonly from: number;
  /** Events that a primary wrote later need not come. */
  readonly until: number;
}

/**
 * What happened to collections and their documents, as raw events of a change stream in their order. An event that the server had to split is
 * whole again. Throws RestorePlanError BACKUP where the stream cannot begin so early, or ends, or `until` has not passed.
 */
export async function* changeEvents(
  run: Run,
  uri: Secret | undefined,
  { database, collections, from, until }: ChangeRange,
): AsyncGenerator<Buffer[]> {
  const { client } = await connectLive(run, uri, NAMED);
  try {
    const hello = await asking('asking what it is', () => client.db('admin').command({ hello: 1 }));
    requirePassed(hello, until);
    const now = (hello['operationTime'] as Timestamp).toBigInt();
    const behind = BigInt(Math.ceil(until / 1000) + MARGIN_SECONDS) << 32n;
    const end = now < behind ? now : behind;
    const names = { $in: [...collections] };
    const pipeline: Document[] = [
      {
        $changeStream: {
          startAtOperationTime: new Timestamp({
            t: Math.max(1, Math.floor(from / 1000) - MARGIN_SECONDS),
            i: 1,
          }),
          fullDocumentBeforeChange: 'whenAvailable',
        },
      },
      {
        $match: {
          $or: [
            { 'ns.coll': names },
            { 'to.coll': names },
            { operationType: { $in: ['dropDatabase', 'invalidate'] } },
          ],
        },
      },
      ...(Number(hello['maxWireVersion']) >= SPLITS_EVENTS ? [{ $changeStreamSplitLargeEvent: {} }] : []),
    ];
    yield* whole(batches(run, client, { database, pipeline, end }));
  } finally {
    await client.close();
  }
}

/** A selection is kept and used again: what happens later must not be missing in it. */
function requirePassed(hello: Document, until: number): void {
  const { isWritablePrimary, localTime, operationTime } = hello;
  // Nobody writes before the clock of who writes; another member knows only what has come to it.
  const reached =
    isWritablePrimary === true ? Number(localTime) : 1000 * ((operationTime as Timestamp).t + 1);
  if (reached >= until) return;
  const [now, end] = [reached, until].map((time) => showIsoDate(time) ?? `${time} ms after 1970`);
  throw new RestorePlanError(
    'BACKUP',
    `${NAMED}: its server is at ${now}, before ${end}, until when the plan asks what happened.`,
    {
      hint: 'Until then nobody knows what else happens. Let the entries end at a moment that has passed, or run again behind it. Nothing of it was used.',
    },
  );
}

interface Stream {
  readonly database: string;
  readonly pipeline: readonly Document[];
  /** The cluster time up to which it is read, as the number that a timestamp is. */
  readonly end: bigint;
}

/** Reads until the stream has passed its end; what no event wants moves it on, too. */
async function* batches(
  { signal }: Run,
  client: MongoClient,
  { database, pipeline, end }: Stream,
): AsyncGenerator<Buffer[]> {
  const db = client.db(database);
  const raw = { raw: true } as object;
  const command = { aggregate: 1, pipeline, cursor: {}, readConcern: { level: 'majority' } };
  const session = client.startSession();
  let id: unknown;
  try {
    const options = { ...raw, session };
    let reply = await asking('opening a change stream', () => db.command(command, options));
    for (;;) {
      signal.throwIfAborted();
      const { events, id: next, position } = readReply(reply);
      id = next;
      if (events.length > 0) yield events;
      // Events of one transaction, and parts of one event, have one time: a reply may end between them.
      if (position > end || (position === end && events.length === 0)) return;
      if (next.isZero()) throw closed();
      const more = { getMore: next, collection: '$cmd.aggregate', maxTimeMS: AWAIT_MS };
      reply = await asking('reading the change stream', () => db.command(more, options));
    }
  } finally {
    if (id !== undefined)
      await db.command({ killCursors: '$cmd.aggregate', cursors: [id] }, { session }).catch(() => undefined);
    await session.endSession();
  }
}

/** The server ends a stream when its database is dropped. */
function closed(): RestorePlanError {
  return new RestorePlanError(
    'BACKUP',
    `${NAMED}: the database was dropped before the end of what is asked for, and with it its change stream ended.`,
    { hint: `Let the entries end before that. ${WITHOUT_PRE_IMAGES}` },
  );
}

interface StreamReply {
  readonly events: Buffer[];
  readonly id: Long;
  /** The stream has given everything up to this cluster time. */
  readonly position: bigint;
}

/** `826B0D183900000007…`: a resume token begins with its timestamp, since MongoDB 4.0.7. */
const TOKEN = /^82([0-9A-F]{16})/i;

function readReply(reply: Document): StreamReply {
  const { documents, id } = readCursor(reply);
  const cursor = asBuffer(reply['cursor']);
  const token = field(cursor, 'postBatchResumeToken');
  const data = token && findElement(cursor, token.start, Buffer.from('_data'));
  const text = data?.type === BSON.STRING ? data.bytes.toString('latin1', data.start + 4, data.end - 1) : '';
  const [, time] = TOKEN.exec(text) ?? [];
  if (time === undefined) {
    throw new RestorePlanError('BACKUP', `${NAMED} does not say how far its change stream has come.`, {
      hint: `The server is of a kind that is not known here. ${WITHOUT_PRE_IMAGES}`,
    });
  }
  return { events: documents, id: Long.fromBigInt(id), position: BigInt(`0x${time}`) };
}

/** Puts together what `$changeStreamSplitLargeEvent` took apart: each part has some of the fields, and says how many parts there are. */
async function* whole(batches: AsyncIterable<Buffer[]>): AsyncGenerator<Buffer[]> {
  let parts: Buffer[] = [];
  for await (const batch of batches) {
    const events: Buffer[] = [];
    for (const event of batch) {
      const split = field(event, 'splitEvent');
      const numberOf = (key: string): number => {
        const value = split && findElement(event, split.start, Buffer.from(key));
        return value === undefined ? 1 : event.readInt32LE(value.start);
      };
      if (split === undefined) {
        events.push(event);
        continue;
      }
      parts.push(Buffer.from(event));
      if (numberOf('fragment') < numberOf('of')) continue;
      events.push(joined(parts));
      parts = [];
    }
    if (events.length > 0) yield events;
  }
}

function joined(parts: readonly Buffer[]): Buffer {
  const seen = new Set<string>();
  return buildDocument((builder) => {
    for (const part of parts) {
      for (const element of elements(part)) {
        const key = keyOf(element);
        if (seen.has(key)) continue;
        seen.add(key);
        builder.element(element.type, key);
        builder.value(element);
      }
    }
  });
}

async function asking<T>(doing: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    const { code } = cause as { code?: unknown };
    const error = (why: string): RestorePlanError =>
      new RestorePlanError('BACKUP', `${NAMED}: ${why}.`, { hint: WITHOUT_PRE_IMAGES, cause });
    if (typeof code === 'number' && HISTORY_LOST.has(code))
      throw error(
        'the oplog no longer reaches back to what is asked for (ChangeStreamHistoryLost), and the pre-images with it',
      );
    if (typeof code === 'number' && TOO_LARGE.has(code))
      throw error(
        'the server cannot send an event, which is larger than a document may be (MongoDB 7.0 can split it)',
      );
    throw liveFault(cause, doing, NAMED);
  }
}
