/** What holds of writes on a replica set and through a mongos alike, after their process was killed. */

import { serialize } from 'bson';
import type { Document, MongoClient } from 'mongodb';
import * as assert from 'uvu/assert';
import { findId } from '../../src/bson/documents.ts';
import type { RawValue } from '../../src/bson/types.ts';
import { Secret } from '../../src/secret.ts';
import { connectTarget } from '../../src/target/connect.ts';
import { accessTo, type Settlement, type Target } from '../../src/target/target.ts';
import { until } from '../follow-ups/until.ts';
import { setFailPoint } from '../lab/failpoint.ts';
import { QUIET } from '../quiet-run.ts';
import { insertRaw } from './insert-raw.ts';
import { writeInChild } from './writing-child.ts';

export interface CheckedPlace {
  readonly uri: string;
  readonly client: MongoClient;
  readonly database: string;
  /** With a collection's shard key `region`, if it has one. */
  readonly collection: string;
}

export function connectTo({ uri, database }: Pick<CheckedPlace, 'uri' | 'database'>): Promise<Target> {
  return connectTarget(QUIET, 'staging', {
    uri: new Secret(uri),
    database,
    gate: { soakMs: 0, approvals: 0 },
  });
}

/** `{_id: n, region, text}`, of two regions by turns. */
export function regional(n: number, text = 'ours'): Buffer {
  return Buffer.from(serialize({ _id: n, region: n % 2 === 0 ? 'eu' : 'us', text }));
}

export const idsOf = (documents: readonly Buffer[]): RawValue[] =>
  documents.map((document) => findId(document) as RawValue);

/** A client inserts and is killed; a new one finds out which of the documents were its, and writes nothing to do so. */
export async function checkWhoseInserts(place: CheckedPlace): Promise<void> {
  const { client, database, collection } = place;
  const theirs = client.db(database).collection<Document>(collection);
  const document = (n: number): Document => ({ _id: n, region: n % 2 === 0 ? 'eu' : 'us', text: 'ours' });
  // Somebody else's from before: of the very bytes.
  await theirs.insertMany([document(1), document(4)]);
  const documents = [0, 1, 2, 3, 4, 5].map((n) => regional(n));
  const child = await writeInChild({ ...place, action: 'insert', documents });
  await child.answered;
  await child.kill();
  // Of ours, one is removed, and one removed and put there by somebody else.
  await theirs.deleteMany({ _id: { $in: [2, 3] as never[] } });
  await theirs.insertOne(document(3));
  const target = await connectTo(place);
  try {
    const { writer } = accessTo(target);
    const before = await theirs.find().sort({ _id: 1 }).toArray();
    const ids = idsOf([...documents, regional(6), regional(7)]);
    const executed = await writer.executedStatements(collection, child.identity, ids);
    assert.equal([...(executed as Set<number>)].sort(), [0, 2, 3, 5]);
    assert.equal(await theirs.find().sort({ _id: 1 }).toArray(), before, 'it wrote nothing');
    const again = await writer.executedStatements(collection, child.identity, ids);
    assert.equal(again, executed, 'and may be asked again');
    const fresh = await writer.newIdentity();
    assert.equal(fresh && (await writer.executedStatements(collection, fresh, ids)), new Set());
  } finally {
    await target.close();
  }
}

/**
 * A client is killed with its transaction open: nobody can write to the document, until a new client has settled it. The commit,
 * which reaches the server late, changes nothing any more.
 */
export async function checkOpenTransaction(
  place: CheckedPlace,
  expected: Settlement,
  { settledThrough = place.uri } = {},
): Promise<void> {
  const { client, database, collection } = place;
  const theirs = client.db(database).collection<Document>(collection);
  const documents = [10, 11].map((n) => regional(n));
  const target = await connectTo({ uri: settledThrough, database });
  const { writer } = accessTo(target);
  await insertRaw(writer, collection, documents);
  const fault = await setFailPoint(client, {
    name: 'failCommand',
    mode: { times: 1 },
    data: {
      failCommands: ['commitTransaction'],
      appName: 'restore-plan',
      blockConnection: true,
      blockTimeMS: 10_000,
    },
  });
  try {
    const child = await writeInChild({ ...place, action: 'remove', documents });
    await until(async () => (await fault.timesFired()) > 0);
    await child.kill();
    const touch = (n: number): Promise<unknown> =>
      theirs.updateOne(
        { _id: n as never, region: n % 2 === 0 ? 'eu' : 'us' },
        { $set: { text: 'theirs' } },
        { maxTimeMS: 1_000 },
      );
    await assertRejects(touch(10), 'the transaction holds the document');
    assert.is(await writer.settleTransaction(collection, child.identity), expected);
    await touch(10);
    await touch(11);
    const idle = async (): Promise<boolean> => {
      const running = client
        .db('admin')
        .aggregate([{ $currentOp: {} }, { $match: { 'command.commitTransaction': 1, active: true } }]);
      return (await running.toArray()).length === 0;
    };
    await until(idle);
    assert.is(await theirs.countDocuments({ text: 'theirs' }), 2, 'the late commit came to nothing');
    assert.is.not(await writer.settleTransaction(collection, child.identity), 'committed');
  } finally {
    await fault.off();
    await target.close();
  }
}

async function assertRejects(action: Promise<unknown>, why: string): Promise<void> {
  const outcome = await action.then(
    () => 'done',
    (error: { code?: number }) => error.code,
  );
  assert.is(outcome, 50, why);
}
