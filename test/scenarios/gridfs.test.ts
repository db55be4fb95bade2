/** A file of GridFS, deleted by mistake, brought back with its chunks: as an application reads it, from a dump of mongodump 3. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { GridFSBucket, ObjectId } from 'mongodb';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { callPlan } from '../lab/call-plan.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { mongodump } from '../lab/tools.ts';

let lab: Lab;
let folder: TemporaryFolder;
test.before(async () => {
  lab = await openLab();
  folder = temporaryFolder('gridfs');
});
test.after(async () => {
  folder.remove();
  await lab.close();
});

const IMAGE = Buffer.from(Array.from({ length: 1_000_000 }, (_, i) => (i * i) % 251));

/** Metadata as old tools wrote it: another form, without name and type, with what servers no longer take. */
function oldMetadata(namespace: string, key: string): string {
  const index = (fields: string, name: string, more = ''): string =>
    `{"v":1,${more}"key":{${fields}},"name":"${name}","ns":"${namespace}"}`;
  const indexes = [index('"_id":1', '_id_'), index(key, 'by_key', '"unique":true,"background":true,')];
  return `{"options":{"flags":1},"indexes":[${indexes.join(',')}]}`;
}

test(
  'the file is read from a target that lacked both collections, byte for byte',
  async () => {
    const db = lab.database('gridfs');
    const id = new ObjectId();
    for (const [name, fileId] of [
      ['lost.jpg', id],
      ['kept.jpg', new ObjectId()],
    ] as const) {
      const upload = new GridFSBucket(db).openUploadStreamWithId(fileId, name);
      await new Promise((resolve) => upload.end(IMAGE, resolve as () => void));
    }
    const { databaseName: database } = db;
    await mongodump(lab.staging.uri, ['--db', database, '--out', folder.path]);
    for (const [name, key] of [
      ['fs.files', '"filename":1,"uploadDate":1'],
      ['fs.chunks', '"files_id":1,"n":1'],
    ] as const) {
      const file = join(folder.path, database, `${name}.metadata.json`);
      writeFileSync(file, oldMetadata(`${database}.${name}`, key));
    }
    await db.dropDatabase();
    writeFileSync(
      join(folder.path, 'plan.yaml'),
      `version: 1
name: lost-image
source: { path: ., database: ${database} }
collections:
  - collection: fs.files
    query: { filename: lost.jpg }
    dependents:
      - { collection: fs.chunks, foreignKey: files_id }
targets:
  staging: { uri: "\${STAGING_MONGODB_URI}", database: ${database} }
`,
    );
    const run = (...args: string[]): ReturnType<typeof callPlan> =>
      callPlan(args, { cwd: folder.path, env: { STAGING_MONGODB_URI: lab.staging.uri } });
    const applied = await run('apply', 'plan.yaml', '--target', 'staging');
    assert.is(applied.exitCode, 0, applied.stderr);
    const bucket = new GridFSBucket(db);
    assert.ok((await buffer(bucket.openDownloadStream(id))).equals(IMAGE));
    assert.is(await db.collection('fs.files').countDocuments(), 1);
    const indexes = await db.collection('fs.chunks').indexes();
    assert.equal(
      indexes.map(({ key, unique }) => [key, unique ?? false]),
      [
        [{ _id: 1 }, false],
        [{ files_id: 1, n: 1 }, true],
      ],
    );
  },
  { deadlineMs: 120_000 },
);

test.run();
