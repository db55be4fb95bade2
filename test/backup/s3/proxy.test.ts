/** S3 through a proxy that the environment names. */
import { readFileSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { createServer } from 'node:https';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { proxyFor } from '../../../src/backup/s3/proxy.ts';
import { RestorePlanError } from '../../../src/errors.ts';
import { suite } from '../../harness.ts';
import { selfSigned } from '../../lab/certificate.ts';
import { type ForwardProxy, startForwardProxy } from '../../lab/forward-proxy.ts';
import { temporaryFolder } from '../../lab/guard.ts';
import { runPlan } from '../../lab/plan-command.ts';
import {
  type Bucket,
  createBucket,
  type S3Server,
  s3Client,
  s3Environment,
  startS3Server,
} from '../../lab/s3.ts';
import { freePort, listenLocally } from '../../lab/server-process.ts';
import { layOutBackups } from '../backup-folders.ts';

const test = suite('proxies');
const folder = temporaryFolder('s3-proxy');
let server: S3Server;
let bucket: Bucket;

test.before(async () => {
  server = await startS3Server();
  bucket = await createBucket(s3Client(server), 'behind');
  const root = await layOutBackups(folder, { one: ['artworks'] });
  await bucket.put('db.tar', readFileSync(join(root, 'one/db.tar')));
});
test.after(async () => {
  bucket.client.destroy();
  await server.stop();
  folder.remove();
});

const NO_PROXY: readonly (readonly [list: string, address: string, exempt: boolean])[] = [
  ['', 'https://b.s3.eu-west-1.amazonaws.com', false],
  ['*', 'https://b.s3.eu-west-1.amazonaws.com', true],
  ['amazonaws.com', 'https://b.s3.eu-west-1.amazonaws.com', true],
  ['.amazonaws.com', 'https://b.s3.eu-west-1.amazonaws.com', true],
  ['*.amazonaws.com', 'https://b.s3.eu-west-1.amazonaws.com', true],
  ['other.org, AmazonAWS.com', 'https://b.s3.eu-west-1.amazonaws.com', true],
  ['naws.com', 'https://b.s3.eu-west-1.amazonaws.com', false],
  ['minio.internal:9000', 'https://minio.internal:9000', true],
  ['minio.internal:9001', 'https://minio.internal:9000', false],
  ['minio.internal:443', 'https://minio.internal', true],
  ['10.0.0.7', 'https://10.0.0.7:9000', true],
  ['::1', 'https://[::1]:9000', true],
  ['[::1]:9000', 'https://[::1]:9000', true],
  ['[::1]:9001', 'https://[::1]:9000', false],
];

test('hosts in NO_PROXY are asked straight, as the AWS tools read it', () => {
  for (const [list, address, exempt] of NO_PROXY) {
    const proxy = proxyFor(new URL(address), { HTTPS_PROXY: 'proxy.example:3128', NO_PROXY: list });
    assert.is(proxy?.href, exempt ? undefined : 'http://proxy.example:3128/', `${list} for ${address}`);
  }
});

test('each scheme has its own variable, in either case; what is no proxy for HTTP is refused', () => {
  const variables = { HTTPS_PROXY: 'http://a:1', https_proxy: 'https://b:2', HTTP_PROXY: 'c:3' };
  assert.is(proxyFor(new URL('https://x'), variables)?.href, 'https://b:2/');
  assert.is(proxyFor(new URL('http://x'), variables)?.href, 'http://c:3/');
  assert.is(proxyFor(new URL('http://x'), { HTTPS_PROXY: 'http://a:1' }), undefined);
  for (const text of [
    ...['socks5://u:hidden-word@a:1', 'http://', 'http://a:99999'],
    ...['http://u:hidden-word%@a:1', 'http://hidden-word%zz:p@a:1'],
  ]) {
    assert.throws(
      () => proxyFor(new URL('https://x'), { HTTPS_PROXY: text }),
      (error: unknown) =>
        error instanceof RestorePlanError && !/hidden-word/.test(error.message + error.hint),
    );
  }
});

/** Runs a command against the bucket at this address. */
function planAt(
  endpoint: string,
  env: Readonly<Record<string, string>>,
  command?: string,
): ReturnType<typeof planIn> {
  const location = `{ bucket: behind, key: db.tar, region: us-east-1, endpoint: "${endpoint}", forcePathStyle: true }`;
  return planIn(location, env, command);
}

async function planIn(
  location: string,
  env: Readonly<Record<string, string>>,
  command = 'backups',
): Promise<{ readonly exitCode: number | undefined; readonly output: string }> {
  writeFileSync(
    join(folder.path, 'plan.yaml'),
    `version: 1
name: behind
reason: a test
source:
  database: gravity
  s3: ${location}
collections:
  - { collection: artworks, query: {} }
targets:
  staging: { uri: "mongodb://127.0.0.1:1", database: gravity }
`,
  );
  const { exitCode, stdout, stderr } = await runPlan([command, 'plan.yaml'], {
    cwd: folder.path,
    env: { ...s3Environment(server), ...env },
  });
  return { exitCode, output: (stdout + stderr).replace(/\s+/g, ' ') };
}

async function through(
  options: Parameters<typeof startForwardProxy>[0],
  work: (proxy: ForwardProxy) => Promise<void>,
): Promise<void> {
  const proxy = await startForwardProxy(options);
  try {
    await work(proxy);
  } finally {
    await proxy.stop();
  }
}

test('http through HTTP_PROXY: whole addresses are asked for; with NO_PROXY none is', async () => {
  await through({ login: 'ops:pass%word' }, async ({ address, asked }) => {
    const HTTP_PROXY = `http://ops:pass%25word@${address}`;
    const { exitCode, output } = await planAt(server.endpoint, { HTTP_PROXY });
    assert.is(exitCode, 0, output);
    assert.match(output, 'chosen');
    assert.ok(asked.includes(`GET ${server.endpoint}/behind/db.tar?x-id=GetObject`), asked.join('\n'));
    assert.ok(asked.every((each) => !each.startsWith('CONNECT')));
    const before = asked.length;
    const straight = await planAt(server.endpoint, { HTTP_PROXY, NO_PROXY: '127.0.0.1' });
    assert.is(straight.exitCode, 0, straight.output);
    assert.is(asked.length, before);
  });
});

test('a proxy that asks for a user, one that refuses, one that is not there: named, and not taken for S3', async () => {
  await through({ login: 'ops:password' }, async ({ address }) => {
    const { exitCode, output } = await planAt(
      server.endpoint,
      {
        HTTP_PROXY: `http://ops:wrong-one@${address}`,
      },
      'dry-run',
    );
    assert.is(exitCode, 12);
    assert.match(output, /the proxy asks for a user and a password/);
    assert.match(output, /user:password@ before the host in HTTPS_PROXY/);
    assert.not.match(output, 'wrong-one');
  });
  await through({ refuses: 403 }, async ({ address }) => {
    const { output } = await planAt(server.endpoint, { HTTP_PROXY: address }, 'dry-run');
    assert.match(output, `cannot be reached: the proxy http://${address} answered with status 403`);
    assert.match(output, 'NO_PROXY');
  });
  const port = await freePort();
  const { output } = await planAt(server.endpoint, { HTTP_PROXY: `127.0.0.1:${port}` });
  assert.match(output, `refuses connections (through the proxy http://127.0.0.1:${port})`);
});

const certificate = selfSigned();
const TUNNELLED = 'https through HTTPS_PROXY: a tunnel';
if (certificate === undefined) test.skip(TUNNELLED, 'there is no openssl here to make a certificate');
else {
  test(TUNNELLED, async () => {
    // TLS in front of the S3 server, which itself speaks plain http here.
    const secure = createServer({ key: certificate, cert: certificate }, (incoming, outgoing) => {
      const { method, url, headers } = incoming;
      const upstream = httpRequest({ port: server.port, method, path: url, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      incoming.pipe(upstream);
    });
    const port = await listenLocally(secure);
    const trusted = join(folder.path, 'trusted.pem');
    writeFileSync(trusted, certificate);
    await through({ login: 'ops:password' }, async ({ address, asked }) => {
      const env = { HTTPS_PROXY: `http://ops:password@${address}`, NODE_EXTRA_CA_CERTS: trusted };
      const { exitCode, output } = await planAt(`https://127.0.0.1:${port}`, env);
      assert.is(exitCode, 0, output);
      assert.ok(asked.length > 0);
      assert.equal([...new Set(asked)], [`CONNECT 127.0.0.1:${port}`]);
      const wrong = { ...env, HTTPS_PROXY: `http://${address}` };
      assert.match((await planAt(`https://127.0.0.1:${port}`, wrong)).output, /the proxy asks for a user/);
    });
    secure.closeAllConnections();
    secure.close();
  });
}

test('credentials that no request can carry, and a file of them that is missing, are not laid on the server', async () => {
  const endpoint = `http://127.0.0.1:${server.port}`;
  for (const [env, words] of [
    [{ AWS_ACCESS_KEY_ID: 'hidden-word\nx' }, /the AWS credentials hold a line break/],
    [{ AWS_SESSION_TOKEN: 'hidden-word\nx' }, /the AWS credentials hold a line break/],
    [
      {
        AWS_ACCESS_KEY_ID: '',
        AWS_WEB_IDENTITY_TOKEN_FILE: '/nonexistent/token',
        AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/restore',
      },
      /a file that the AWS credentials are read from is missing.*AWS_WEB_IDENTITY_TOKEN_FILE/,
    ],
  ] as const) {
    const { exitCode, output } = await planAt(endpoint, env);
    assert.is(exitCode, 12);
    assert.match(output, words);
    assert.not.match(output, 'hidden-word');
  }
});

test('the ARN of an access point, with either delimiter, and its alias are asked at its own host', async () => {
  const arn = 'arn:aws:s3:eu-west-1:123456789012:accesspoint';
  for (const [name, host] of [
    [`${arn}/backups`, 'backups-123456789012.s3-accesspoint.eu-west-1.amazonaws.com'],
    [`${arn}:backups`, 'backups-123456789012.s3-accesspoint.eu-west-1.amazonaws.com'],
    [
      'backups-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias',
      /^backups-hrz\w+-s3alias\.s3\.eu-west-1\.amazonaws/,
    ],
  ] as const) {
    await through({ refuses: 403 }, async ({ address, asked }) => {
      const location = `{ bucket: "${name}", key: db.tar, region: eu-west-1 }`;
      await planIn(location, { HTTPS_PROXY: `http://${address}` });
      const [first = ''] = asked;
      assert.match(first.replace('CONNECT ', ''), host, asked.join());
    });
  }
});

test.run();
