/**
 * What would be submitted to Kubernetes: by the published schemas, and each command of its containers run as it stands, where it finds what its
 * volumes give it.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import * as assert from 'uvu/assert';
import { parseAllDocuments } from 'yaml';
import { writeLargeDump } from '../bench/large-dump.ts';
import { test } from '../harness.ts';
import { LOST_PARTNER } from '../lab/art-market.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { type PlanRun, programArguments, runPlan } from '../lab/plan-command.ts';
import { type Bucket, CANARY_KEY_ID, CANARY_SECRET_KEY, s3Environment } from '../lab/s3.ts';
import { program } from '../lab/tools.ts';
import { digestOf, done } from './by-hand.ts';

/** A model of the published schemas. */
type Model = new (manifest: unknown) => { validate(): void };

/** Loaded by its name: whoever has not installed it yet can check the types of everything else. */
async function model(kind: string): Promise<Model> {
  const models = (await import(`kubernetes-models/${kind}`)) as Record<string, Model>;
  return models[kind.slice(kind.lastIndexOf('/') + 1)] as Model;
}

let lab: Lab;
let folder: TemporaryFolder;
let exchange: Bucket;
const at = (...path: readonly string[]): string => join(folder.path, ...path);

test.before(async () => {
  [lab, folder] = [await openLab(), temporaryFolder('kubernetes')];
  const backups = await lab.bucket('backups');
  exchange = await lab.bucket('exchange');
  writeLargeDump(at('dump'), 'gravity', { artworks: 9_000, lots: 12_000, people: 10, offers: 10 });
  for (const name of ['artworks', 'sale_artworks'])
    for (const ending of ['bson', 'metadata.json'])
      await backups.putFile(`db/dump/gravity/${name}.${ending}`, at('dump', 'gravity', `${name}.${ending}`));
  for (const name of ['plans/4711', 'bases']) mkdirSync(at(name), { recursive: true });
  writeFileSync(
    at('bases', 'gravity.base.yaml'),
    `source:
  database: gravity
  s3: { bucket: ${backups.name}, key: db/dump/, endpoint: "${lab.s3.endpoint}", forcePathStyle: true }
targets: { staging: { uri: "\${STAGING}", database: gravity-staging } }
`,
  );
  writeFileSync(
    at('plans', '4711', 'plan.yaml'),
    `version: 1
name: Incident_4711.partner-that-was-lost
reason: A test.
extends: ../../bases/gravity.base.yaml
collections:
  - collection: artworks
    query: { partner_id: { $oid: ${LOST_PARTNER.toHexString()} } }
    dependents: [{ collection: sale_artworks, foreignKey: artwork_id }]
`,
  );
});
test.after(async () => {
  await lab.close();
  folder.remove();
});

function select(...args: readonly string[]): Promise<PlanRun> {
  return runPlan(['select', join('plans', '4711', 'plan.yaml'), ...args], {
    cwd: folder.path,
    env: s3Environment(lab.s3),
  });
}

const printing = (...more: readonly string[]): string[] => [
  ...['--engine', 'kubernetes', '--workers', '3', '--image', 'registry.example.com/plan:1.0.0'],
  ...['--exchange', `s3://${exchange.name}/parts`, '--print', ...more],
];

type Manifest = Record<string, unknown>;

async function manifests(...more: readonly string[]): Promise<Manifest[]> {
  const { stdout } = done(await select(...printing(...more)));
  return parseAllDocuments(stdout).map((document) => document.toJS() as Manifest);
}

test('the plan with what it extends, a job for each level, and between them the join', async () => {
  const all = await manifests(
    '--namespace',
    'restores',
    '--service-account',
    'backup-reader',
    '--memory',
    '2Gi',
  );
  assert.equal(
    all.map(({ kind }) => kind),
    ['ConfigMap', 'Job', 'Job', 'Job'],
  );
  const [configMap, first, join, second] = all as [Manifest, Manifest, Manifest, Manifest];
  assert.equal(Object.values(configMap['data'] as Manifest), [
    readFileSync(at('plans', '4711', 'plan.yaml'), 'utf8'),
    readFileSync(at('bases', 'gravity.base.yaml'), 'utf8'),
  ]);
  for (const job of [first, second]) {
    const { completionMode, completions, backoffLimitPerIndex } = specOf(job);
    assert.equal([completionMode, completions, backoffLimitPerIndex], ['Indexed', 3, 3]);
  }
  assert.is(specOf(join)['completionMode'], undefined);
  for (const job of [first, join, second]) {
    assert.is((job['metadata'] as Manifest)['namespace'], 'restores');
    assert.is(podOf(job)['serviceAccountName'], 'backup-reader');
    assert.equal(containerOf(job)['resources'], {
      requests: { cpu: '1', memory: '2Gi' },
      limits: { memory: '2Gi' },
    });
  }
});

const specOf = (job: Manifest): Manifest => job['spec'] as Manifest;
const podOf = (job: Manifest): Manifest => (specOf(job)['template'] as Manifest)['spec'] as Manifest;
const containerOf = (job: Manifest): Manifest => (podOf(job)['containers'] as Manifest[])[0] as Manifest;

test('every manifest fits the published schema of its kind, and has no key that is not in it', async () => {
  const [Job, ConfigMap] = await Promise.all(['batch/v1/Job', 'v1/ConfigMap'].map(model));
  if (Job === undefined || ConfigMap === undefined) throw new TypeError('two models are asked for');
  for (const manifest of await manifests('--env-secret', 'store-credentials', '--namespace', 'restores')) {
    if (manifest['kind'] === 'ConfigMap') new ConfigMap(manifest).validate();
    else {
      new Job(manifest).validate();
      assert.equal(unknownKeys(manifest), []);
    }
    const { name } = manifest['metadata'] as { name: string };
    // A pod of an Indexed Job has the name, its index and more in its host name.
    assert.match(name, /^[a-z][a-z0-9-]{0,51}$/);
  }
  assert.throws(() => new Job({ spec: { completions: 'x' } }).validate(), 'the schema can refuse');
});

/** Keys of the parts of a job that the published types do not know: the API server would refuse them, the schema alone does not. */
function unknownKeys(job: Manifest): string[] {
  const parts: [type: string, value: unknown][] = [
    ['batch/v1/Job', job],
    ['batch/v1/JobSpec', specOf(job)],
    ['v1/PodSpec', podOf(job)],
    ['v1/Container', containerOf(job)],
    ['v1/SecurityContext', containerOf(job)['securityContext']],
    ['v1/ResourceRequirements', containerOf(job)['resources']],
    ...((podOf(job)['volumes'] as unknown[]).map((volume) => ['v1/Volume', volume]) as [string, unknown][]),
    ...((containerOf(job)['volumeMounts'] as unknown[]).map((mount) => ['v1/VolumeMount', mount]) as [
      string,
      unknown,
    ][]),
    ...((specOf(job)['podFailurePolicy'] as { rules: unknown[] }).rules.map((rule) => [
      'batch/v1/PodFailurePolicyRule',
      rule,
    ]) as [string, unknown][]),
  ];
  return parts.flatMap(([type, value]) => {
    const file = fileURLToPath(import.meta.resolve(`kubernetes-models/${type}`));
    const text = readFileSync(join(dirname(file), `${type.split('/').at(-1)}.d.ts`), 'utf8');
    const known = new Set([...text.matchAll(/^ {4}"?(\w+)"?\??:/gm)].map(([, name]) => name));
    return Object.keys(value as object).filter((key) => !known.has(key));
  });
}

test('no manifest holds a secret', async () => {
  const { stdout } = done(await select(...printing()));
  for (const secret of [CANARY_KEY_ID, CANARY_SECRET_KEY]) assert.not.ok(stdout.includes(secret));
  assert.match(stdout, /name: AWS_REGION\n/, 'what is no secret is passed on');
});

test('each command of a container, run as it stands with the index in its environment, makes the selection', async () => {
  const why = whyNoContainer();
  if (why !== undefined) throw new Error(why);
  mkdirSync(at('bin'));
  writeFileSync(
    at('bin', 'plan'),
    `#!/bin/sh\nexec ${[process.execPath, ...programArguments()].join(' ')} "$@"\n`,
  );
  chmodSync(at('bin', 'plan'), 0o755);
  const all = await manifests();
  const [configMap] = all as [Manifest];
  for (const job of all.slice(1)) {
    layOut(job, configMap);
    const { completionMode, completions } = specOf(job) as { completionMode?: string; completions: number };
    for (let index = 0; index < completions; index++)
      await inContainer(job, completionMode === 'Indexed' ? { JOB_COMPLETION_INDEX: String(index) } : {});
  }
  const joined = await select(
    '--work-dir',
    'joined',
    '--join',
    '--exchange',
    `s3://${exchange.name}/parts`,
    '--json',
  );
  const expected = digestOf(done(await select('--work-dir', 'alone', '--json')));
  assert.is(digestOf(done(joined)), expected);
  const printed = done(await select(...printing('--namespace', 'restores'))).stdout;
  assert.match(
    printed,
    /# Then, .*: plan select .* --clean --engine kubernetes --namespace restores --exchange s3:/,
  );
  const { stdout } = done(await select('--clean', '--exchange', `s3://${exchange.name}/parts`));
  assert.match(stdout, /Removed \d+ files from/);
  const { Contents = [] } = await exchange.client.send(new ListObjectsV2Command({ Bucket: exchange.name }));
  assert.equal(Contents, []);
});

/** Puts the files of the ConfigMap where the volume has them, below a folder of this machine. */
function layOut(job: Manifest, configMap: Manifest): void {
  const [plan] = podOf(job)['volumes'] as [{ configMap: { items: { key: string; path: string }[] } }];
  for (const { key, path } of plan.configMap.items) {
    mkdirSync(dirname(at('volume', path)), { recursive: true });
    writeFileSync(at('volume', path), (configMap['data'] as Record<string, string>)[key] as string);
  }
}

const ENTER = ['--user', '--map-root-user', '--mount'];

function whyNoContainer(): string | undefined {
  const { status, stderr } = spawnSync('unshare', [...ENTER, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], {
    encoding: 'utf8',
  });
  return status === 0 ? undefined : `no mount namespace can be made here: ${stderr}`;
}

/** Its command with its mounts and variables, and `plan` from this repository. */
async function inContainer(job: Manifest, env: Record<string, string>): Promise<void> {
  const {
    command,
    volumeMounts,
    env: variables = [],
  } = containerOf(job) as {
    command: string[];
    volumeMounts: { name: string; mountPath: string }[];
    env?: { name: string; value: string }[];
  };
  const mounted = volumeMounts.map(({ name, mountPath }) =>
    name === 'plan'
      ? `mkdir ${mountPath}; cp -r '${at('volume')}/.' ${mountPath}/`
      : `mkdir -m 777 ${mountPath}`,
  );
  const script = ['set -e', 'mount -t tmpfs tmpfs /mnt', ...mounted, 'exec "$@"'].join('\n');
  const given = {
    ...s3Environment(lab.s3),
    ...Object.fromEntries(variables.map(({ name, value }) => [name, value])),
    ...env,
  };
  const set = Object.entries({ ...given, PATH: `${at('bin')}:${process.env['PATH']}` }).map(
    ([name, value]) => `${name}=${value}`,
  );
  await program('unshare', [...ENTER, 'env', ...set, 'sh', '-c', script, 'sh', ...command]);
}

test('more than a ConfigMap holds is refused, with a way that leads out', async () => {
  writeFileSync(
    at('plans', '4711', 'ids.txt'),
    `${Array.from({ length: 50_000 }, (_, i) => i.toString(16).padStart(24, '0')).join('\n')}\n`,
  );
  const plan = at('plans', '4711', 'plan.yaml');
  const text = readFileSync(plan, 'utf8');
  writeFileSync(plan, text.replace(/query: .*/, 'ids: ./ids.txt'));
  try {
    const { exitCode, stderr } = await select(...printing());
    assert.is(exitCode, 11);
    assert.match(stderr, /are 125\d{4} bytes together, and a ConfigMap holds 1048576/);
    assert.match(stderr, /plans\/4711\/ids\.txt.*--plan-path/s);
    const [job, ...others] = await manifests('--plan-path', '/plans/incident.yaml');
    assert.is(job?.['kind'], 'Job');
    assert.ok((containerOf(job as Manifest)['command'] as string[]).includes('/plans/incident.yaml'));
    assert.is(others.filter(({ kind }) => kind === 'ConfigMap').length, 0);
  } finally {
    writeFileSync(plan, text);
  }
});

test('an image is needed, and an exchange that pods can reach', async () => {
  const missing = await select(
    '--engine',
    'kubernetes',
    '--workers',
    '3',
    '--exchange',
    's3://x/y',
    '--print',
  );
  assert.is(missing.exitCode, 11);
  assert.match(missing.stderr, /--image is missing/);
  const shared = await select(
    '--engine',
    'kubernetes',
    '--workers',
    '3',
    '--exchange',
    '/shared',
    '--image',
    'x',
  );
  assert.is(shared.exitCode, 11);
  assert.match(shared.stderr, /the pods of Kubernetes share no folder/);
});

test.run();
