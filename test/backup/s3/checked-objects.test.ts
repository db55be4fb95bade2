/**
 * S12: bytes that change on the way from S3. An object that is read whole is held against the checksum S3 keeps of it;
 * packed formats bring their own. Of a tar that is seeked, only pieces are read, and S3 keeps no checksum of those.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { Binary, type Document, serialize } from 'bson';
import * as assert from 'uvu/assert';
import { Crc64, nvmeTables } from '../../../src/backup/containers/crc.ts';
import { DiskStore } from '../../../src/backup/disk/disk-store.ts';
import { checkedStream } from '../../../src/backup/remote/object-server.ts';
import { checksumOf, etagChecksum, type StatedChecksums } from '../../../src/backup/s3/object-checksum.ts';
import type { StoredFile } from '../../../src/backup/storage/store.ts';
import { inTurn } from '../../../src/selection/slices/slice-runner.ts';
import { test } from '../../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../../lab/guard.ts';
import { type HttpFault, startHttpProxy } from '../../lab/http-proxy.ts';
import { type Lab, openLab } from '../../lab/lab.ts';
import type { Bucket } from '../../lab/s3.ts';
import { tarFolder } from '../../lab/tar.ts';
import { mongodump } from '../../lab/tools.ts';
import { planOf } from '../../selection/plans.ts';
import { outcomeOf, type Sliced } from '../../selection/slices/compared.ts';
import { inBucket, type ReadBackup, readBackup, refusal, useCredentials } from '../reading.ts';

let lab: Lab;
let folder: TemporaryFolder;
let bucket: Bucket;
let database: string;

const bson = (document: Document): Buffer => Buffer.from(serialize(document));
const TEXT = 'the price is 1000';
const SMALL = Buffer.concat([bson({ _id: 1, text: TEXT }), bson({ _id: 2 })]);
/** 12 MB: two ranges of a reader, three parts of an upload. */
const LARGE = Buffer.concat(
  Array.from({ length: 12 }, (_, i) =>
    bson({ _id: i, text: TEXT, data: new Binary(randomBytes(1_000_000)) }),
  ),
);

test.before(async () => {
  lab = await openLab();
  folder = temporaryFolder('checked');
  bucket = await lab.bucket('checked');
  useCredentials(lab.s3);
  const db = lab.database('checked');
  database = db.databaseName;
  await db.collection('prices').insertOne({ text: TEXT });
});
test.after(async () => {
  folder.remove();
  await lab.close();
});

/** Reads the collection `prices` through a proxy; `faults` must each have struck. */
async function readThrough(key: string, faults: readonly HttpFault[]): Promise<ReadBackup> {
  const proxy = await startHttpProxy(Number(new URL(lab.s3.endpoint).port));
  const set = faults.map((fault) => proxy.setFault(fault));
  try {
    return await readBackup(inBucket(proxy, bucket, key, { database }), ['prices']);
  } finally {
    await proxy.stop();
    assert.ok(
      set.every(({ hits }) => hits > 0),
      'a fault never struck',
    );
  }
}

/** Selects all of `prices` through a proxy; what came of it, as a text. */
async function selectThrough(key: string, faults: readonly HttpFault[], sliced?: Sliced): Promise<string> {
  const proxy = await startHttpProxy(Number(new URL(lab.s3.endpoint).port));
  for (const fault of faults) proxy.setFault(fault);
  const plan = planOf({ collection: 'prices', query: {} });
  try {
    const source = inBucket(proxy, bucket, key, { database });
    return await outcomeOf({ plan, source, folder: folder.path }, sliced);
  } finally {
    await proxy.stop();
  }
}

/** One bit of the text in a document: valid BSON before and after. */
const FLIP: HttpFault = {
  when: ({ method, headers }) => method === 'GET' && headers.range !== undefined,
  rewrite: ({ status, headers, body }) => {
    const bytes = Buffer.from(body as Buffer);
    const at = bytes.lastIndexOf(TEXT) + TEXT.length - 4;
    bytes[at] = (bytes[at] as number) ^ 1;
    return { status, headers, body: bytes };
  },
};

/** As FLIP, but in the last bytes of whatever comes. */
const FLIP_COMPRESSED: HttpFault = {
  times: 9,
  when: ({ method, headers }) => method === 'GET' && headers.range !== undefined,
  rewrite: ({ status, headers, body }) => {
    const bytes = Buffer.from(body as Buffer);
    const at = Math.floor(bytes.length / 2);
    bytes[at] = (bytes[at] as number) ^ 1;
    return { status, headers, body: bytes };
  },
};

/** Adds headers to the answers of HEAD, as a server does that this one is not. */
function answering(more: Readonly<Record<string, string>>): HttpFault {
  return {
    times: 99,
    when: ({ method, url }) => method === 'HEAD' && url.endsWith('.bson'),
    rewrite: ({ status, headers, body }) => ({ status, headers: { ...headers, ...more }, body }),
  };
}

function crc64nvme(bytes: Buffer): string {
  const sum = new Crc64(nvmeTables());
  sum.update(bytes);
  const digest = Buffer.alloc(8);
  digest.writeBigInt64BE(sum.digest());
  return digest.toString('base64');
}

async function putInParts(key: string, bytes: Buffer, partBytes: number): Promise<void> {
  const where = { Bucket: bucket.name, Key: key };
  const { UploadId } = await bucket.client.send(new CreateMultipartUploadCommand(where));
  const Parts: { PartNumber: number; ETag: string | undefined }[] = [];
  for (let at = 0; at < bytes.length; at += partBytes) {
    const PartNumber: number = Parts.length + 1;
    const part = { ...where, UploadId, PartNumber, Body: bytes.subarray(at, at + partBytes) };
    Parts.push({ PartNumber, ETag: (await bucket.client.send(new UploadPartCommand(part))).ETag });
  }
  await bucket.client.send(
    new CompleteMultipartUploadCommand({ ...where, UploadId, MultipartUpload: { Parts } }),
  );
}

const put = (key: string, bytes: Buffer, more: object): Promise<unknown> =>
  bucket.client.send(new PutObjectCommand({ Bucket: bucket.name, Key: key, Body: bytes, ...more }));

for (const [name, bytes, store, extra, words] of [
  ['its MD5', SMALL, (key: string, all: Buffer) => bucket.put(key, all), {}, /ETag/],
  ['the MD5s of its parts', LARGE, (key: string, all: Buffer) => putInParts(key, all, 5 << 20), {}, /ETag/],
  [
    'a CRC32',
    LARGE,
    (key: string, all: Buffer) => put(key, all, { ChecksumAlgorithm: 'CRC32' }),
    {},
    /CRC32/,
  ],
  [
    'a CRC64NVME',
    LARGE,
    (key: string, all: Buffer) => putInParts(key, all, 5 << 20),
    { 'x-amz-checksum-crc64nvme': crc64nvme(LARGE), 'x-amz-checksum-type': 'FULL_OBJECT' },
    /CRC64NVME/,
  ],
] as const) {
  test(`S12 a plain .bson of which S3 has ${name}: read when it is whole, refused when a bit was flipped`, async () => {
    const prefix = `${name.replaceAll(' ', '-')}/`;
    await store(`${prefix}${database}/prices.bson`, bytes);
    const { documents, events, summary } = await readThrough(prefix, [answering(extra)]);
    assert.ok(documents.get('prices')?.equals(bytes));
    assert.equal([...events.filter(({ type }) => type === 'warning'), summary.readToEnd], [true]);
    const error = await refusal(readThrough(prefix, [answering(extra), FLIP]), words);
    assert.match(error.message, /prices\.bson arrived damaged/);
  });
}

for (const [name, extra] of [
  ['CRC32', {}],
  ['CRC64NVME', { 'x-amz-checksum-crc64nvme': crc64nvme(LARGE), 'x-amz-checksum-type': 'FULL_OBJECT' }],
] as const) {
  test(`S12 and by slices, whose sums are put together: a ${name}`, async () => {
    const key = `sliced-${name}/${database}/prices.bson`;
    if (name === 'CRC32') await put(key, LARGE, { ChecksumAlgorithm: name });
    else await putInParts(key, LARGE, 5 << 20);
    const flipped = { ...FLIP, times: 9 };
    const whole = await selectThrough(`sliced-${name}/`, [answering(extra)]);
    assert.match(whole, '"digest"');
    const runner = inTurn(700_000);
    assert.is(await selectThrough(`sliced-${name}/`, [answering(extra)], { runner }), whole);
    const damaged = await selectThrough(`sliced-${name}/`, [answering(extra), flipped], { runner });
    assert.match(damaged, new RegExp(`prices\\.bson arrived damaged: its bytes do not have the ${name}`));
  });
}

test('S12 a .tar.gz, an archive, gzipped files: a flipped bit is refused by the checksum of the format', async () => {
  const dump = join(folder.path, 'dump');
  await mongodump(lab.staging.uri, ['--db', database, '--out', dump]);
  await tarFolder(dump, join(folder.path, 'db.tar.gz'), { gzip: true });
  await mongodump(lab.staging.uri, ['--db', database, `--archive=${folder.path}/db.archive`]);
  for (const name of ['db.tar.gz', 'db.archive']) {
    await bucket.putFile(name, join(folder.path, name));
    assert.is((await readThrough(name, [])).documents.size, 1);
  }
  await refusal(readThrough('db.tar.gz', [FLIP_COMPRESSED]), /damaged/);
  await refusal(readThrough('db.archive', [{ ...FLIP, times: 9 }]), /their checksum is wrong/);
  await bucket.put(`gz/${database}/prices.bson.gz`, gzipSync(SMALL));
  await refusal(readThrough('gz/', [FLIP_COMPRESSED]), /damaged/);
});

test('S12 a tar that is seeked: a flipped bit in a header or in the frame of a document is refused', async () => {
  const dump = join(folder.path, 'seeked');
  mkdirSync(join(dump, database), { recursive: true });
  writeFileSync(join(dump, database, 'prices.bson'), SMALL);
  await tarFolder(dump, join(folder.path, 'db.tar'), { members: [database] });
  await bucket.putFile('db.tar', join(folder.path, 'db.tar'));
  const flipAt = (marker: string, offset: number): HttpFault => ({
    ...FLIP,
    times: 9,
    rewrite: ({ status, headers, body }) => {
      const bytes = Buffer.from(body as Buffer);
      const at = bytes.lastIndexOf(marker) + offset;
      if (at >= offset) bytes[at] = (bytes[at] as number) ^ 1;
      return { status, headers, body: bytes };
    },
  });
  await refusal(readThrough('db.tar', [flipAt('prices.bson', 1)]), /wrong header checksum/);
});

test('an ETag that is no MD5: the object is read twice, and that is said; bytes that differ are refused', async () => {
  const path = join(folder.path, 'plain');
  writeFileSync(path, LARGE);
  const file = (await new DiskStore().find(path)) as StoredFile;
  const read = async (etag: string): Promise<string[]> => {
    const source = file.open();
    const said: string[] = [];
    const ask = async () => etagChecksum(etag, LARGE.length);
    const emit = (event: { type: string }) => void said.push(event.type);
    for await (const chunk of checkedStream(source, ask, { name: 'S3', emit })) assert.ok(chunk.length > 0);
    await source.close();
    return said;
  };
  assert.equal(await read('0'.repeat(32)), ['warning']);
});

const FACTS: StatedChecksums = {
  size: 100,
  etag: `"${'a'.repeat(32)}"`,
  type: undefined,
  crc32: undefined,
  crc64nvme: undefined,
  encryption: undefined,
  partBytes: undefined,
};
const IN_PARTS = { ...FACTS, etag: `"${'a'.repeat(32)}-3"` };

for (const [about, facts, name] of [
  ['an ETag', FACTS, 'ETag'],
  ['an ETag of parts', { ...IN_PARTS, partBytes: 40 }, 'ETag'],
  ['an ETag of parts of unlike size', { ...IN_PARTS, partBytes: 10 }, undefined],
  ['an ETag of parts of unknown size', IN_PARTS, undefined],
  ['an object encrypted with a key of S3', { ...FACTS, encryption: 'AES256' }, 'ETag'],
  ['an object encrypted with a key of KMS', { ...FACTS, encryption: 'aws:kms' }, undefined],
  ['a CRC of it', { ...FACTS, encryption: 'aws:kms', crc64nvme: 'x', type: 'FULL_OBJECT' }, 'CRC64NVME'],
  ['a CRC of its parts', { ...IN_PARTS, crc32: 'x-3', type: 'COMPOSITE' }, undefined],
  ['a CRC of its parts that is not called so', { ...IN_PARTS, crc32: 'x-3' }, undefined],
  ['an ETag of another form', { ...FACTS, etag: '"0x8DBC"' }, undefined],
] as const) {
  test(`what is compared, given ${about}: ${name ?? 'nothing'}`, () => {
    assert.is(checksumOf(facts)?.name, name);
  });
}

test.run();
