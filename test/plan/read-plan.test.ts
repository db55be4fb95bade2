/** What a checked plan holds: values, defaults, bases merged in, and the digest. */
import { inspect } from 'node:util';
import * as assert from 'uvu/assert';
import { showValue } from '../../src/bson/show.ts';
import { suite } from '../harness.ts';
import { PlanFolder } from './plan-folder.ts';

const test = suite('reading a plan');

let folder: PlanFolder;
test.before.each(() => {
  folder = new PlanFolder();
});
test.after.each(() => folder.remove());

const SMALL = `version: 1
name: small
source: { database: gravity, path: ./dump/ }
collections: [{ collection: artworks, query: {} }]
targets: { staging: { uri: "mongodb://localhost", database: staging } }
`;
/** By a program that knew neither exceptions nor orphans. */
const SMALL_DIGEST = 'b26be879b50dca14d165e6752d04b88f3928688486b0aee77ad5f43a32ee94a4';

const WHOLE = `version: 1
name: whole
reason: An incident.
source:
  at: 2016-09-13T09:00:00-04:00
  database: gravity
  maxAge: 1d2h
  integrity: needed
  maxDecompressionRatio: 5000
  s3:
    bucket: backups
    key: "{time:yyyy.MM.dd.HH.mm.ss}/db.tar"
    timezone: America/New_York
    region: us-east-1
    profile: reader
    endpoint: https://minio.example.net:9000/
    forcePathStyle: true
    requestPayer: requester
collections:
  - collection: artworks
    query: { "2": 1, "1": 2, at: { $gt: { $date: 2016-01-01T00:00:00Z } } }
    into: artworks_restored
    whenMatched: replace
    updatedAt: updated_at
    softDelete: '{ deleted: true }'
    references: [{ field: partner.id, collection: partners }]
    dependents:
      - collection: editions
        foreignKey: artwork_id
        localKey: slug
        query: { state: sold }
        dependents: [{ collection: certificates, foreignKey: edition_id }]
targets:
  staging: { uri: "\${STAGING}", database: gravity-staging }
  production:
    uri: "\${PRODUCTION}"
    database: gravity
    gate: { soak: 15m, approvals: 2 }
followUps:
  - { name: a, on: both, manual: Do it. }
  - { name: b, on: staging, run: [./b.sh, "--x"], needs: [a], when: always, timeout: 90s, passUri: true, env: [TOKEN] }
  - { name: c, on: production, webhook: { url: "\${HOOK}", secret: "\${KEY}", text: Done. }, needs: [a] }
mask: [email, contact.phone]
`;

const ENV = {
  STAGING: 'mongodb://u:canary-1@staging',
  PRODUCTION: 'mongodb://u:canary-2@production',
  HOOK: 'https://example.net/canary-3',
  KEY: 'canary-4',
};

test('a whole plan, value by value', async () => {
  folder.write('plans/plan.yaml', WHOLE);
  const plan = await folder.plan('plans/plan.yaml', ENV);
  assert.is(plan.reason, 'An incident.');
  assert.is(plan.file, `${folder.path}/plans/plan.yaml`);
  assert.equal(plan.source, {
    at: { epochMs: Date.UTC(2016, 8, 13, 13), text: '2016-09-13T09:00:00-04:00' },
    database: 'gravity',
    maxAgeMs: 26 * 3_600_000,
    integrity: 'needed',
    maxDecompressionRatio: 5000,
    location: {
      kind: 's3',
      bucket: 'backups',
      key: '{time:yyyy.MM.dd.HH.mm.ss}/db.tar',
      timezone: 'America/New_York',
      region: 'us-east-1',
      profile: 'reader',
      endpoint: 'https://minio.example.net:9000/',
      forcePathStyle: true,
      requestPayer: 'requester',
    },
  });
  const [root] = plan.collections;
  assert.is(root?.into, 'artworks_restored');
  assert.is(root?.whenMatched, 'replace');
  assert.is(root?.updatedAt, 'updated_at');
  assert.equal(root?.softDelete, Buffer.from('0f0000000864656c65746564000100'.padEnd(30, '0'), 'hex'));
  assert.equal(root?.references, [{ field: 'partner.id', collection: 'partners' }]);
  assert.is(root?.where, `${folder.path}/plans/plan.yaml:20:5`);
  // Keys that look like integers stay in the order of the file.
  assert.match(root?.query.toString('latin1') ?? '', /2\0.*1\0.*at\0.*\$gt\0/s);
  const [editions] = root?.dependents ?? [];
  assert.is(editions?.foreignKey, 'artwork_id');
  assert.is(editions?.localKey, 'slug');
  assert.is(editions?.into, 'editions');
  assert.is(editions?.whenMatched, 'keepExisting');
  assert.is(editions?.dependents[0]?.localKey, '_id');
  assert.is(editions?.dependents[0]?.query, undefined);
  assert.is(plan.targets.staging.uri?.reveal(), ENV.STAGING);
  assert.equal(plan.targets.staging.gate, { soakMs: 0, approvals: 0 });
  assert.equal(plan.targets.production?.gate, { soakMs: 900_000, approvals: 2 });
  assert.equal(plan.mask, ['email', 'contact.phone']);
  assert.equal(plan.unsetVariables, []);
});

test('follow-ups with their defaults', async () => {
  folder.write('plans/plan.yaml', WHOLE);
  const { followUps } = await folder.plan('plans/plan.yaml', ENV);
  assert.equal(followUps[0], {
    name: 'a',
    on: 'both',
    when: 'inserted',
    needs: [],
    action: { kind: 'manual', text: 'Do it.' },
  });
  assert.equal(followUps[1], {
    name: 'b',
    on: 'staging',
    when: 'always',
    needs: ['a'],
    action: {
      kind: 'run',
      command: ['./b.sh', '--x'],
      directory: `${folder.path}/plans`,
      timeoutMs: 90_000,
      passUri: true,
      env: ['TOKEN'],
    },
  });
  const action = followUps[2]?.action;
  assert.is(action?.kind, 'webhook');
  assert.is(action?.kind === 'webhook' ? action.url?.reveal() : '', ENV.HOOK);
  assert.is(action?.kind === 'webhook' ? action.timeoutMs : 0, 30_000);
});

test('no way of printing a plan shows an address or a key', async () => {
  folder.write('plan.yaml', WHOLE);
  const plan = await folder.plan('plan.yaml', ENV);
  const texts = [JSON.stringify(plan), inspect(plan, { depth: 20 }), String(plan.targets.staging.uri)];
  for (const text of texts) assert.not.match(text, /canary/);
});

test('a path is relative to the file that names it, also in a base; a slash at its end stays', async () => {
  folder.write('plan.yaml', SMALL);
  const { source } = await folder.plan('plan.yaml');
  assert.equal(source.location, {
    kind: 'path',
    path: `${folder.path}/dump/`,
    written: './dump/',
    timezone: undefined,
  });
  folder.write('shared/a.base.yaml', 'source: { database: gravity, path: ../dumps/db.tar }\n');
  folder.write('plan.yaml', `extends: ./shared/a.base.yaml\n${SMALL.replace(/source:.*\n/, '')}`);
  const merged = await folder.plan('plan.yaml');
  assert.equal(merged.source.location, {
    kind: 'path',
    path: `${folder.path}/dumps/db.tar`,
    written: '../dumps/db.tar',
    timezone: undefined,
  });
});

test('bases: maps merge and the plan wins, lists are replaced, another location takes the place of the one there', async () => {
  folder.write('b.yaml', `source: { database: b, maxDecompressionRatio: 7 }\nmask: [b]\nreason: b\n`);
  folder.write(
    'a.yaml',
    `extends: ./b.yaml\nsource: { database: a, s3: { bucket: x, key: y } }\nmask: [a1, a2]\nversion: 1\n`,
  );
  folder.write('plan.yaml', `extends: ./a.yaml\n${SMALL}mask: []\n`);
  const plan = await folder.plan('plan.yaml');
  assert.is(plan.source.database, 'gravity');
  assert.is(plan.source.maxDecompressionRatio, 7);
  assert.is(plan.source.location.kind, 'path');
  assert.is(plan.reason, 'b');
  assert.equal(plan.mask, []);
});

test('a query comes whole from the list that it stands in', async () => {
  folder.write(
    'a.yaml',
    `collections: [{ collection: artworks, query: { a: 1 } }, { collection: b, query: {} }]\n`,
  );
  folder.write('plan.yaml', `extends: ./a.yaml\n${SMALL}`);
  const { collections } = await folder.plan('plan.yaml');
  assert.is(collections.length, 1);
  assert.is(collections[0]?.query.length, 5);
});

test('aliases stand for their values', async () => {
  folder.write('plan.yaml', SMALL.replace('query: {}', 'query: { a: &x [1, 2], b: *x }'));
  const { collections } = await folder.plan('plan.yaml');
  const query = collections[0]?.query ?? Buffer.alloc(0);
  const list = query.subarray(7, 7 + query.readInt32LE(7));
  assert.ok(query.subarray(7 + list.length).includes(list), 'the list is there twice');
});

test('the digest does not depend on what changes nothing that is selected or where it goes', async () => {
  const digestOf = async (text: string, env = ENV) => {
    folder.write('plan.yaml', text);
    return (await folder.plan('plan.yaml', env)).digest;
  };
  const digest = await digestOf(WHOLE);
  assert.match(digest, /^[0-9a-f]{64}$/);
  const harmless: readonly (readonly [from: string | RegExp, to: string])[] = [
    ['reason: An incident.', 'reason: Another incident. # and a comment'],
    ['reason: An incident.\n', ''],
    ['gate: { soak: 15m, approvals: 2 }', 'gate: {}'],
    [/followUps:[\s\S]*mask/, 'mask'],
    ['mask: [email, contact.phone]', ''],
    ['uri: "$${STAGING}"', 'uri: mongodb://elsewhere'],
    ['at: 2016-09-13T09:00:00-04:00', 'at: 2016-09-13T13:00:00Z'],
    ['maxAge: 1d2h', 'maxAge: 26h'],
    ['whenMatched: replace', '\'whenMatched\': "replace"'],
    ["softDelete: '{ deleted: true }'", 'softDelete: { deleted: true }'],
    ['{ $date: 2016-01-01T00:00:00Z }', '{ $date: { $numberLong: "1451606400000" } }'],
  ];
  for (const [from, to] of harmless) assert.is(await digestOf(WHOLE.replace(from, to)), digest, String(from));
  assert.is(await digestOf(WHOLE, { ...ENV, STAGING: 'mongodb://other' }), digest, 'the address of staging');

  const telling: readonly (readonly [from: string, to: string])[] = [
    ['name: whole', 'name: other'],
    ['09:00:00-04:00', '09:00:01-04:00'],
    ['database: gravity\n  maxAge', 'database: other\n  maxAge'],
    ['integrity: needed', 'integrity: whole'],
    ['region: us-east-1', 'region: us-east-2'],
    ['"2": 1, "1": 2', '"1": 2, "2": 1'],
    ['state: sold', 'state: lost'],
    ['localKey: slug', 'localKey: _id'],
    ['into: artworks_restored', 'into: artworks_again'],
    ['whenMatched: replace', 'whenMatched: fail'],
    ['database: gravity-staging', 'database: gravity-test'],
    ['collection: certificates', 'collection: labels'],
  ];
  const seen = new Set([digest]);
  for (const [from, to] of telling) {
    const other = await digestOf(WHOLE.replace(from, to));
    assert.not.ok(seen.has(other), from);
    seen.add(other);
  }
});

const EXCEPTING = `version: 1
name: small
source: { database: gravity, path: ./dump/ }
collections:
  - collection: customers
    query: {}
    exceptions:
      - ids:
          - 57d17993a09a6759d8000d9e
          - ObjectId("57d17993a09a6759d8000d9f")
          - { $uuid: 73ffd264-44b3-4c69-90e8-e7d1dfc035d4 }
          - 5
          - plain
          - '"57d17993a09a6759d8000d9e"'
        do: skip
        reason: Their e-mail is taken.
        on: staging
      - { class: refused, do: skip, reason: Expired. }
    dependents:
      - collection: orders
        foreignKey: customerId
        orphans: insert
        exceptions: [{ class: different, do: skip, reason: Newer. }]
        dependents: [{ collection: items, foreignKey: orderId }]
targets: { staging: { uri: "mongodb://localhost", database: staging } }
`;

test('exceptions hold ids as typed values, or a class', async () => {
  folder.write('plan.yaml', EXCEPTING);
  const [customers] = (await folder.plan('plan.yaml')).collections;
  const [named, expired] = customers?.exceptions ?? [];
  assert.equal([named?.on, named?.class, named?.reason], ['staging', undefined, 'Their e-mail is taken.']);
  assert.equal([expired?.on, expired?.class, expired?.ids], [undefined, 'refused', undefined]);
  const shown = [...(named?.ids?.values() ?? [])].map(({ value }) => showValue(value));
  assert.equal(shown, [
    '{"$oid":"57d17993a09a6759d8000d9e"}',
    '{"$oid":"57d17993a09a6759d8000d9f"}',
    '{"$binary":{"base64":"c//SZESzTGmQ6OfR38A11A==","subType":"04"}}',
    '{"$numberInt":"5"}',
    '"plain"',
    '"57d17993a09a6759d8000d9e"',
  ]);
  const [orders] = customers?.dependents ?? [];
  assert.equal([orders?.orphans, orders?.exceptions[0]?.class], ['insert', 'different']);
  assert.is(orders?.dependents[0]?.orphans, 'holdBack');
});

test('exceptions, orphans and skipped indexes enter the digest of the plan, and not that of what it selects', async () => {
  const plan = async (text: string) => {
    folder.write('plan.yaml', text);
    return folder.plan('plan.yaml');
  };
  const small = await plan(SMALL);
  // As before these keys: a plan without them keeps its digest.
  assert.is(small.digest, SMALL_DIGEST);
  assert.is(small.selectsDigest, small.digest);
  const given = await plan(EXCEPTING);
  const changes: readonly (readonly [from: string | RegExp, to: string])[] = [
    ['plain', 'other'],
    [', reason: Newer.', ', reason: Older.'],
    ['class: refused', 'class: conflict'],
    ['        on: staging\n', '        on: production\n'],
    ['        on: staging\n', ''],
    ['        orphans: insert\n', ''],
    [/ {4}exceptions:\n[\s\S]*Expired. }\n/, ''],
    ['query: {}\n', 'query: {}\n    indexes: { skip: [email_1] }\n'],
  ];
  const seen = new Set([given.digest]);
  for (const [from, to] of changes) {
    assert.ok(EXCEPTING.replace(from, to) !== EXCEPTING, String(from));
    const changed = await plan(EXCEPTING.replace(from, to));
    assert.not.ok(seen.has(changed.digest), String(from));
    assert.is(changed.selectsDigest, given.selectsDigest, String(from));
    seen.add(changed.digest);
  }
  const other = await plan(EXCEPTING.replace('query: {}', 'query: { a: 1 }'));
  assert.is.not(other.selectsDigest, given.selectsDigest);
});

test('the digest of a plan with a path is the same in every folder', async () => {
  folder.write('one/plan.yaml', SMALL);
  folder.write('two/deep/plan.yaml', SMALL);
  const [one, two] = [await folder.plan('one/plan.yaml'), await folder.plan('two/deep/plan.yaml')];
  assert.is(one.digest, two.digest);
});

test('a time zone without a time in the location is noted, not refused', async () => {
  folder.write('plan.yaml', SMALL.replace('path: ./dump/', 'path: ./dump, timezone: UTC'));
  const plan = await folder.plan('plan.yaml');
  assert.equal(plan.source.location, {
    kind: 'path',
    path: `${folder.path}/dump`,
    timezone: 'UTC',
    written: './dump',
  });
});

test('each kind of location', async () => {
  const location = async (source: string) => {
    folder.write('plan.yaml', SMALL.replace(/source:.*/, `source: { database: gravity, ${source} }`));
    return (await folder.plan('plan.yaml')).source.location;
  };
  const live = await location('mongodb: { uri: "mongodb://copy" }');
  assert.is(live.kind === 'mongodb' ? live.uri?.reveal() : undefined, 'mongodb://copy');
  const lines = await location('jsonl: { path: "./{collection}.jsonl" }');
  assert.equal(lines, {
    kind: 'jsonl',
    from: {
      kind: 'path',
      path: `${folder.path}/{collection}.jsonl`,
      written: './{collection}.jsonl',
      timezone: undefined,
    },
  });
  const remote = await location('jsonl: { s3: { bucket: exports, key: nightly.jsonl } }');
  assert.is(remote.kind === 'jsonl' ? remote.from.kind : undefined, 's3');
});

test('a connection string is judged as the driver gets it, and nothing secret of it is told', async () => {
  const judge = async (uri: string): Promise<string[]> => {
    folder.write('plan.yaml', SMALL.replace('mongodb://localhost', `\${URI}`));
    const { faults = [] } = await folder.read('plan.yaml', { URI: uri });
    return faults.map(({ message }) => message);
  };
  // What a restore replaces is not judged; a compressor that is missing here is left out later.
  assert.equal(await judge('mongodb://localhost/?readPreference=nobody&w=many&compressors=snappy'), []);
  assert.equal(await judge('mongodb://u:p%40x@a,b:1,[::1]:2/?replicaSet=rs&tls=true&authSource=admin'), []);
  const [message = '', ...more] = await judge('mongodb://eve:s3cret@localhost/?authMechanism=s3cret');
  assert.match(message, /^the driver does not take this connection string: it has a setting/);
  assert.equal(more, []);
  for (const odd of ['__proto__=1', 'tlsCertificateKeyFilePassword=%25zz&nope=1', 'nope=%25zz', 'toString=1'])
    assert.match(
      (await judge(`mongodb://localhost/?${odd}`)).join(),
      /^the driver does not take|refuses$/,
      odd,
    );
  for (const unusable of [
    'localhost:0',
    'localhost:1,',
    `localhost/?a=${'b'.repeat(9_000)}`,
    'h/?loadBalanced=true',
  ])
    assert.is((await judge(`mongodb://${unusable}`)).length, 1, unusable.slice(0, 40));
  assert.equal(await judge('mongodb://localhost/?j=true&fsync=true&minPoolSize=20&maxPoolSize=50'), []);
  // What follows an unescaped sign was the end of a secret; names come back in lower case.
  for (const leak of ['u:p@h/?tlsCertificateKeyFilePassword=abc&HunterTwo', 'a:HunterTwo@h/?HunterTwo=2']) {
    const told = await judge(`mongodb://${leak}`);
    assert.is(told.length, 1, leak);
    assert.not.match(told.join(), /hunter/i);
  }
});

test('the connection strings of the oplogs of shards are judged, too', async () => {
  folder.write(
    'plan.yaml',
    SMALL.replace(
      'path: ./dump/ }',
      'at: 2026-01-01T00:00:00Z, path: ./dump/, oplog: { shards: { a: { mongodb: { uri: "mongodb://h/?nope=1" } } } } }',
    ),
  );
  const { faults = [] } = await folder.read('plan.yaml', {});
  assert.match(faults.map(({ message }) => message).join(), /option nope is not supported/);
});

test.run();
