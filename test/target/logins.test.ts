/** How a target lets nobody in, and what of a connection string this program does not have. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { RestorePlanError } from '../../src/errors.ts';
import type { TargetPlan } from '../../src/plan/plan.ts';
import { Secret } from '../../src/secret.ts';
import { connectTarget } from '../../src/target/connect.ts';
import { suite } from '../harness.ts';
import { withFailPoint } from '../lab/failpoint.ts';
import { temporaryFolder } from '../lab/guard.ts';
import { connectDirectly, type Standalone, startStandalone } from '../lab/mongod.ts';
import { BUILT_PROGRAM, runPlan } from '../lab/plan-command.ts';
import { QUIET } from '../quiet-run.ts';

const test = suite('logging in');
let mongod: Standalone;

test.before(async () => {
  mongod = await startStandalone();
  const client = await connectDirectly(mongod.address);
  await client.db('admin').command({ createUser: 'ops', pwd: 'right-word', roles: ['root'] });
  await client.close();
});
test.after(() => mongod.stop());

const target = (login: string, settings = ''): TargetPlan => ({
  uri: new Secret(`mongodb://${login}${mongod.address}/?directConnection=true${settings}`),
  database: 'shop',
  gate: { soakMs: 0, approvals: 0 },
});

/** Connects, and returns what is said about the connection string. */
async function notesOf(plan: TargetPlan): Promise<readonly string[]> {
  const connected = await connectTarget(QUIET, 'staging', plan, { patienceMs: 3_000 });
  await connected.close();
  return connected.notes.filter((note) => !note.includes('standalone'));
}

/** Checks that connecting is refused in these words. */
async function refusal(plan: TargetPlan, words: RegExp): Promise<RestorePlanError> {
  const error = await notesOf(plan).then(
    () => assert.unreachable(`was not refused; expected ${words}`),
    (thrown: unknown) => thrown as RestorePlanError,
  );
  assert.instance(error, RestorePlanError);
  assert.is((error as RestorePlanError).code, 'TARGET');
  assert.match((error as RestorePlanError).message, words);
  return error as RestorePlanError;
}

test('a wrong password is named as such, at a server of one’s own and at Atlas; the right one gets in', async () => {
  const wrong = target('ops:wrong-word@', '&authSource=admin');
  const { hint = '' } = await refusal(
    wrong,
    /staging: the server refused the user or the password \(AuthenticationFailed\)/,
  );
  assert.match(hint, /user, the password and the authSource/);
  const client = await connectDirectly(mongod.address);
  const atlas = {
    name: 'failCommand',
    mode: 'alwaysOn',
    data: { failCommands: ['saslStart', 'saslContinue'], errorCode: 8000, appName: 'restore-plan' },
  } as const;
  const fired = await withFailPoint(client, atlas, async () => {
    const refused = await refusal(wrong, /the server refused the user or the password \(.*8000.*\)/);
    assert.match(refused.hint ?? '', /authSource.*Database Access/s);
  });
  assert.ok(fired > 0);
  await client.close();
  assert.equal(await notesOf(target('ops:right-word@', '&authSource=admin')), []);
});

test('Atlas puts the same code on a command that it refuses: that is no wrong password', async () => {
  const client = await connectDirectly(mongod.address);
  const data = { failCommands: ['buildInfo'], errorCode: 8000, appName: 'restore-plan' };
  await withFailPoint(client, { name: 'failCommand', mode: 'alwaysOn', data }, async () => {
    const { message } = await refusal(target('ops:right-word@', '&authSource=admin'), /buildInfo/);
    assert.not.match(message, 'password');
  });
  await client.close();
});

test('compressors that are not there are left out, and said; those that are there are used', async () => {
  const [alone] = await notesOf(target('', '&compressors=snappy'));
  assert.match(
    alone ?? '',
    /compressors=snappy of the connection string is left out, .* nothing is compressed/,
  );
  const [several] = await notesOf(target('', '&compressors=zstd,snappy,zlib'));
  assert.match(several ?? '', /compressors=(zstd,)?snappy .*: (zstd,)?zlib is used/);
  assert.equal(await notesOf(target('', '&compressors=zlib')), []);
});

const AWS = 'authMechanism=MONGODB-AWS: the credentials are those of the AWS chain';
if (process.env[BUILT_PROGRAM] === undefined) test.skip(AWS, 'nothing was built');
else {
  const folder = temporaryFolder('logins');
  test.after(() => folder.remove());
  test(AWS, async () => {
    const plan = join(folder.path, 'plan.yaml');
    writeFileSync(
      plan,
      `version: 1
name: aws
reason: a test
source: { path: dump/, database: shop }
collections:
  - { collection: orders, query: {} }
targets:
  staging: { uri: "\${STG}", database: shop }
`,
    );
    const uri = target('', '&authMechanism=MONGODB-AWS&authSource=$external').uri?.reveal();
    const nowhere = {
      AWS_CONFIG_FILE: '/nonexistent/config',
      AWS_SHARED_CREDENTIALS_FILE: '/nonexistent/credentials',
      AWS_EC2_METADATA_DISABLED: 'true',
    };
    const status = async (env: Readonly<Record<string, string>>): Promise<string> => {
      const run = await runPlan(['status', plan], { env: { STG: uri, ...nowhere, ...env } });
      return (run.stdout + run.stderr).replace(/\s+/g, ' ');
    };
    assert.match(await status({}), /no AWS credentials were found for authMechanism=MONGODB-AWS/);
    // This server is not Atlas: it is asked, and says that it does not have the mechanism.
    const keys = {
      AWS_ACCESS_KEY_ID: 'CANARYAWSKEYID000001',
      AWS_SECRET_ACCESS_KEY: 'canary-secret-0123456',
    };
    assert.match(await status(keys), /the server does not offer the authMechanism of the connection string/);
  });
}

test.run();
