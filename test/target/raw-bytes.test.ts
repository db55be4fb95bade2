/** Guards the two ways in which raw BSON gets past js-bson; a driver upgrade that breaks them fails here. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { documentOf, EMPTY_DOCUMENT } from '../../src/bson/document-builder.ts';
import { findId } from '../../src/bson/documents.ts';
import { BSON } from '../../src/bson/types.ts';
import { Secret } from '../../src/secret.ts';
import { connectTarget } from '../../src/target/connect.ts';
import { accessTo, type Target } from '../../src/target/target.ts';
import { test } from '../harness.ts';
import { selfSigned } from '../lab/certificate.ts';
import { temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { startStandalone } from '../lab/mongod.ts';
import { QUIET } from '../quiet-run.ts';
import { build, everyIdDocuments, everyTypeDocuments } from './every-type.ts';
import { foundByIds } from './found-by-ids.ts';
import { ALL_WRITTEN, insertRaw } from './insert-raw.ts';

let lab: Lab;
let target: Target;

const connect = (uri: string, database: string): Promise<Target> =>
  connectTarget(QUIET, 'staging', { uri: new Secret(uri), database, gate: { soakMs: 0, approvals: 0 } });

test.before(async () => {
  lab = await openLab();
  target = await connect(lab.staging.uri, lab.databaseName('raw-bytes'));
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
  assert.equal(await insertRaw(accessTo(target).writer, 'types', small), ALL_WRITTEN);
  assert.equal(await insertRaw(accessTo(target).writer, 'types', [large]), ALL_WRITTEN);
  const found = await foundByIds(target.reader, 'types', documents);
  assert.equal(hex(found), hex(documents));
  assert.ok(found.find((document) => document.length === large.length)?.equals(large));
});

/** Documents go to the socket by themselves, except where the connection compresses; where it encrypts, through its cipher. */
async function assertBytesOver(uri: string): Promise<void> {
  const other = await connect(uri, lab.databaseName('raw-bytes-over'));
  try {
    const documents = everyTypeDocuments();
    for (const some of [documents.slice(0, -1), documents.slice(-1)]) {
      const { writer } = accessTo(other);
      assert.equal(await insertRaw(writer, 'over', some), ALL_WRITTEN);
    }
    assert.equal(hex(await foundByIds(other.reader, 'over', documents)), hex(documents));
  } finally {
    await other.close();
  }
}

test('over a connection that compresses', () => assertBytesOver(`${lab.staging.uri}&compressors=zlib`));

const OVER_TLS = 'over a connection that encrypts';
const certificate = selfSigned();
if (certificate === undefined) test.skip(OVER_TLS, 'there is no openssl here to make a certificate');
else {
  test(OVER_TLS, async () => {
    const folder = temporaryFolder('certificate');
    const file = join(folder.path, 'server.pem');
    writeFileSync(file, certificate);
    const server = await startStandalone({
      arguments: [
        ...['--tlsMode', 'requireTLS', '--tlsCertificateKeyFile', file, '--tlsCAFile', file],
        '--tlsAllowConnectionsWithoutCertificates',
      ],
    });
    try {
      await assertBytesOver(`${server.uri}&tls=true&tlsAllowInvalidCertificates=true`);
    } finally {
      await server.stop();
      folder.remove();
    }
  });
}

test('documents are found by an _id of every type', async () => {
  const documents = everyIdDocuments();
  assert.equal(await insertRaw(accessTo(target).writer, 'ids', documents), ALL_WRITTEN);
  assert.equal(hex(await foundByIds(target.reader, 'ids', documents)), hex(documents));
  for (const document of documents)
    assert.equal(hex(await foundByIds(target.reader, 'ids', [document])), hex([document]));
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
  await insertRaw(accessTo(target).writer, 'changes', before);
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
  const { writer } = accessTo(target);
  const changes = { name: 'changes', collated: false, shardKey: undefined };
  const options = async () => ({ identity: await writer.newIdentity() });
  const none = { leftAlone: new Map(), faults: [] };
  const all = (now: string) => ({ leftAlone: new Map(before.map((_, i) => [i, now])), faults: [] });
  assert.equal(await writer.replace(changes, replacements, await options()), none);
  assert.equal(await writer.replace(changes, replacements, await options()), all('changed'));
  assert.equal(await writer.remove(changes, before, await options()), all('changed'));
  assert.equal(
    hex(await foundByIds(target.reader, 'changes', before)),
    hex(replacements.map((each) => each.after)),
  );
  const after = replacements.map((each) => each.after);
  assert.equal(await writer.remove(changes, after, await options()), none);
  assert.equal(await writer.remove(changes, after, await options()), all('deleted'));
  assert.equal(await target.reader.find('changes', EMPTY_DOCUMENT, { limit: 10 }), []);
});

test.run();
