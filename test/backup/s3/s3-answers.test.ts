/** What S3 gives as its reason is passed on, and doing what the hint says leads out. A real server stands behind each answer. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { RestorePlanError } from '../../../src/errors.ts';
import type { Source } from '../../../src/plan/plan.ts';
import type { S3Location } from '../../../src/plan/sources/s3.ts';
import { suite } from '../../harness.ts';
import { temporaryFolder } from '../../lab/guard.ts';
import { type HttpFault, startHttpProxy } from '../../lab/http-proxy.ts';
import {
  type Bucket,
  CANARY_SECRET_KEY,
  createBucket,
  type S3Server,
  s3Client,
  startS3Server,
} from '../../lab/s3.ts';
import { layOutBackups } from '../backup-folders.ts';
import { inBucket, readBackup, refusal, useCredentials } from '../reading.ts';

const test = suite('answers of S3');
const folder = temporaryFolder('s3-answers');
let server: S3Server;
let bucket: Bucket;

test.before(async () => {
  server = await startS3Server();
  useCredentials(server);
  bucket = await createBucket(s3Client(server), 'answers');
  const root = await layOutBackups(folder, { one: ['artworks'] });
  await bucket.put('db.tar', readFileSync(join(root, 'one/db.tar')));
});
test.after(async () => {
  bucket.client.destroy();
  await server.stop();
  folder.remove();
});

const xml = (code: string, message: string, more = ''): string =>
  `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message}</Message>${more}</Error>`;

/** The plan's source, with some of its settings of S3 changed. */
function source(endpoint: string, settings: Partial<S3Location> = {}): Source {
  const plain = inBucket({ endpoint }, bucket, 'db.tar');
  return { ...plain, location: { ...plain.location, ...settings } as S3Location };
}

async function read(from: Source): Promise<string[]> {
  const { documents } = await readBackup(from, ['artworks']);
  return [...documents.keys()];
}

interface Remedy {
  readonly fault: HttpFault;
  readonly refused: RegExp;
  readonly hint: RegExp;
  /** What the hint says to put into the plan. */
  readonly settings: Partial<S3Location>;
}

/** Refused while the fault is answered; read once the plan has what the hint names. */
async function walk({ fault, refused, hint, settings }: Remedy): Promise<void> {
  const proxy = await startHttpProxy(server.port);
  try {
    const set = proxy.setFault({ times: 1_000, ...fault });
    const error = await refusal(read(source(proxy.endpoint)), refused);
    assert.match(error.hint ?? '', hint);
    assert.ok(set.hits > 0, 'the fault never struck');
    assert.equal(await read(source(proxy.endpoint, settings)), ['artworks']);
  } finally {
    await proxy.stop();
  }
}

test('a bucket whose requester pays: denied, until the plan says who pays', async () => {
  await walk({
    fault: {
      when: ({ headers }) => headers['x-amz-request-payer'] !== 'requester',
      answer: { status: 403, body: xml('AccessDenied', 'Access Denied') },
    },
    refused: /s3:\/\/answers\/db\.tar may not be read with these credentials\. S3 says: "Access Denied"/,
    hint: /set source\.s3\.requestPayer: requester/,
    settings: { requestPayer: 'requester' },
  });
});

test('a bucket in another region, named in the body: the plan is told which', async () => {
  await walk({
    fault: {
      when: ({ headers }) => !headers.authorization?.includes('/eu-west-1/s3/'),
      answer: {
        status: 400,
        body: xml('AuthorizationHeaderMalformed', 'Wrong.', '<Region>eu-west-1</Region>'),
      },
    },
    refused: /db\.tar lies in the region eu-west-1, not in the one asked/,
    hint: /Set source\.s3\.region: eu-west-1/,
    settings: { region: 'eu-west-1' },
  });
});

test('a redirect to another region: followed; from an address that keeps sending it: the region is named', async () => {
  const proxy = await startHttpProxy(server.port);
  const headers = { 'x-amz-bucket-region': 'eu-west-1' };
  const answer = { status: 301, headers, body: xml('PermanentRedirect', 'Moved.') };
  const when: HttpFault['when'] = (request) => !request.headers.authorization?.includes('/eu-west-1/s3/');
  const set = proxy.setFault({ when, times: 99, answer });
  assert.equal(await read(source(proxy.endpoint)), ['artworks']);
  assert.ok(set.hits > 0);
  proxy.setFault({ times: 99, answer });
  const { hint } = await refusal(read(source(proxy.endpoint)), /db\.tar lies in the region eu-west-1/);
  assert.match(hint ?? '', /source\.s3\.region: eu-west-1.*source\.s3\.endpoint, leave that out/);
  await proxy.stop();
});

test('an object whose KMS key may not be used: the permission and the key are named, not s3:GetObject', async () => {
  const key = 'arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';
  const message = `User: arn:aws:iam::111122223333:user/ops is not authorized to perform: kms:Decrypt on resource: ${key} because no identity-based policy allows the kms:Decrypt action`;
  const proxy = await startHttpProxy(server.port);
  const when: NonNullable<HttpFault['when']> = ({ method }) => method === 'GET';
  proxy.setFault({ when, times: 99, answer: { status: 403, body: xml('AccessDenied', message) } });
  const refused = read(source(proxy.endpoint));
  const { hint = '' } = await refusal(
    refused,
    /may not be decrypted with these credentials\. S3 says: "User: /,
  );
  assert.match(hint, `Grant these credentials kms:Decrypt on ${key}`);
  assert.not.match(hint, 's3:GetObject');
  await proxy.stop();
});

test('a permission of S3 that is missing: named as S3 names it', async () => {
  const message =
    'User: arn:aws:iam::111122223333:user/ops is not authorized to perform: s3:ListBucket on resource: "arn:aws:s3:::answers" because no policy allows it';
  const proxy = await startHttpProxy(server.port);
  proxy.setFault({ times: 99, answer: { status: 403, body: xml('AccessDenied', message) } });
  const { hint } = await refusal(read(source(proxy.endpoint)), /may not be read with these credentials/);
  assert.is(hint, 'Grant these credentials s3:ListBucket on arn:aws:s3:::answers.');
  await proxy.stop();
});

test('a key that is not there is named as the plan has it, whatever the list of its folder answers', async () => {
  const proxy = await startHttpProxy(server.port);
  for (const code of ['NoSuchKey', 'AccessDenied']) {
    const status = code === 'NoSuchKey' ? 404 : 403;
    proxy.setFault({
      when: ({ url }) => url.includes('list-type=2'),
      times: 1,
      answer: { status, body: xml(code, 'No.') },
    });
    const missing = source(proxy.endpoint, { key: 'missing.tar' });
    const { message } = await refusal(read(missing), /^s3:\/\/answers\/missing\.tar [^/]/);
    assert.not.match(message, 'missing.tar/');
  }
  await proxy.stop();
});

test('an object without an ETag: refused for what it lacks', async () => {
  const proxy = await startHttpProxy(server.port);
  const rewrite: HttpFault['rewrite'] = ({ status, headers: { etag: _, ...headers }, body }) => ({
    status,
    headers,
    body,
  });
  proxy.setFault({ times: 99, rewrite });
  const { hint } = await refusal(
    read(source(proxy.endpoint)),
    /db\.tar cannot be read: the server names no ETag/,
  );
  assert.match(hint ?? '', 'source.path');
  await proxy.stop();
});

/** Reads from the real server with some variables changed, which are put back afterwards. */
async function readWith(variables: Readonly<Record<string, string>>): Promise<RestorePlanError> {
  const before = { ...process.env };
  Object.assign(process.env, variables);
  try {
    return await refusal(read(source(server.endpoint)), /./);
  } finally {
    process.env = before;
  }
}

test('wrong credentials: the one that is wrong is named, and right ones read', async () => {
  const secret = `${CANARY_SECRET_KEY.slice(0, -1)}X`;
  const wrongSecret = await readWith({ AWS_SECRET_ACCESS_KEY: secret });
  assert.match(
    wrongSecret.message,
    /the secret key does not belong to the access key\. S3 says: "The request signature/,
  );
  assert.match(wrongSecret.hint ?? '', /AWS_SECRET_ACCESS_KEY.*source\.s3\.profile/);
  assert.not.match(wrongSecret.message + wrongSecret.hint, secret);
  const wrongKey = await readWith({ AWS_ACCESS_KEY_ID: 'CANARYAWSKEYID000002' });
  assert.match(wrongKey.message, /S3 does not know the access key/);
  assert.match(wrongKey.hint ?? '', /AWS_ACCESS_KEY_ID/);
  assert.not.match(wrongKey.message + wrongKey.hint, 'CANARYAWSKEYID');
  assert.equal(await read(source(server.endpoint)), ['artworks']);
});

test.run();
