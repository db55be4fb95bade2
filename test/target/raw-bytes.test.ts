/** Guards the two ways in which raw BSON gets past js-bson; a driver upgrade that breaks them fails here. */
import * as assert from 'uvu/assert';
import { documentOf, EMPTY_DOCUMENT } from '../../src/bson/document-builder.ts';
import { findId } from '../../src/bson/stored-form.ts';
import { BSON } from '../../src/bson/types.ts';
import { Secret } from '../../src/secret.ts';
import { accessTo } from '../../src/target/access.ts';
import { connectTarget } from '../../src/target/connect.ts';
import type { Target } from '../../src/target/target.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { build, everyIdDocuments, everyTypeDocuments } from './every-type.ts';

let lab: Lab;
let target: Target;

test.before(async () => {
  lab = await openLab();
  target = await connectTarget('staging', {
    uri: new Secret(lab.staging.uri),
    database: lab.databaseName('raw-bytes'),
    gate: { soakMs: 0, approvals: 0 },
  });
});
test.after(async () => {
  await target.close();
  await lab.close();
});

const hex = (documents: readonly Buffer[]): string[] =>
  documents
    .map((document) => (document.length < 4096 ? document.toString('hex') : `${document.length}`))
    .sort();

test('documents of every type come back byte for byte', async () => {
  const documents = everyTypeDocuments();
  const small = documents.slice(0, -1);
  const large = documents.at(-1) as Buffer;
  assert.is(large.length, 16 * 1024 * 1024);
  assert.equal(await accessTo(target).writer.insert('types', Buffer.concat(small)), {
    written: small.length,
    faults: [],
  });
  assert.equal(await accessTo(target).writer.insert('types', large), { written: 1, faults: [] });
  const found = await target.reader.findByIds('types', documents);
  assert.equal(hex(found), hex(documents));
  assert.ok(found.find((document) => document.length === large.length)?.equals(large));
});

test('documents are found by an _id of every type', async () => {
  const documents = everyIdDocuments();
  assert.equal(await accessTo(target).writer.insert('ids', Buffer.concat(documents)), {
    written: documents.length,
    faults: [],
  });
  assert.equal(hex(await target.reader.findByIds('ids', documents)), hex(documents));
  for (const document of documents)
    assert.equal(hex(await target.reader.findByIds('ids', [document])), hex([document]));
});

test('a query and a pipeline stage reach the server with keys twice and in their order', async () => {
  const twice = build((b) => {
    for (const least of [1, 3]) {
      b.element(BSON.OBJECT, '_id');
      b.raw(documentOf('$gte', BSON.INT32, Buffer.from([least, 0, 0, 0])));
    }
  });
  const found = await target.reader.find('types', twice, { limit: 1 });
  assert.is(found.length, 1);
  const literal = build((b) => {
    for (const key of ['2', '1', '2']) {
      b.element(BSON.INT32, key);
      b.int32(0);
    }
  });
  const stage = documentOf('$replaceWith', BSON.OBJECT, documentOf('$literal', BSON.OBJECT, literal));
  const [made] = await target.reader.aggregate('ids', [stage]);
  assert.is(made?.toString('hex'), literal.toString('hex'));
});

test('a document is replaced and removed only while it is the one that was seen', async () => {
  const before = everyTypeDocuments().slice(0, -1);
  await accessTo(target).writer.insert('changes', Buffer.concat(before));
  const replacements = before.map((seen) => ({
    seen,
    after: build((b) => {
      const id = findId(seen)!;
      b.element(id.type, '_id');
      b.raw(id.bytes.subarray(id.start, id.end));
      b.element(BSON.TIMESTAMP, 'zero');
      b.int64(0n);
    }),
  }));
  const first = await accessTo(target).writer.replace('changes', replacements);
  assert.equal(first, { written: before.length, faults: [] });
  const second = await accessTo(target).writer.replace('changes', replacements);
  assert.equal(second, { written: 0, faults: [] });
  assert.equal(await accessTo(target).writer.remove('changes', before), { written: 0, faults: [] });
  assert.equal(
    hex(await target.reader.findByIds('changes', before)),
    hex(replacements.map((each) => each.after)),
  );
  const removed = await accessTo(target).writer.remove(
    'changes',
    replacements.map((each) => each.after),
  );
  assert.equal(removed, { written: before.length, faults: [] });
  assert.equal(await target.reader.find('changes', EMPTY_DOCUMENT, { limit: 10 }), []);
});

test.run();
