/**
 * Faults between the S3 server and this program, by their number in the catalogue of faults: each is ridden out with
 * the same bytes as the outcome, or refused by name. A real server stands behind every proxy.
 */
import { randomBytes } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import * as assert from 'uvu/assert';
import {
  PaceWatch,
  patienceOf,
  type RemotePatience,
  USUAL_PATIENCE,
} from '../../src/backup/remote/patience.ts';
import { openS3 } from '../../src/backup/s3/s3-store.ts';
import type { StoredFile } from '../../src/backup/storage/store.ts';
import type { RunEvent } from '../../src/events.ts';
import { suite } from '../harness.ts';
import { openBlackHole } from '../lab/black-hole.ts';
import { selfSigned } from '../lab/certificate.ts';
import { type HttpAnswer, type HttpFault, startHttpProxy } from '../lab/http-proxy.ts';
import { type Bucket, createBucket, type S3Server, s3Client, startS3Server } from '../lab/s3.ts';
import { freePort, listenLocally } from '../lab/server-process.ts';
import { type Fault, startTcpProxy } from '../lab/tcp-proxy.ts';
import { QUIET } from '../quiet-run.ts';
import { inBucket, readBackup, refusal, useCredentials } from './reading.ts';

const test = suite('S3');
const MIB = 1024 * 1024;
/** The product's own patience, a few dozen times shorter. */
const IMPATIENT: RemotePatience = {
  connectMs: 800,
  answerMs: 1500,
  stallMs: 400,
  firstMs: 1500,
  readingMs: 2500,
  tickMs: 100,
};

let server: S3Server;
let bucket: Bucket;
/** A few ranges. */
const data = randomBytes(70 * MIB);

test.before(async () => {
  server = await startS3Server();
  useCredentials(server);
  bucket = await createBucket(s3Client(server), 'faults');
  await bucket.put('data', data);
});
test.after(async () => {
  bucket.client.destroy();
  await server.stop();
});

interface Reading {
  readonly bytes: Buffer;
  readonly retries: readonly Extract<RunEvent, { type: 'retry' }>[];
}

interface ReadingOptions {
  readonly key?: string;
  readonly bucket?: string;
  readonly patience?: RemotePatience;
  readonly warn?: (message: string) => void;
  /** Called with the bytes that have arrived so far, before the next are asked for. */
  readonly between?: (arrived: number) => Promise<void>;
}

/** Finds an object and streams it to its end. */
async function read(endpoint: string, options: ReadingOptions = {}): Promise<Reading> {
  const { key = 'data', bucket: name = 'faults', patience = IMPATIENT, between, warn } = options;
  const retries: Extract<RunEvent, { type: 'retry' }>[] = [];
  const { location } = inBucket({ endpoint }, { name }, key);
  if (location.kind !== 's3') throw new Error('not in a bucket');
  const emit = (event: RunEvent): void => {
    if (event.type === 'retry') retries.push(event);
    else if (event.type === 'warning') warn?.(event.message);
  };
  const store = openS3({ ...QUIET, emit }, location, patience);
  try {
    const file = (await store.find(key)) as StoredFile | undefined;
    if (file === undefined) throw new Error(`${key} was not found`);
    const source = file.open();
    const parts: Buffer[] = [];
    let arrived = 0;
    for await (const chunk of source.stream(0, source.size)) {
      parts.push(Buffer.from(chunk));
      arrived += chunk.length;
      await between?.(arrived);
    }
    return { bytes: Buffer.concat(parts), retries };
  } finally {
    await store.close();
  }
}

/** Reads through a proxy that breaks connections; checks that the fault did strike. */
async function readThrough(fault: Fault, options: ReadingOptions = {}): Promise<Reading> {
  const proxy = await startTcpProxy({ to: server.port });
  const set = proxy.setFault(fault);
  try {
    return await read(`http://127.0.0.1:${proxy.port}`, options);
  } finally {
    await proxy.stop();
    assert.ok(set.hits > 0, 'the fault never struck');
  }
}

/** Reads through a proxy that gives false answers; checks that it did. */
async function readFalsified(fault: HttpFault, options: ReadingOptions = {}): Promise<Reading> {
  const proxy = await startHttpProxy(server.port);
  const set = proxy.setFault(fault);
  try {
    return await read(proxy.endpoint, options);
  } finally {
    await proxy.stop();
    assert.ok(set.hits > 0, 'the fault never struck');
  }
}

const isGet: NonNullable<HttpFault['when']> = ({ method }) => method === 'GET';
const errorAnswer = (status: number, code: string): HttpAnswer => ({
  status,
  headers: { 'content-type': 'application/xml' },
  body: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>m</Message></Error>`,
});

for (const [number, kind] of [
  ['S1', 'reset'],
  ['S2', 'close'],
  ['S3', 'stall'],
] as const) {
  for (const times of [1, 6]) {
    test(`${number} ${kind} in the middle of the body, ${times} times: resumed at the byte`, async () => {
      const { bytes, retries } = await readThrough({ kind, afterBytes: 3 * MIB + 7, times });
      assert.ok(bytes.equals(data));
      assert.ok(retries.length >= 1, 'no retry was reported');
    });
  }
}

for (const [number, kind, words] of [
  ['S1', 'reset', 'the connection breaks again and again'],
  ['S2', 'close', 'the connection breaks again and again'],
  // Whichever comes first: the last of the attempts, or the end of the patience with all of them.
  ['S3', 'stall', '(the server does not answer|next to nothing came from S3)'],
] as const) {
  test(`${number} ${kind} after every few bytes, without end: given up by name`, async () => {
    const reading = readThrough({ kind, afterBytes: 4096, times: 9999 });
    await refusal(reading, new RegExp(`s3://faults/data cannot be read: ${words}`));
  });
}

test('S3 a server that sends a few bytes now and then, without end: warned of, then given up by name', async () => {
  const slow = createHttpServer((request, answer) => {
    if (request.method === 'HEAD') {
      answer.writeHead(200, { etag: '"e"', 'content-length': String(MIB) }).end();
      return;
    }
    const range = String(request.headers.range).replace('=', ' ');
    const [, from = '0', to = '0'] = /(\d+)-(\d+)/.exec(range) ?? [];
    const length = Number(to) - Number(from) + 1;
    answer.writeHead(206, {
      etag: '"e"',
      'content-range': `bytes ${from}-${to}/${MIB}`,
      'content-length': String(length),
    });
    const timer = setInterval(() => answer.write('x'), 50);
    answer.once('close', () => clearInterval(timer));
  });
  const port = await listenLocally(slow);
  const warnings: string[] = [];
  try {
    const started = performance.now();
    const reading = read(`http://127.0.0.1:${port}`, { warn: (message) => warnings.push(message) });
    const error = await refusal(
      reading,
      /s3:\/\/faults\/data cannot be read: next to nothing came from S3 for 2.5 s/,
    );
    assert.match(error.hint ?? '', 'patience: 10m');
    assert.ok(performance.now() - started < 20_000);
    assert.is(warnings.length, 1);
    assert.match(
      warnings[0] ?? '',
      /next to nothing comes from S3 \(less than 10 KiB in 1 s\); given up after 2.5 s/,
    );
  } finally {
    slow.closeAllConnections();
    slow.close();
  }
});

test('many small reads over a long way are no slow line', async () => {
  const seen: string[] = [];
  const watch = new PaceWatch((event) => event.type === 'warning' && seen.push(event.message), 'S3', {
    tickMs: 5,
    readingMs: 100,
  });
  for (let i = 0; i < 20; i++) await watch.during('s3://a/b', () => sleep(20));
  assert.is(watch.signal.aborted, false);
  assert.equal(seen, []);
});

test('S4 a consumer that pauses for longer than any stall: no false alarm', async () => {
  const patience = { ...IMPATIENT, stallMs: 1_000, answerMs: 20_000 };
  let paused = 0;
  const between = async (arrived: number): Promise<void> => {
    if (arrived < paused * 20 * MIB) return;
    paused++;
    await sleep(1_500);
  };
  const { bytes, retries } = await read(server.endpoint, { patience, between });
  assert.is(paused, 4);
  assert.ok(bytes.equals(data));
  assert.equal(retries, []);
});

test('S4 a consumer that pauses, with little patience for S3: no false alarm', async () => {
  const warnings: string[] = [];
  let paused = 0;
  const between = async (): Promise<void> => {
    if (paused++ < 3) await sleep(1_200);
  };
  const patience = patienceOf(1_000);
  const { bytes, retries } = await read(server.endpoint, {
    ...{ patience, between, warn: (message) => warnings.push(message) },
  });
  assert.ok(bytes.equals(data));
  assert.equal([retries, warnings], [[], []]);
});

/** Waits for as long as it takes to replace the object; the tests are about what comes then. */
const WAITING: RemotePatience = { ...IMPATIENT, answerMs: 20_000, readingMs: 40_000 };

test('S5 the object is replaced between the look at it and its bytes: refused', async () => {
  await bucket.put('replaced', data);
  const before = (): Promise<unknown> => bucket.put('replaced', Buffer.alloc(data.length, 1));
  await refusal(
    readFalsified({ when: isGet, before }, { key: 'replaced', patience: WAITING }),
    /replaced was replaced while/,
  );
});

test('S5 the object is replaced between two ranges: refused, whatever its new size', async () => {
  for (const size of [data.length, 100, 2 * data.length]) {
    await bucket.put('replaced', data);
    let gets = 0;
    const when: NonNullable<HttpFault['when']> = ({ method }) => method === 'GET' && ++gets === 3;
    const before = (): Promise<unknown> => bucket.put('replaced', Buffer.alloc(size, 1));
    await refusal(
      readFalsified({ when, before }, { key: 'replaced', patience: WAITING }),
      /replaced was replaced while/,
    );
  }
});

test('S6 another object under the same key has another fingerprint', async () => {
  const fingerprint = async (): Promise<string> => {
    const { location } = inBucket(server, bucket, 'again');
    const store = openS3(QUIET, location as Extract<typeof location, { kind: 's3' }>, IMPATIENT);
    const found = (await store.find('again')) as StoredFile;
    await store.close();
    return found.fingerprint;
  };
  await bucket.put('again', 'one');
  const first = await fingerprint();
  assert.is(await fingerprint(), first);
  await bucket.put('again', 'two');
  assert.is.not(await fingerprint(), first);
});

test('S7 the object is deleted while it is read: refused', async () => {
  await bucket.put('deleted', data);
  let gets = 0;
  const when: NonNullable<HttpFault['when']> = ({ method }) => method === 'GET' && ++gets === 3;
  const before = (): Promise<void> => bucket.remove('deleted');
  await refusal(readFalsified({ when, before }, { key: 'deleted' }), /s3:\/\/faults\/deleted does not exist/);
});

test('S7 a bucket, a key, a permission that is not there: three messages', async () => {
  await refusal(read(server.endpoint, { bucket: 'no-such-bucket' }), /the bucket does not exist/);
  const missing = readBackup(inBucket(server, bucket, 'no/such/key'), ['artworks']);
  await refusal(missing, /s3:\/\/faults\/no\/such\/key does not exist/);
  const denied = readFalsified({ answer: errorAnswer(403, 'AccessDenied'), times: 9 });
  const { hint = '' } = await refusal(denied, /may not be read with these credentials/);
  assert.match(hint, /s3:GetObject/);
});

test('S7 credentials expire while reading: looked for once more, then refused', async () => {
  let gets = 0;
  const when: NonNullable<HttpFault['when']> = ({ method }) => method === 'GET' && ++gets > 2;
  const answer = errorAnswer(400, 'ExpiredToken');
  const { bytes, retries } = await readFalsified({ when, answer, times: 1 });
  assert.ok(bytes.equals(data));
  assert.is(retries[0]?.reason, 'ExpiredToken');
  gets = 0;
  await refusal(readFalsified({ when, answer, times: 99 }), /the AWS credentials have expired/);
});

test('S7 wrong and missing credentials: told apart', async () => {
  const wrong = readFalsified({ answer: errorAnswer(403, 'SignatureDoesNotMatch'), times: 9 });
  await refusal(wrong, /the secret key does not belong to the access key/);
  const { AWS_ACCESS_KEY_ID, ...rest } = process.env;
  process.env = rest;
  try {
    await refusal(read(server.endpoint), /no AWS credentials were found/);
  } finally {
    process.env = { ...rest, AWS_ACCESS_KEY_ID };
  }
});

for (const [status, code] of [
  [503, 'SlowDown'],
  [500, 'InternalError'],
  [503, 'ServiceUnavailable'],
] as const) {
  test(`S8 a burst of ${status} ${code}: ridden out`, async () => {
    const { bytes, retries } = await readFalsified({
      when: isGet,
      answer: errorAnswer(status, code),
      times: 4,
    });
    assert.ok(bytes.equals(data));
    assert.ok(retries.length >= 4);
  });
}

test('S8 503 without end: given up within the patience', async () => {
  const started = performance.now();
  const reading = readFalsified({ when: isGet, answer: errorAnswer(503, 'SlowDown'), times: 9999 });
  await refusal(reading, /S3 is overloaded or out of order/);
  assert.ok(performance.now() - started < IMPATIENT.readingMs + 10_000);
});

const PAGE = {
  status: 200,
  headers: { 'content-type': 'text/html' },
  body: '<!DOCTYPE html><html>\u001b[31mPlease log in to Hotel Wifi</html>',
};

test('S9 a page of a captive portal instead of an answer: quoted, without control characters', async () => {
  await refusal(
    readFalsified({ answer: PAGE, times: 99 }),
    /a page instead of data, beginning with "<!DOCTYPE html><html> \[31mPlease log in/,
  );
});

test('S9 a page instead of a range', async () => {
  await refusal(readFalsified({ when: isGet, answer: PAGE, times: 99 }), /a page instead of data, beginning/);
});

test('S9 a page of which only the beginning comes: given up within the patience', async () => {
  const portal = createHttpServer(({ method }, response) => {
    response.writeHead(200, { 'content-type': 'text/html', 'content-length': 5_000 });
    if (method === 'HEAD') response.end();
    else response.write('<html>');
  });
  const endpoint = `http://127.0.0.1:${await listenLocally(portal)}`;
  try {
    await refusal(read(endpoint), /s3:\/\/faults\/data cannot be read: the server does not answer/);
  } finally {
    portal.closeAllConnections();
    portal.close();
  }
});

test('S9 a page instead of a list', async () => {
  const proxy = await startHttpProxy(server.port);
  const set = proxy.setFault({ answer: PAGE, times: 99 });
  await refusal(readBackup(inBucket(proxy, bucket, 'dump/'), ['artworks']), /cannot be read: the server/);
  assert.ok(set.hits > 0);
  await proxy.stop();
});

test('S10 a server that ignores the range: refused, nothing put at a wrong place', async () => {
  const fault: HttpFault = {
    when: isGet,
    rewrite: ({ headers: { 'content-range': _, ...headers }, body }) => ({ status: 200, headers, body }),
  };
  await refusal(readFalsified(fault), /answered with status 200 and ignored the range/);
});

test('S11 a range other than the one asked for, too few bytes, too many: refused', async () => {
  const otherRange: HttpFault = {
    when: isGet,
    rewrite: ({ headers, body }) => ({
      status: 206,
      headers: { ...headers, 'content-range': 'bytes 1-5/9' },
      body,
    }),
  };
  await refusal(readFalsified(otherRange), /the range "bytes 1-5\/9" instead of "bytes 0-4194303\/73400320"/);
  const resized = (size: number): HttpFault => ({
    when: isGet,
    rewrite: ({ headers, body }) => ({
      status: 206,
      headers: { ...headers, 'content-length': String(size) },
      body: Buffer.alloc(size, body as Buffer),
    }),
  });
  await refusal(readFalsified(resized(1000)), /1000 bytes where 4194304 were asked for/);
  await refusal(readFalsified(resized(8388700)), /8388700 bytes where 4194304 were asked for/);
});

test('S11 more bytes than a range has, without a length that says so: refused', async () => {
  const fault: HttpFault = {
    when: isGet,
    rewrite: ({ headers: { 'content-length': _, ...headers }, body }) => ({
      status: 206,
      headers: { ...headers, 'transfer-encoding': 'chunked' },
      body: Buffer.concat([body as Buffer, Buffer.from('more')]),
    }),
  };
  await refusal(readFalsified(fault), /more bytes than were asked for/);
});

test('S13 an object stored with a checksum of its whole: its ranges raise no false alarm', async () => {
  await bucket.client.send(
    new PutObjectCommand({ Bucket: 'faults', Key: 'summed', Body: data, ChecksumAlgorithm: 'CRC32' }),
  );
  const { bytes, retries } = await read(server.endpoint, { key: 'summed' });
  assert.ok(bytes.equals(data));
  assert.equal(retries, []);
});

test('S14 a code that nobody knows: said as it is', async () => {
  const reading = readFalsified({ answer: errorAnswer(400, 'constructor'), times: 99 });
  await refusal(reading, /S3 refused it \(constructor, 400\)\. S3 says: "m"/);
});

test('S14 a clock that is wrong: named', async () => {
  const reading = readFalsified({ answer: errorAnswer(403, 'RequestTimeTooSkewed'), times: 99 });
  await refusal(reading, /refused because the clock of this machine is wrong/);
});

test('S15 another region, an endpoint with a path, one that speaks no TLS: each says what to set', async () => {
  const region = readFalsified({ answer: errorAnswer(400, 'AuthorizationHeaderMalformed'), times: 99 });
  assert.match((await refusal(region, /lies in another region/)).hint ?? '', /source\.s3\.region/);
  await refusal(read(`${server.endpoint}/some/path`), /cannot be read|does not exist/);
  const tls = read(server.endpoint.replace('http:', 'https:'));
  assert.match((await refusal(tls, /TLS/)).hint ?? '', /endpoint/);
});

for (const [token, words] of [
  ['<NextContinuationToken>again</NextContinuationToken>', /the same page of a list again/],
  ['', /something that is no list of keys/],
] as const) {
  test(`S15 a list of keys that goes on for ever, ${token === '' ? 'without' : 'with'} a token: refused`, async () => {
    const proxy = await startHttpProxy(server.port);
    const key = '<Contents><Key>list/gravity/artworks.bson</Key><Size>5</Size></Contents>';
    const page = `<Name>faults</Name><IsTruncated>true</IsTruncated>${token}${key}`;
    proxy.setFault({
      when: ({ url }) => url.includes('list-type=2'),
      answer: { status: 200, body: `<ListBucketResult>${page}</ListBucketResult>` },
      times: 50,
    });
    const reading = readBackup(inBucket(proxy, bucket, 'list/'), ['artworks']);
    await refusal(reading, words).finally(proxy.stop);
  });
}

for (const [what, pageOf, words] of [
  [
    'goes round in a circle',
    (n: number) => `<Contents><Key>list/${n % 3}</Key><Size>5</Size></Contents>`,
    /the same page of a list again/,
  ],
  ['has empty pages without end', () => '', /one empty page of a list after the other/],
] as const) {
  test(`S15 a list of keys that ${what}, each page with a token of its own: refused`, async () => {
    let pages = 0;
    const lists = createHttpServer((_, answer) => {
      const n = pages++;
      const token = `<NextContinuationToken>${n}</NextContinuationToken>`;
      answer.writeHead(200, { 'content-type': 'application/xml' });
      answer.end(
        `<ListBucketResult><Name>faults</Name><IsTruncated>true</IsTruncated>${token}${pageOf(n)}</ListBucketResult>`,
      );
    });
    const port = await listenLocally(lists);
    const { location } = inBucket({ endpoint: `http://127.0.0.1:${port}` }, { name: 'faults' }, 'list/');
    if (location.kind !== 's3') throw new Error('not in a bucket');
    const store = openS3(QUIET, location, IMPATIENT);
    const listing = (async () => {
      for await (const _ of store.list('list/'));
    })();
    await refusal(listing, words).finally(async () => {
      await store.close();
      lists.closeAllConnections();
      lists.close();
    });
  });
}

const SELF_SIGNED = 'S15 a certificate that nobody vouches for: refused, with what to set';
const certificate = selfSigned();
test('https where the server speaks plain http: not called a question of trust', async () => {
  const plain = server.endpoint.replace('http://', 'https://');
  const { hint = '' } = await refusal(read(plain), /does not speak TLS/);
  assert.match(hint, 'http://');
});

if (certificate === undefined) test.skip(SELF_SIGNED, 'there is no openssl here to make a certificate');
else {
  test(SELF_SIGNED, async () => {
    let asked = 0;
    const secure = createServer(
      { key: certificate, cert: certificate },
      (_, response) => void response.end(),
    );
    secure.on('connection', () => asked++);
    const port = await listenLocally(secure);
    const refused = await refusal(
      read(`https://127.0.0.1:${port}`),
      /the TLS certificate of the server is not trusted/,
    );
    assert.match(refused.hint ?? '', 'NODE_EXTRA_CA_CERTS');
    assert.ok(asked > 0);
    secure.close();
  });
}

test('S16 an empty object and one smaller than a tar block: refused', async () => {
  for (const [size, words] of [
    [0, /is empty/],
    [100, /neither a tar nor a mongodump archive/],
  ] as const) {
    await bucket.put('tiny.tar', Buffer.alloc(size, 'x'));
    await refusal(readBackup(inBucket(server, bucket, 'tiny.tar'), ['artworks']), words);
  }
});

test('S17 no such name, nobody listening: tried again, then given up within the patience', async () => {
  const started = performance.now();
  await refusal(read('http://s3.nowhere.invalid'), /the name of the server is not known|DNS does not answer/);
  await refusal(read(`http://127.0.0.1:${await freePort()}`), /the server refuses connections/);
  assert.ok(performance.now() - started < 2 * (IMPATIENT.firstMs + 10_000));
});

test('S17 a server that takes connections and never answers: given up within the patience', async () => {
  const proxy = await startTcpProxy({ to: server.port });
  const set = proxy.setFault({ kind: 'stall', direction: 'toServer', afterBytes: 0, times: 99 });
  await refusal(read(`http://127.0.0.1:${proxy.port}`), /the server does not answer/);
  assert.ok(set.hits > 0);
  await proxy.stop();
});

test('S17 a place from which nothing comes back, not even a connection: given up within the patience', async () => {
  const hole = await openBlackHole();
  const started = performance.now();
  await refusal(read(`http://127.0.0.1:${hole.port}`), /the server does not answer/);
  assert.ok(performance.now() - started < IMPATIENT.firstMs + 10_000);
  assert.is(hole.refusedOrTaken(), false, 'a connection came about');
  hole.close();
});

test('S18 the server is killed and started again in the middle: resumed', async () => {
  let restarting: Promise<void> | undefined;
  const between = async (): Promise<void> => {
    restarting ??= server.restart();
  };
  const patience = { ...USUAL_PATIENCE, readingMs: 20_000 };
  const { bytes, retries } = await read(server.endpoint, { between, patience });
  await restarting;
  assert.ok(retries.length >= 1, 'nothing was cut off');
  assert.ok(bytes.equals(data));
});

test.run();
