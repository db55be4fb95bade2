/** Many workers read a backup together, and what is joined is what one machine selects. */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ObjectId, serialize } from 'bson';
import * as assert from 'uvu/assert';
import { decodePart, encodePart, type Part } from '../../src/selection/slices/part.ts';
import { VERSION } from '../../src/version.ts';
import { writeLargeDump } from '../bench/large-dump.ts';
import { test } from '../harness.ts';
import { LOST_PARTNER } from '../lab/art-market.ts';
import { callPlan } from '../lab/call-plan.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { jsonLines, runPlan } from '../lab/plan-command.ts';
import { tarFolder } from '../lab/tar.ts';
import {
  digestOf,
  done,
  filesBelow,
  joining,
  select,
  type Undertaken,
  work,
  workThrough,
} from './by-hand.ts';

let root: TemporaryFolder;
let market: string;
let tree: string;

test.before(() => {
  root = temporaryFolder('together');
  market = join(root.path, 'market');
  writeLargeDump(join(market, 'dump'), 'gravity', {
    artworks: 12_000,
    lots: 20_000,
    people: 100,
    offers: 100,
  });
  writeFileSync(join(market, 'plan.yaml'), MARKET);
  tree = join(root.path, 'tree');
  writeTree(join(tree, 'dump', 'gravity'));
  writeFileSync(join(tree, 'plan.yaml'), TREE);
});
test.after(() => root.remove());

const HEAD = `version: 1
name: incident-4711
reason: A test.
source: { database: gravity, path: ./dump/ }
targets: { staging: { uri: "\${STAGING}", database: gravity-staging } }
`;
const MARKET = `${HEAD}collections:
  - collection: artworks
    query: { partner_id: { $oid: ${LOST_PARTNER.toHexString()} } }
    dependents: [{ collection: sale_artworks, foreignKey: artwork_id }]
`;
const TREE = `${HEAD}collections:
  - collection: categories
    query: { name: root-3 }
    dependents: [{ collection: categories, foreignKey: parent_id }]
`;

/** Roots, each with a chain of children through the whole file, back and forth. */
function writeTree(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const count = 24_000;
  const id = (index: number): ObjectId => new ObjectId(index.toString(16).padStart(24, '0'));
  const documents = Array.from({ length: count }, (_, place) => {
    const index = (place * 7919) % count;
    const parent = index < 10 ? { name: `root-${index}` } : { parent_id: id(index - 10) };
    return serialize({ _id: id(index), ...parent, text: 'x'.repeat(350) });
  });
  writeFileSync(join(folder, 'categories.bson'), Buffer.concat(documents));
}

let counted = 0;

/** An exchange and work directories of its own. */
function undertaking(folder: string, levels: number, workers = 3): Undertaken {
  const exchange = join(root.path, `exchange-${++counted}`);
  mkdirSync(exchange, { mode: 0o700 });
  rmSync(join(folder, 'joined'), { recursive: true, force: true });
  return { folder, exchange, workers, levels };
}

async function alone(folder: string): Promise<string> {
  return digestOf(done(await select(folder, '--work-dir', 'alone', '--json')));
}

test('workers, whatever their number, and a join between the levels give the digest of one machine', async () => {
  const expected = await alone(market);
  for (const workers of [1, 7]) {
    const undertaken = undertaking(market, 2, workers);
    await workThrough(undertaken);
    assert.is(digestOf(done(await select(market, ...joining(undertaken), '--json'))), expected);
    const [one, joined] = ['alone', 'joined'].map((each) => manifestOf(join(market, each)));
    assert.equal(joined, one, 'the manifest says the same of members, counts and warnings');
  }
});

function manifestOf(workDirectory: string): unknown {
  const [file = ''] = filesBelow(workDirectory).filter((name) => name.endsWith('manifest.json'));
  return JSON.parse(readFileSync(join(workDirectory, file), 'utf8'));
}

test('a tree within one collection needs one level, however deep it is', async () => {
  const undertaken = undertaking(tree, 1);
  await workThrough(undertaken);
  assert.is(digestOf(done(await select(tree, ...joining(undertaken), '--json'))), await alone(tree));
});

test('a worker that is run twice, or by two machines at once, changes nothing', async () => {
  const undertaken = undertaking(market, 2);
  done(await work(undertaken, 0, 0));
  const before = filesBelow(undertaken.exchange);
  const again = done(await work(undertaken, 0, 0));
  assert.match(again.stdout, /handed in 1 slice, 1 of them before; 0 B read/);
  assert.equal(filesBelow(undertaken.exchange), before);
  for (const run of await Promise.all([work(undertaken, 0, 1), work(undertaken, 0, 1)])) done(run);
  assert.is(filesBelow(undertaken.exchange).length, 2);
});

test('what is missing is named, and what is there is kept', async () => {
  const undertaken = undertaking(market, 2);
  for (const index of [0, 2]) done(await work(undertaken, 0, index));
  const { exitCode, stderr } = await select(market, ...joining(undertaken));
  assert.is(exitCode, 15);
  assert.match(stderr, /level 0: 1 of 3 slices \(.*artworks\.bson from byte \d+\) are not in/);
  const early = await work(undertaken, 1, 0);
  assert.is(early.exitCode, 15);
  assert.match(early.stderr, /level 1 cannot be read yet: level 0 was not joined/);
  done(await work(undertaken, 0, 1));
  done(await select(market, ...joining(undertaken), '--level', '0'));
});

test('Ctrl-C at a terminal, which ends a command of the engine as well, is told as what it is', async () => {
  const { exchange } = undertaking(market, 2);
  const bin = join(root.path, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'squeue'), '#!/bin/sh\nkill -INT "$PPID"\nkill -INT $$\n', { mode: 0o755 });
  const { exitCode, stderr } = await runPlan(
    ['select', 'plan.yaml', '--engine', 'slurm', '--workers', '2', '--exchange', exchange],
    { cwd: market, env: { PATH: `${bin}:${process.env['PATH']}` } },
  );
  assert.is(exitCode, 130, stderr);
  assert.match(stderr, 'stopped by SIGINT');
  assert.not.match(stderr, 'squeue');
});

test('a worker that came before its level was ready is not blamed once it is', async () => {
  const expected = await alone(market);
  for (const until of [['--level', '0'], []]) {
    const undertaken = undertaking(market, 2, 1);
    const early = await work(undertaken, 1, 0);
    assert.is(early.exitCode, 15, early.stderr);
    assert.ok(failures(undertaken).length > 0, 'it says why it gave up');
    done(await work(undertaken, 0, 0));
    const joined = await select(market, ...joining(undertaken), ...until);
    if (until.length > 0) done(joined);
    else assert.match(joined.stderr, /level 1: \d+ of \d+ slices \(.*\) are not in/);
    assert.equal(failures(undertaken), []);
    const missing = await select(market, ...joining(undertaken));
    assert.match(missing.stderr, /Have the workers of level 1 run to their end/);
    done(await work(undertaken, 1, 0));
    assert.is(digestOf(done(await select(market, ...joining(undertaken), '--json'))), expected);
  }
});

const failures = ({ exchange }: Undertaken): string[] =>
  filesBelow(exchange).filter((name) => name.endsWith('.failure'));

test('a damaged part, and parts of another plan, backup, version or place are refused by name', async () => {
  const undertaken = undertaking(market, 2, 1);
  done(await work(undertaken, 0, 0));
  const { exchange } = undertaken;
  const names = filesBelow(exchange);
  const [part = ''] = names;
  const path = join(exchange, part);
  const whole = readFileSync(path);

  const refused = async (why: RegExp): Promise<void> => {
    const { exitCode, stderr } = await select(market, ...joining(undertaken));
    assert.is(exitCode, 20, stderr);
    assert.match(stderr, why);
    assert.ok(stderr.includes(part.slice(0, 30)), 'the file is named');
  };
  const damaged = Buffer.from(whole);
  damaged[damaged.length - 9] = (damaged[damaged.length - 9] as number) ^ 1;
  writeFileSync(path, damaged);
  await refused(/is damaged: its content is not what its name says; it is not used/);
  writeFileSync(path, whole.subarray(0, whole.length / 2));
  await refused(/is damaged/);
  rmSync(path);

  // Whoever changes the content on purpose gives it a fitting name.
  const forge = async (change: (head: Record<string, unknown>) => void, why: RegExp): Promise<void> => {
    const end = whole.indexOf('\n');
    const head = JSON.parse(whole.toString('utf8', 0, end)) as Record<string, unknown>;
    change(head);
    const forged = Buffer.concat([Buffer.from(JSON.stringify(head)), whole.subarray(end)]);
    const name = part.replace(/[0-9a-f]{64}/, createHash('sha256').update(forged).digest('hex'));
    writeFileSync(join(exchange, name), forged);
    await refused(why);
    rmSync(join(exchange, name));
  };
  await forge((head) => (head['plan'] = '0'.repeat(64)), /was made for another plan/);
  await forge((head) => (head['backup'] = '0'.repeat(64)), /was made from another backup/);
  await forge(
    (head) => (head['version'] = '9.9.9'),
    new RegExp(`was made by version 9.9.9, and this is ${VERSION}`),
  );
  await forge((head) => (head['level'] = 1), /is of another level \(1\)/);
  await forge((head) => (head['format'] = 'x'), /is no file of this kind/);

  // A part under the name of another slice.
  writeFileSync(path, whole);
  const other = join(exchange, names[1] as string);
  const kept = readFileSync(other);
  rmSync(other);
  const wrong = other.replace(/[0-9a-f]{64}/, createHash('sha256').update(whole).digest('hex'));
  writeFileSync(wrong, whole);
  const { exitCode, stderr } = await select(market, ...joining(undertaken));
  assert.is(exitCode, 20);
  assert.match(stderr, /is of another id/);
  rmSync(wrong);
  writeFileSync(other, kept);
  done(await select(market, ...joining(undertaken), '--level', '0'));
});

test(
  'content that somebody else made, with fitting sums and names, is refused by its name',
  async () => {
    const undertaken = undertaking(market, 2, 1);
    done(await work(undertaken, 0, 0));
    const { exchange } = undertaken;
    const [name = ''] = filesBelow(exchange);
    const whole = readFileSync(join(exchange, name));
    rmSync(join(exchange, name));
    const part = decodePart(whole.subarray(whole.indexOf('\n') + 1)) as Part;
    const refused = async (content: Buffer, why: RegExp, { head = {}, file = name } = {}): Promise<void> => {
      const line = { ...JSON.parse(whole.toString('utf8', 0, whole.indexOf('\n'))), ...head };
      const bytes = Buffer.concat([Buffer.from(`${JSON.stringify(line)}\n`), content]);
      const path = join(
        exchange,
        file.replace(/[0-9a-f]{64}/, createHash('sha256').update(bytes).digest('hex')),
      );
      writeFileSync(path, bytes);
      const { exitCode, stderr } = await select(market, ...joining(undertaken));
      rmSync(path);
      assert.is(exitCode, 20, stderr);
      assert.match(stderr.replaceAll(/\s+/g, ' '), why);
      assert.ok(stderr.includes(path.slice(-40)), 'the file is named');
    };
    const forged = (change: object): Buffer => Buffer.concat(encodePart({ ...part, ...change }));
    const kept = (...more: readonly Uint8Array[]): Buffer => forged({ kept: [...part.kept, ...more] });
    const broken = Buffer.from(serialize({ _id: 1, partner_id: LOST_PARTNER, sold: true }));
    broken[broken.length - 2] = 7;
    await refused(kept(serialize({ _id: 1 })), /holds a document that the plan does not choose/);
    await refused(kept(broken), /holds a document that no server stores/);
    await refused(kept(Buffer.alloc(5)), /is damaged/);
    await refused(kept(serialize({ _id: 1 }).subarray(0, 9)), /is damaged/);
    await refused(
      forged({ leftOut: [{ ...LEFT_OUT, route: 9 }] }),
      /tells of more entries than the plan has/,
    );
    for (const change of [
      { slice: undefined },
      { begin: -1 },
      { end: 'x' },
      { documents: 1.5 },
      { leftOut: 7 },
      { leftOut: [{}] },
      { foundIds: [['']] },
    ])
      await refused(forged(change), /is damaged/);
    const failure = {
      head: { kind: 'failure', id: '0' },
      file: name.replace(/[^/]+$/, `worker-0-${'0'.repeat(64)}.failure`),
    };
    for (const content of [
      '',
      'null',
      '{"code":"OK"}',
      '{"code":"USAGE","message":"x","host":"x","advice":[null]}',
    ])
      await refused(Buffer.from(content), /does not say why a worker gave up/, failure);
  },
  { deadlineMs: 120_000 },
);

const LEFT_OUT = { type: 'string', parentType: 'objectId', example: 'x', documents: 1 };

test('keys of parents that somebody put there before the join, and that workers took, are refused', async () => {
  const undertaken = undertaking(market, 2, 1);
  done(await work(undertaken, 0, 0));
  done(await select(market, ...joining(undertaken), '--level', '0'));
  const { exchange } = undertaken;
  const [name = ''] = filesBelow(exchange).filter((each) => each.endsWith('.keys'));
  const whole = readFileSync(join(exchange, name));
  rmSync(join(exchange, name));
  const bytes = Buffer.concat([whole.subarray(0, whole.indexOf('\n') + 1), Buffer.alloc(4)]);
  const forged = name.replace(/[0-9a-f]{64}/, createHash('sha256').update(bytes).digest('hex'));
  writeFileSync(join(exchange, forged), bytes);
  done(await work(undertaken, 1, 0));
  const { exitCode, stderr } = await select(market, ...joining(undertaken));
  assert.is(exitCode, 20, stderr);
  assert.match(stderr, /says otherwise of the same level/);
});

test('parts of a changed plan lie elsewhere, and --clean takes all of the plan away, and nothing else', async () => {
  const undertaken = undertaking(market, 2);
  const { exchange } = undertaken;
  writeFileSync(join(exchange, 'of-somebody-else.txt'), 'x');
  // Of plans whose names begin alike, or differ in what the names of a cluster cannot hold.
  const others = ['incident-4711-partner-b', 'incident-4711-partner-a', 'Incident_4711'];
  for (const name of others) {
    writeFileSync(join(market, 'plan.yaml'), MARKET.replace('incident-4711', name));
    done(await work(undertaken, 0, 0));
  }
  const theirs = filesBelow(exchange);
  assert.is(theirs.length, 1 + others.length);
  writeFileSync(join(market, 'plan.yaml'), MARKET);
  done(await work(undertaken, 0, 0));
  writeFileSync(join(market, 'plan.yaml'), MARKET.replace('partner_id', 'partner'));
  done(await work(undertaken, 0, 0));
  writeFileSync(join(market, 'plan.yaml'), MARKET);
  // What a writer leaves that was killed.
  const [part = ''] = filesBelow(exchange).filter((name) => !theirs.includes(name));
  renameSync(join(exchange, part), join(exchange, `${part}.0123456789ab.partial`));
  assert.is(filesBelow(exchange).length, theirs.length + 2);
  const { stdout } = done(await select(market, '--clean', '--exchange', exchange));
  assert.match(stdout, /Removed 2 files from /);
  assert.equal(filesBelow(exchange), theirs);
});

test('who joins by hand is told what removes the parts, while there are some', async () => {
  const undertaken = undertaking(tree, 1, 1);
  const { exchange } = undertaken;
  await workThrough(undertaken);
  const { stdout } = done(await select(tree, ...joining(undertaken)));
  const said = stdout.replaceAll(/\s+/g, ' ');
  const [, command = ''] = /still lie in .* database among them: `plan (.*)` removes all/.exec(said) ?? [];
  assert.is(command, `select plan.yaml --clean --exchange ${exchange} --work-dir joined`);
  const again = done(await select(tree, ...joining(undertaken), '--json'));
  const { hint } = jsonLines(again.stdout).find(({ type }) => type === 'select') ?? {};
  assert.ok(String(hint).includes(`\`plan ${command}\``));
  done(await callPlan(command.split(' '), { cwd: tree }));
  assert.equal(filesBelow(exchange), []);
  assert.not.match(done(await select(tree, ...joining(undertaken))).stdout, /still lie in/);
});

test('what --print writes joins last, and then removes the parts', async () => {
  const { exchange } = undertaking(tree, 1);
  const args = ['--engine', 'slurm', '--workers', '2', '--exchange', exchange, '--print'];
  const { stdout } = done(await select(tree, ...args));
  const [joins = '', clean = ''] = stdout
    .split('\n')
    .filter((line) => /^[^#].* --(?:join|clean) /.test(line));
  assert.ok(joins.endsWith(` --join --exchange ${exchange}`), joins);
  assert.ok(clean.endsWith(` --clean --engine slurm --exchange ${exchange}`), clean);
  const [command = ''] = /select .*$/.exec(clean.replace(' --engine slurm', '')) ?? [];
  done(await callPlan(command.split(' '), { cwd: tree }));
});

test('a folder that others may write to is no exchange, nor is one that is not there', async () => {
  const exchange = join(root.path, 'open');
  mkdirSync(exchange);
  const undertaken = { ...undertaking(market, 2), exchange };
  chmodSync(exchange, 0o777);
  const open = await work(undertaken, 0, 0);
  assert.is(open.exitCode, 20);
  assert.match(open.stderr, /others than you may write to .*\(mode 777\)/);
  const missing = await work({ ...undertaken, exchange: join(root.path, 'nowhere') }, 0, 0);
  assert.is(missing.exitCode, 20);
  assert.match(missing.stderr, /is no folder on this machine/);
});

test('options that do not go together, and indexes that are none, are refused by name', async () => {
  const { exchange } = undertaking(market, 2);
  const refused = async (args: readonly string[], why: RegExp, env = {}): Promise<void> => {
    const { exitCode, stderr } = await callPlan(['select', 'plan.yaml', ...args], { cwd: market, env });
    assert.is(exitCode, 11, stderr);
    assert.match(stderr, why);
  };
  const at = ['--exchange', exchange];
  const worker = ['--worker', '--level', '0', '--workers', '4', ...at];
  await refused(worker, /no variable tells which worker this is/);
  await refused(worker, /JOB_COMPLETION_INDEX=4 is no worker of 4/, { JOB_COMPLETION_INDEX: '4' });
  await refused(worker, /name different workers/, { JOB_COMPLETION_INDEX: '1', SLURM_ARRAY_TASK_ID: '2' });
  await refused(at, /say what is to be done with the exchange/);
  await refused(['--join', '--clean', ...at], /--join and --clean cannot be given together/);
  await refused(['--worker', '--workers', '4', ...at], /--level is missing/);
  await refused(['--engine', 'slurm', ...at], /--workers is missing/);
  await refused(['--engine', 'slurm', '--workers', '4'], /--exchange is missing/);
  await refused(['--engine', 'slurm', '--workers', 'x', ...at], /--workers x is no number/);
  await refused(['--join', '--level', '1', ...at], /level 1 is the last of the plan/);
  await refused(['--join', '--image', 'x', ...at], /--image is for --engine kubernetes/);
  await refused(['--clean', '--exchange', 'gs://bucket/x'], /is no place for an exchange/);
  await refused(
    ['--engine', 'kubernetes', '--workers', '4', '--image', 'x', ...at],
    /the pods of Kubernetes see no source\.path/,
  );
});

test('what is no key of a selection names no place, in the exchange or out of it', async () => {
  const { folder, exchange } = undertaking(market, 2);
  const args = ['--worker', '--level', '7', '--workers', '1', '--exchange', exchange];
  const before = filesBelow(root.path);
  for (const key of ['../../../evil', '0123456789ABCDEF']) {
    const { exitCode, stderr } = await callPlan(['select', 'plan.yaml', ...args, '--selection', key], {
      cwd: folder,
      env: { JOB_COMPLETION_INDEX: '0' },
    });
    assert.is(exitCode, 11, stderr);
    assert.match(stderr, /--selection .*is no key of a selection/);
  }
  assert.equal(filesBelow(root.path), before);
});

test('a backup that is read in one piece has no work for others', async () => {
  const folder = join(root.path, 'packed');
  mkdirSync(folder);
  await tarFolder(join(market, 'dump'), join(folder, 'dump.tar.gz'), { gzip: true });
  writeFileSync(join(folder, 'plan.yaml'), MARKET.replace('./dump/', './dump.tar.gz'));
  const { exitCode, stderr } = await work(undertaking(folder, 2), 0, 0);
  assert.is(exitCode, 11);
  assert.match(stderr, /dump\.tar\.gz \(tar\.gz\) cannot be read in parts/);
});

test.run();
