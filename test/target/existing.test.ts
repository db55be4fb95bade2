import { Binary } from 'bson';
import type { Document } from 'mongodb';
import * as assert from 'uvu/assert';
import { Documents } from '../../src/bson/documents.ts';
import { Secret } from '../../src/secret.ts';
import { connectTarget } from '../../src/target/connect.ts';
import { type ExistingPart, existingInParts } from '../../src/target/existing.ts';
import type { Target } from '../../src/target/target.ts';
import { numbered } from '../apply/documents.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { QUIET } from '../quiet-run.ts';

let lab: Lab;
let target: Target;

test.before(async () => {
  lab = await openLab();
  target = await connectTarget(QUIET, 'staging', {
    uri: new Secret(lab.staging.uri),
    database: lab.databaseName('existing'),
    gate: { soakMs: 0, approvals: 0 },
  });
});
test.after(async () => {
  await target.close();
  await lab.close();
});

const MIB = 1024 * 1024;

async function partsOf(buffers: readonly Buffer[]): Promise<ExistingPart[]> {
  const parts: ExistingPart[] = [];
  const documents = Documents.of(buffers);
  const collection = { name: 'a', collated: false };
  const batch = { documents, positions: [...buffers.keys()] };
  for await (const part of existingInParts({ reader: target.reader, collection }, batch)) parts.push(part);
  return parts;
}

test('documents that are far larger in the target are held in parts, of at most 24 MiB each', async () => {
  const a = lab.staging.client.db(target.reader.database).collection<Document>('a');
  const large = new Binary(Buffer.alloc(MIB));
  for (let _id = 0; _id < 60; _id++) await a.insertOne({ _id: _id as never, large });
  await a.insertOne({ _id: 60 as never, text: 'as in the backup' });
  const documents = [...numbered(0, 65), ...numbered(60, 61)];
  const parts = await partsOf(documents);
  assert.equal(
    parts.flatMap(({ positions }) => positions),
    [...documents.keys()],
    'each position in one part',
  );
  for (const { positions, there } of parts) {
    const held = positions.reduce((sum, position) => sum + (there.other(position)?.length ?? 0), 0);
    assert.ok(held <= 24 * MIB, `${held} bytes are held`);
  }
  const presences = parts.flatMap(({ positions, there }) => positions.map((each) => there.presence(each)));
  const expected = [...Array(60).fill('other'), 'same', ...Array(4).fill('absent'), 'same'];
  assert.equal(presences, expected);
});

test('documents of the size of those looked up come in one part', async () => {
  const writing = lab.staging.client.db(target.reader.database).collection<Document>('a');
  const documents = numbered(1_000, 7_000);
  await writing.insertMany(documents.map((_, i) => ({ _id: (1_000 + i) as never, text: 'changed' })));
  assert.is((await partsOf(documents)).length, 1);
});

test.run();
