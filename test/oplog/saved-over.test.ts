/** What a saving of an oplog may write over: its own file of the same oplog, and nothing else. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MongoClient, Timestamp } from 'mongodb';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { callPlan } from '../lab/call-plan.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import type { PlanRun } from '../lab/plan-command.ts';

let lab: Lab;
let folder: TemporaryFolder;
let database: string;

test.before(async () => {
  lab = await openLab();
  folder = temporaryFolder('saved-over');
  database = lab.databaseName('saved');
  for (const { client } of [lab.staging, lab.production])
    await client.db(database).collection('a').insertOne({ x: 1 });
});
test.after(async () => {
  folder.remove();
  await lab.close();
});

function save(file: string, uri: string): Promise<PlanRun> {
  const args = ['oplog', 'save', '--uri-env', 'OPLOG_URI', '--database', database, '--to', file];
  return callPlan(args, { cwd: folder.path, env: { OPLOG_URI: uri } });
}

/** Writes to one server until its oplog ends later than the other's. */
async function endLater(one: MongoClient, other: MongoClient): Promise<void> {
  const { operationTime: end } = await other.db('admin').command({ ping: 1 });
  for (;;) {
    const { operationTime } = await one.db(database).command({ insert: 'a', documents: [{ later: true }] });
    if ((operationTime as Timestamp).greaterThan(end)) return;
  }
}

test('a file that was there is left alone, as it may hold what no server has any longer', async () => {
  const file = join(folder.path, 'by-hand.bson');
  writeFileSync(file, 'saved by hand');
  const { exitCode, stderr } = await save('by-hand.bson', lab.staging.uri);
  assert.is(exitCode, 11, stderr);
  assert.match(stderr, /by-hand\.bson is there, and was not saved by this command/);
  assert.is(readFileSync(file, 'utf8'), 'saved by hand');
});

test('a file is gone on with from the oplog that it was saved from alone', async () => {
  const file = join(folder.path, 'own.bson');
  await lab.production.client.db(database).collection('a').insertOne({ x: 2 });
  await endLater(lab.staging.client, lab.production.client);
  assert.is((await save('own.bson', lab.staging.uri)).exitCode, 0);
  const saved = readFileSync(file);
  const other = await save('own.bson', lab.production.uri);
  assert.is(other.exitCode, 12, other.stderr);
  assert.match(other.stderr.replace(/\s+/g, ' '), /that was saved from another oplog/);
  assert.equal(readFileSync(file), saved);
  await endLater(lab.production.client, lab.staging.client);
  const newer = await save('own.bson', lab.production.uri);
  assert.is(newer.exitCode, 12, newer.stderr);
  assert.match(newer.stderr.replace(/\s+/g, ' '), /that was saved from another oplog/);
  assert.equal(readFileSync(file), saved);
  await lab.staging.client.db(database).collection('a').insertOne({ x: 2 });
  assert.is((await save('own.bson', lab.staging.uri)).exitCode, 0);
  assert.equal(readFileSync(file).subarray(0, saved.length), saved);
  assert.ok(readFileSync(file).length > saved.length);
});

test.run();
