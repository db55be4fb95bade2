/**
 * A collection was dropped; between dry-run and apply the application makes it again by an insert, bare. It stays as it is, and every
 * command and report that looks at it says what it lacks; the way out that they name leads out.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Collection, Db } from 'mongodb';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { createIncident, type Incident, takeTar } from './incident.ts';
import { checkedStream } from './json-stream.ts';

const COUNT = 20;
const FILES = ['review.html', 'review.md', 'review.json'] as const;
const SAID =
  /staging[.,:] ?things: exists without the backup's validator and 3 of its 4 indexes: k_1 unique partial, expires_1 TTL, h_hashed hashed; a collection that is there keeps what it has/;

let lab: Lab;
let incident: Incident;
let things: Collection;

async function make(database: Db): Promise<void> {
  await database.createCollection('things', { validator: { k: { $type: 'string' } } });
  const made = database.collection('things');
  await made.createIndex({ h: 'hashed' });
  await made.createIndex({ expires: 1 }, { expireAfterSeconds: 3600 });
  await made.createIndex({ k: 1 }, { unique: true, partialFilterExpression: { k: { $exists: true } } });
  await made.insertMany(Array.from({ length: COUNT }, (_, n) => ({ _id: n as never, k: `k${n}`, h: n })));
}

test.before(async () => {
  lab = await openLab();
  incident = await createIncident(lab);
  const { production, staging, folder } = incident;
  await make(production);
  await takeTar(lab, production.databaseName, folder);
  await production.collection('things').drop();
  things = staging.collection('things');
  incident.writePlan((text) =>
    text.replace(
      /collections:[\s\S]*targets:/,
      'collections:\n  - { collection: things, query: {} }\ntargets:',
    ),
  );
});
test.after(async () => {
  incident.close();
  await lab.close();
});

const unwrapped = (text: string): string => text.replaceAll(/\s+/g, ' ');
const APPLY = ['apply', 'plan.yaml', '--target', 'staging'];

test('what a collection that was made again lacks is said by dry-run, its reports and apply', async () => {
  const before = await incident.call(['dry-run', 'plan.yaml']);
  assert.match(
    unwrapped(before.stdout),
    /staging\.things does not exist; apply creates it with .* 4 indexes/,
  );
  assert.not.match(before.stdout, 'exists without');

  await things.insertOne({ _id: 99 as never });
  const applied = await incident.call([...APPLY, '--json']);
  assert.is(applied.exitCode, 0, applied.stderr);
  const events = checkedStream(applied.stdout).filter(({ message }) => /exists without/.test(`${message}`));
  assert.is(events.length, 1);
  assert.match(`${events[0]?.['message']}`, SAID);
  assert.is(await things.countDocuments(), COUNT + 1);
  assert.is((await things.indexes()).length, 1);

  const reports = FILES.flatMap((file) => ['--report', file]);
  const after = await incident.call(['dry-run', 'plan.yaml', ...reports]);
  assert.is(after.exitCode, 0, after.stderr);
  assert.match(unwrapped(after.stdout), SAID);
  assert.match(unwrapped(after.stdout), /staging .*: \+0 inserts, =20 there already .*· 1 warning/);
  for (const file of FILES) {
    const text = readFileSync(join(incident.folder, file), 'utf8');
    assert.match(
      text.replaceAll(/&#39;|&apos;/g, "'"),
      /exists without the backup.{1,8}s validator and 3 of its 4/,
    );
  }
  const streamed = await incident.call(['dry-run', 'plan.yaml', '--json', '--quiet']);
  const result = checkedStream(streamed.stdout).at(-2) as unknown as {
    targets: { staging: { collections: { wouldCreate: boolean; warnings?: string[] }[] } };
  };
  const [collection] = result.targets.staging.collections;
  assert.is(collection?.wouldCreate, false);
  assert.is(collection?.warnings?.length, 1);
  assert.match(`staging.things: ${collection?.warnings?.[0]}`, SAID);
});

test('dropped, it is made whole, and nothing is said any more', async () => {
  await things.drop();
  const applied = await incident.call(APPLY);
  assert.is(applied.exitCode, 0, applied.stderr);
  assert.is((await things.indexes()).length, 4);
  const again = await incident.call(['dry-run', 'plan.yaml', '--json', '--target', 'staging']);
  assert.not.match(applied.stderr + again.stdout, 'exists without');
});

test('indexes that the plan skips are not missed, nor is the selection another one', async () => {
  await things.dropIndex('h_hashed');
  const said = await incident.call(['dry-run', 'plan.yaml', '--target', 'staging']);
  assert.match(unwrapped(said.stdout), "exists without 1 of the backup's 4 indexes: h_hashed hashed;");
  incident.writePlan((text) =>
    text.replace(
      /collections:[\s\S]*targets:/,
      'collections:\n  - { collection: things, query: {}, indexes: { skip: [h_hashed] } }\ntargets:',
    ),
  );
  const skipped = await incident.call(['dry-run', 'plan.yaml', '--target', 'staging', '--json']);
  assert.not.match(skipped.stdout, 'exists without');
  assert.match(skipped.stdout, '"type":"selection-reused"');
});

test('a run that was cut off right after it made the collection goes on; a dry-run in between knows that', async () => {
  await things.drop();
  const runs = incident.staging.collection('restore_plan.runs');
  const [record] = await runs.find().sort({ fencing: -1 }).limit(1).toArray();
  assert.ok(record);
  await incident.staging.createCollection('things');
  await runs.updateOne({ _id: record._id }, { $set: { creations: [{ into: 'things', done: false }] } });
  const said = await incident.call(['dry-run', 'plan.yaml', '--target', 'staging', '--json']);
  assert.is(said.exitCode, 0, said.stderr);
  assert.not.match(said.stdout, 'exists without');
});

test.run();
