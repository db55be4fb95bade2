/** What a saving of an oplog may write over, in a file and below a prefix of a bucket: its own of the same oplog, and nothing else. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { Document, MongoClient, Timestamp } from 'mongodb';
import * as assert from 'uvu/assert';
import { useCredentials } from '../backup/reading.ts';
import { killSaves } from '../faults/oplog-save-campaign.ts';
import { test } from '../harness.ts';
import { callPlan } from '../lab/call-plan.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { startHttpProxy } from '../lab/http-proxy.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { jsonLines, type PlanRun } from '../lab/plan-command.ts';
import type { Bucket } from '../lab/s3.ts';
import { mongodump } from '../lab/tools.ts';

let lab: Lab;
let folder: TemporaryFolder;
let database: string;
let bucket: Bucket;

test.before(async () => {
  lab = await openLab();
  folder = temporaryFolder('saved-over');
  database = lab.databaseName('saved');
  bucket = await lab.bucket('saved');
  useCredentials(lab.s3);
  process.env['AWS_ENDPOINT_URL_S3'] = lab.s3.endpoint;
  for (const { client } of [lab.staging, lab.production])
    await client.db(database).collection('a').insertOne({ x: 1 });
});
test.after(async () => {
  folder.remove();
  await lab.close();
});

function save(to: string, uri: string): Promise<PlanRun> {
  const args = ['oplog', 'save', '--uri-env', 'OPLOG_URI', '--database', database, '--to', to];
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

interface Planned {
  /** Of source.oplog. */
  readonly oplog: string;
  readonly at: Date;
  readonly collection?: string;
}

let begins: string;

/** Runs a command on a plan that rolls the dump forward, and returns its line of JSON. */
async function planned(
  { oplog, at, collection = 'pictures' }: Planned,
  ...args: string[]
): Promise<PlanRun & { readonly line: Document }> {
  writeFileSync(
    join(folder.path, 'plan.yaml'),
    `version: 1
name: saved
reason: gone
source:
  database: ${database}
  path: ./dump
  at: ${at.toISOString()}
  oplog: { ${oplog}, begins: ${begins} }
collections:
  - { collection: ${collection}, query: {} }
targets:
  staging: { uri: "\${OPLOG_URI}", database: ${database}-staging }
`,
  );
  const env = { OPLOG_URI: lab.staging.uri };
  rmSync(join(folder.path, '.restore-plan'), { recursive: true, force: true });
  const ran = await callPlan([...args, 'plan.yaml', '--json'], { cwd: folder.path, env });
  const type = args[0] === 'oplog' ? `oplog-${args[1]}` : args[0];
  return { ...ran, line: jsonLines(ran.stdout).find((line) => line['type'] === type) as Document };
}

const LIVE = `mongodb: { uri: "\${OPLOG_URI}" }`;
const series = (prefix = 'day/oplog'): string =>
  `s3: { bucket: ${bucket.name}, key: ${prefix}/, endpoint: ${lab.s3.endpoint}, forcePathStyle: true }`;
const address = (prefix = 'day/oplog'): string => `s3://${bucket.name}/${prefix}`;

/** In the order of their moments: within a second, the 110th entry comes after the 58th. */
async function keysBelow(prefix: string): Promise<string[]> {
  const { Contents = [] } = await bucket.client.send(
    new ListObjectsV2Command({ Bucket: bucket.name, Prefix: prefix }),
  );
  const keys = Contents.map(({ Key = '' }) => Key);
  return keys.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

async function objectAt(key: string): Promise<Buffer> {
  const { Body } = await bucket.client.send(new GetObjectCommand({ Bucket: bucket.name, Key: key }));
  return Buffer.from(await (Body as NonNullable<typeof Body>).transformToByteArray());
}

/** A dump, then a day of changes in three parts; before each but the first the oplog is saved. Returns a moment near its end. */
async function threeSavings(): Promise<{ readonly at: Date; readonly saved: Document[] }> {
  const db = lab.staging.client.db(database);
  await db.collection('others').insertOne({ x: 1 });
  const pictures = db.collection('pictures');
  await pictures.insertMany(Array.from({ length: 100 }, (_, i) => ({ _id: i as never, n: i })));
  begins = new Date().toISOString();
  await mongodump(lab.staging.uri, ['--db', database, '--out', join(folder.path, 'dump')]);
  const order = { oplog: LIVE, at: new Date() };
  const saved: Document[] = [];
  const keep = async (): Promise<void> => {
    const { exitCode, stderr, line } = await planned(order, 'oplog', 'save', '--to', address());
    assert.is(exitCode, 0, stderr);
    saved.push(line);
  };
  await pictures.updateMany({ n: { $lt: 50 } }, { $inc: { n: 1000 } });
  for (let i = 0; i < 4; i++) await pictures.insertOne({ large: 'x'.repeat(5_000_000) });
  await pictures.rename('renamed');
  await keep();
  await db.collection('renamed').updateMany({ n: { $gte: 1000 } }, { $set: { byAnotherName: true } });
  await keep();
  await db.collection('renamed').rename('pictures');
  await pictures.deleteMany({ n: { $gt: 1040 } });
  const at = new Date(Date.now() + 1);
  while (Date.now() <= at.getTime());
  await pictures.insertOne({ later: true });
  await keep();
  return { at, saved };
}

let day: Awaited<ReturnType<typeof threeSavings>>;

test('below a prefix: objects that go on from each other, and the documents and the sum of the live oplog', async () => {
  day = await threeSavings();
  const { at, saved } = day;
  const keys = await keysBelow('day/oplog/');
  assert.ok(keys.length >= 4, keys.join('\n'));
  for (const [i, key] of keys.entries()) {
    assert.match(key, /^day\/oplog\/\d{14}-\d+\.\d{14}-\d+\.bson$/);
    const next = keys[i + 1]?.slice('day/oplog/'.length);
    if (next !== undefined) assert.ok(key.endsWith(`.${next.split('.')[0]}.bson`), `${key}\n${next}`);
  }
  const [first, second, third] = saved as [Document, Document, Document];
  assert.is(third['file'], `${address()}/`);
  assert.is(second['resumedFrom'], first['entries']);
  assert.is(third['resumedFrom'], second['entries']);
  const sizes = await Promise.all(keys.map(async (key) => (await objectAt(key)).length));
  assert.is(
    third['bytes'],
    sizes.reduce((a, b) => a + b),
  );
  const told = async (oplog: string): Promise<unknown> => {
    const { exitCode, stderr, line } = await planned({ oplog, at }, 'select');
    assert.is(exitCode, 0, stderr);
    // Not `cut`: the live oplog may have an entry about something else after the last one of these.
    const { entries, sha256 } = line['backup'].oplog;
    return { selection: line['selection'], entries, sha256 };
  };
  assert.equal(await told(series()), await told(LIVE));
  const { line } = await planned({ oplog: series(), at }, 'oplog', 'check');
  assert.ok(line['serves'], line['problems'].join());
});

test('below a prefix: what is missing, cut off or of something else is refused by name, read or gone on with', async () => {
  const { at } = day;
  const [first = '', second = '', ...more] = await keysBelow('day/oplog/');
  const last = more.at(-1) as string;
  const refused = async (oplog: string, code: number, message: RegExp, ...args: string[]): Promise<void> => {
    const { exitCode, stderr } = await planned({ oplog, at }, ...args);
    assert.is(exitCode, code, stderr);
    assert.match(stderr.replaceAll(/\s+/g, ' '), message);
  };
  const goOn = ['oplog', 'save', '--to', address()];
  const whole = await objectAt(second);
  await bucket.remove(second);
  await refused(series(), 12, /nothing covers what lies between .* source\.at no later than/, 'select');
  await refused(LIVE, 11, /does not begin where the object before it ends/, ...goOn);
  await bucket.put(second, whole);
  const end = await objectAt(last);
  // Near its beginning: what follows the first entry after `at` is not read.
  const firstEnd = end.readInt32LE(0);
  await bucket.put(last, end.subarray(0, firstEnd + 7));
  await refused(series(), 12, /the last \d+ bytes are not a whole document/, 'select');
  await refused(LIVE, 11, /is not whole/, ...goOn);
  await bucket.put(last, end.subarray(0, firstEnd));
  await refused(series(), 12, /is cut off: its name says that it reaches to/, 'select');
  await bucket.put(last, end);
  const others = await planned({ oplog: LIVE, at, collection: 'others' }, ...goOn);
  assert.is(others.exitCode, 11, others.stderr);
  assert.match(others.stderr, /holds the entries for other collections/);
  const unsaved = await planned({ oplog: series(), at, collection: 'others' }, 'select');
  assert.is(unsaved.exitCode, 12, unsaved.stderr);
  assert.match(unsaved.stderr, /only the entries for pictures/);
  await bucket.put('day/oplog/notes.txt', 'by hand');
  await refused(LIVE, 11, /notes\.txt is there, and was not saved by this command/, ...goOn);
  await bucket.remove('day/oplog/notes.txt');
  assert.ok((await keysBelow('day/oplog/')).includes(first));
});

test('below a prefix: killed at random moments and run again, the entries are those of one file', async () => {
  const place = temporaryFolder('series-kills');
  const at = await lab.bucket('kills');
  try {
    const of = { uri: lab.staging.uri, database, folder: place.path };
    await killSaves({ ...of, kills: 3, seed: 20_262, bucket: { at, server: lab.s3 } });
  } finally {
    place.remove();
  }
});

test('below a prefix: a place that cannot be written to is told by name', async () => {
  const told = async (to: string, code: number, message: RegExp): Promise<void> => {
    const { exitCode, stderr } = await save(to, lab.staging.uri);
    assert.is(exitCode, code, stderr);
    assert.match(stderr.replaceAll(/\s+/g, ' '), message);
  };
  await told(`s3://${bucket.name}`, 11, /names a whole bucket .*--to s3:\/\/saved/);
  await told(`s3://${bucket.name}/*/x`, 11, /takes \*, \{ and \} in a key for a pattern/);
  await told('gs://bucket/x', 11, /is no place to save to/);
  await told('s3://no-such-bucket/x', 20, /the bucket does not exist.*s3:PutObject/);
  const proxy = await startHttpProxy(Number(new URL(lab.s3.endpoint).port));
  process.env['AWS_ENDPOINT_URL_S3'] = proxy.endpoint;
  const xml = (code: string, more = ''): string =>
    `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>no</Message>${more}</Error>`;
  try {
    const put = {
      when: ({ method }: { readonly method?: string | undefined }) => method === 'PUT',
      times: 99,
    };
    proxy.setFault({ ...put, answer: { status: 403, body: xml('AccessDenied') } });
    await told(address('new'), 20, /may not be written with these credentials.*s3:PutObject/);
    const region = xml('AuthorizationHeaderMalformed', '<Region>eu-west-1</Region>');
    proxy.setFault({ times: 99, answer: { status: 400, body: region } });
    await told(address('new'), 20, /lies in the region eu-west-1.*AWS_REGION/);
  } finally {
    process.env['AWS_ENDPOINT_URL_S3'] = lab.s3.endpoint;
    await proxy.stop();
  }
  assert.equal(await keysBelow('new'), []);
});

test.run();
