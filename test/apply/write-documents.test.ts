import * as assert from 'uvu/assert';
import { Secret } from '../../src/secret.ts';
import { connectTarget } from '../../src/target/connect.ts';
import { accessTo, type Target, type TargetReader } from '../../src/target/target.ts';
import { MongoWriter } from '../../src/target/writer.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { QUIET } from '../quiet-run.ts';
import { insertRaw } from '../target/insert-raw.ts';
import { numbered } from './documents.ts';

let lab: Lab;
let target: Target;

test.before(async () => {
  lab = await openLab();
  const gate = { soakMs: 0, approvals: 0 };
  const plan = { uri: new Secret(lab.staging.uri), database: lab.databaseName('write'), gate };
  target = await connectTarget(QUIET, 'staging', plan);
});
test.after(async () => {
  await target.close();
  await lab.close();
});

/** The target's reader as it is while a write is on its way to the majority: its first look does not see the document. */
function lateReader(reader: TargetReader): TargetReader {
  let looks = 0;
  return {
    ...{ name: reader.name, plan: reader.plan, database: reader.database, identity: reader.identity },
    collection: (name) => reader.collection(name),
    async *lookUp(...question) {
      if (looks++ > 0) yield* reader.lookUp(...question);
    },
    aggregate: (...question) => reader.aggregate(...question),
    find: (...question) => reader.find(...question),
    count: (collection) => reader.count(collection),
    scan: (...question) => reader.scan(...question),
    databaseNames: () => reader.databaseNames(),
    serverTime: () => reader.serverTime(),
    authenticatedUser: () => reader.authenticatedUser(),
    identityNow: () => reader.identityNow(),
  };
}

test('a document that somebody else is writing at this moment is not taken for ours', async () => {
  const { commands } = accessTo(target);
  const documents = numbered(0, 3);
  await insertRaw(accessTo(target).writer, 'a', documents.slice(1, 2));
  const writer = new MongoWriter(commands, lateReader(target.reader));
  const outcome = await insertRaw(writer, 'a', documents, { identity: await writer.newIdentity() });
  assert.equal(outcome, { there: new Map([[1, 'same']]), faults: [] }, 'a revert would delete it otherwise');
});

test.run();
