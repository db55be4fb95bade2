/**
 * The catalogue of faults, group P, by number. What a page of faults says word for word stands in broken/; here is what
 * such a page cannot show: time, memory, bytes, files that are no files, and the program's exit code.
 *
 * Elsewhere: P17 (one cluster behind two addresses) and P20's views need servers and are tested with the gate and the
 * targets; P18 (a plan edited between staging and production) is tested with the gate.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { PlanFault } from '../../src/plan/fault.ts';
import { type PlanReading, readPlan } from '../../src/plan/read-plan.ts';
import { suite } from '../harness.ts';
import { callPlan } from '../lab/call-plan.ts';

const test = suite('faults of a plan file');

const VALID = `version: 1
name: test
source: { database: gravity, path: ./dump }
collections: [{ collection: artworks, query: {} }]
targets: { staging: { uri: "mongodb://localhost", database: staging } }
`;

let folder = '';
test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), 'restore-plan-p-'));
});
test.after.each(() => {
  rmSync(folder, { recursive: true });
});

async function read(content: string | Buffer, env: Record<string, string> = {}): Promise<PlanReading> {
  const file = join(folder, 'plan.yaml');
  writeFileSync(file, content);
  return readPlan(file, { env });
}

async function faultsOf(content: string | Buffer): Promise<readonly PlanFault[]> {
  const { faults } = await read(content);
  assert.ok(faults, 'the plan was accepted');
  return faults;
}

async function onlyFaultOf(content: string | Buffer): Promise<PlanFault> {
  const faults = await faultsOf(content);
  assert.is(faults.length, 1, JSON.stringify(faults));
  return faults[0] as PlanFault;
}

test('the plan that these tests spoil is valid', async () => {
  const { plan, notes } = await read(VALID);
  assert.is(plan?.name, 'test');
  assert.equal(notes, []);
});

test('P1: an empty file, white space, a comment: the plan is empty', async () => {
  for (const text of ['', ' \n\n\t\n', '# later\n', '---\n', '---\n...\n']) {
    const fault = await onlyFaultOf(text);
    assert.is(fault.message, 'the plan is empty');
    assert.is(fault.line, 1);
  }
});

test('P2: all syntax errors are listed, each with its line', async () => {
  const faults = await faultsOf(`name: @a\nsource:\n\tdatabase: b\nmask: [\${C}]\n`);
  assert.equal(
    faults.map((fault) => fault.line),
    [1, 3, 4],
  );
});

test('P3: a duplicate key is refused at the second one, which names the first', async () => {
  const fault = await onlyFaultOf(`${VALID}name: other\n`);
  assert.is(fault.line, 6);
  assert.is(fault.related[0]?.line, 2);
});

test('P4: an alias bomb is refused in 100 ms and 50 MB', async () => {
  const levels = 'abcdefghij'.split('');
  const bomb = levels.map((name, i) => {
    const items = Array(9).fill(i === 0 ? 'x' : `*${levels[i - 1]}`);
    return `      ${name}: &${name} [${items.join(', ')}]\n`;
  });
  const text = VALID.replace(
    /collections:.*\n/,
    `collections:\n  - collection: artworks\n    query:\n${bomb.join('')}`,
  );
  await faultsOf(VALID.replace('test', 'a b')); // the first reading pays for loading the schema
  const before = process.memoryUsage().rss;
  const started = process.cpuUsage();
  const fault = await onlyFaultOf(text);
  assert.match(fault.message, /aliases up to here stand for more than/);
  const took = process.cpuUsage(started).user / 1000;
  assert.ok(took < 100, `${took} ms of processor time`);
  assert.ok(process.memoryUsage().rss - before < 50e6);
});

test('P5: 5,000 levels of anything are refused at the level that is too deep', async () => {
  for (const [opening, column] of [
    ['[', 201],
    ['{a: ', 798],
    ['- ', 401],
    ['? ', 401],
  ] as const) {
    const fault = await onlyFaultOf(opening.repeat(5000));
    assert.is(fault.message, 'nested too deeply', opening);
    assert.is(fault.line, 1);
    assert.is(fault.column, column, opening);
  }
  const blocks = Array.from({ length: 1000 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n');
  assert.is((await onlyFaultOf(blocks)).message, 'nested too deeply');
});

test('P6: 100 MB and a scalar of 1 MB are refused by size, before parsing', async () => {
  const started = performance.now();
  assert.match(
    (await onlyFaultOf(Buffer.alloc(100e6, 'a'))).message,
    /too large for a plan: 100000000 bytes/,
  );
  assert.match((await onlyFaultOf(`${VALID}reason: ${'a'.repeat(1e6)}\n`)).message, /too large for a plan/);
  assert.ok(performance.now() - started < 20_000);
});

test('P6: a plan of 100,000 values is refused before it takes hundreds of megabytes', async () => {
  const list = `[${Array.from({ length: 100_000 }, (_, i) => i).join(',')}]`;
  const { message, expected } = await onlyFaultOf(`${VALID}mask: ${list}\n`);
  assert.is(message, 'too many keys and values stand before this');
  assert.match(expected ?? '', /^about 90,000 at most; .* ids in a file of their own/);
});

test('P6: a query of 10,000 ids is read', async () => {
  const ids = Array.from(
    { length: 10_000 },
    (_, i) => `          - $oid: "${i.toString(16).padStart(24, '5')}"\n`,
  );
  const query = `collections:\n  - collection: artworks\n    query:\n      _id:\n        $in:\n${ids.join('')}`;
  const { plan, faults } = await read(VALID.replace(/collections:.*\n/, query));
  assert.is(faults, undefined);
  assert.ok((plan?.collections[0]?.query.length ?? 0) > 170_000);
});

test('P7: a second document is refused where it begins', async () => {
  const fault = await onlyFaultOf(`${VALID}---\n${VALID}`);
  assert.is(fault.line, 6);
  assert.match(fault.message, /second document/);
});

test('P8: an unknown tag is refused, not turned into text', async () => {
  const fault = await onlyFaultOf(VALID.replace('name: test', 'name: !!js/function "return 1"'));
  assert.match(fault.message, /!!js\/function/);
});

test('P9: an unknown key is refused at the key, with the key that was meant', async () => {
  const fault = await onlyFaultOf(`${VALID}reasn: because\n`);
  assert.is(`${fault.line}:${fault.column}`, '6:1');
  assert.is(fault.suggestion, 'reason');
});

test('P10: integers that JavaScript would round are refused, those it holds are kept', async () => {
  const withId = (id: string) => VALID.replace('query: {}', `query: { _id: ${id} }`);
  for (const id of ['9007199254740993', '-9007199254740993', '12345678901234567890', '0x20000000000001']) {
    assert.is((await onlyFaultOf(withId(id))).rule, 'number', id);
  }
  for (const id of ['9007199254740991', '-9007199254740991', '0', '1.5', '-0.0', '1e5', '0x10', '.inf']) {
    assert.is((await read(withId(id))).faults, undefined, id);
  }
});

test('P11: __proto__ and constructor are unknown keys and pollute nothing', async () => {
  const faults = await faultsOf(
    `${VALID}__proto__: { polluted: 1 }\nconstructor: { prototype: { polluted: 2 } }\n`,
  );
  assert.equal(
    faults.map((fault) => fault.rule),
    ['unknown-key', 'unknown-key'],
  );
  assert.is(({} as Record<string, unknown>)['polluted'], undefined);
});

test('P11: so they are where plan and base both have them', async () => {
  for (const key of ['constructor', '__proto__', 'toString']) {
    writeFileSync(join(folder, 'base.yaml'), `${key}: { a: 1 }\n`);
    const faults = await faultsOf(`${VALID}extends: ./base.yaml\n${key}: { b: 1 }\n`);
    assert.equal(
      faults.map((fault) => fault.message),
      [`a plan has no key "${key}"`],
    );
  }
});

test('P11: in a query, __proto__ is a field like any other', async () => {
  const { plan } = await read(VALID.replace('query: {}', 'query: { __proto__: 1, constructor: 2 }'));
  assert.match(plan?.collections[0]?.query.toString('latin1') ?? '', /__proto__.*constructor/s);
});

test('P12: a variable that is not set is a note with its name and place, and a fault when it is required', async () => {
  const text = VALID.replace('mongodb://localhost', `\${STAGING_URI:?ask the platform team}`);
  const { plan, notes } = await read(text);
  assert.is(plan?.targets.staging.uri, undefined);
  const where = `${join(folder, 'plan.yaml')}:5:29`;
  assert.equal(plan?.unsetVariables, [
    {
      name: 'STAGING_URI',
      where,
      path: 'targets.staging.uri',
      message: 'ask the platform team',
      isEmpty: false,
    },
  ]);
  assert.match(notes[0]?.message ?? '', /STAGING_URI is not set.*ask the platform team/);
  for (const env of [{}, { STAGING_URI: '' }]) {
    const { faults } = await readPlan(join(folder, 'plan.yaml'), { env, requireEnv: true });
    assert.match(faults?.[0]?.message ?? '', /STAGING_URI is (not set|empty)/);
  }
});

test('P12: a query with an unset variable matches nothing', async () => {
  const text = VALID.replace('query: {}', `query: { partner: "\${PARTNER}" }`);
  const unset = await read(text);
  const nothing = await read(VALID.replace('query: {}', 'query: { _id: { $in: [] } }'));
  assert.equal(unset.plan?.collections[0]?.query, nothing.plan?.collections[0]?.query);
});

test('P13: the value of a variable stays one text, whatever it looks like', async () => {
  const values = [
    'x\nproduction: { uri: y }',
    '"',
    "'",
    '{ $where: 1 }',
    '*alias',
    '!!js/function',
    `\${OTHER}`,
    '12',
  ];
  for (const value of values) {
    const text = VALID.replace('query: {}', `query: { name: "\${NAME}" }`);
    const { plan } = await read(text, { NAME: value, OTHER: 'no' });
    const expected = Buffer.concat([
      Buffer.from([0, 0, 0, 0, 2]),
      Buffer.from('name\0'),
      Buffer.from([Buffer.byteLength(value) + 1, 0, 0, 0]),
      Buffer.from(`${value}\0\0`),
    ]);
    expected.writeInt32LE(expected.length);
    assert.equal(plan?.collections[0]?.query, expected, value);
  }
});

test('P13: $${ stands for the two characters', async () => {
  const { plan, notes } = await read(VALID.replace('query: {}', () => `query: { name: "$\${NAME}" }`));
  assert.equal(notes, []);
  assert.match(plan?.collections[0]?.query.toString('latin1') ?? '', /\$\{NAME\}/);
});

test('P14: a byte order mark, CRLF and CR are fine, and places stay right', async () => {
  assert.ok((await read(`\ufeff${VALID}`)).plan);
  assert.ok((await read(VALID.replaceAll('\n', '\r\n'))).plan);
  const fault = await onlyFaultOf(`\ufeff${VALID.replaceAll('\n', '\r\n')}reasn: x\r\n`);
  assert.is(`${fault.line}:${fault.column}`, '6:1');
  assert.not.match(fault.frame, /\r/);
});

test('P14: NUL, UTF-16 and invalid UTF-8 are refused with their byte offset', async () => {
  const utf16 = Buffer.from(`\ufeff${VALID}`, 'utf16le');
  assert.match((await onlyFaultOf(utf16)).message, /UTF-16LE.*byte offset 0/);
  assert.match((await onlyFaultOf(Buffer.from(utf16).swap16())).message, /UTF-16BE.*byte offset 0/);
  assert.match((await onlyFaultOf('version: 1\0')).message, /NUL byte at byte offset 10/);
  const invalid: readonly (readonly [name: string, bytes: readonly number[], offset: number])[] = [
    ['a lone continuation byte', [0x80], 9],
    ['an overlong slash', [0xc0, 0xaf], 9],
    ['a surrogate', [0xed, 0xa0, 0x80], 9],
    ['beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80], 9],
    ['cut off', [0x61, 0xe2, 0x82], 10],
    ['Latin-1', [0x63, 0x61, 0x66, 0xe9, 0x20], 12],
  ];
  for (const [name, bytes, offset] of invalid) {
    const fault = await onlyFaultOf(
      Buffer.concat([Buffer.from('name: "é'), Buffer.from(bytes), Buffer.from('"')]),
    );
    assert.match(fault.message, new RegExp(`not valid UTF-8 at byte offset ${offset}$`), name);
  }
});

test('P15: a missing file, a folder and an unreadable file are refused', async () => {
  const messageFor = async (path: string) => (await readPlan(path, { env: {} })).faults?.[0]?.message;
  assert.match((await messageFor(join(folder, 'nowhere.yaml'))) ?? '', /there is no such file/);
  assert.match((await messageFor(folder)) ?? '', /a directory/);
  assert.match((await messageFor('/dev/zero')) ?? '', /not a plain file/);
  if (process.getuid?.() !== 0) {
    const secret = join(folder, 'secret.yaml');
    writeFileSync(secret, VALID);
    chmodSync(secret, 0);
    assert.match((await messageFor(secret)) ?? '', /permission denied/);
  }
});

test(
  'P15: a FIFO is refused at once, whether or not somebody writes to it',
  async () => {
    const fifo = join(folder, 'fifo.yaml');
    execFileSync('mkfifo', [fifo]);
    const { faults } = await readPlan(fifo, { env: {} });
    assert.match(faults?.[0]?.message ?? '', /a pipe \(FIFO\)/);
  },
  { deadlineMs: 20_000 },
);

test('P15: a plan that vanishes between two commands is refused by the second', async () => {
  const file = join(folder, 'plan.yaml');
  assert.ok((await read(VALID)).plan);
  rmSync(file);
  assert.match((await readPlan(file, { env: {} })).faults?.[0]?.message ?? '', /no such file/);
});

test('P16: the same collection twice is refused with both places', async () => {
  const twice =
    'collections: [{ collection: artworks, query: { a: 1 } }, { collection: artworks, query: { b: 1 } }]\n';
  const fault = await onlyFaultOf(VALID.replace(/collections:.*\n/, twice));
  assert.is(`${fault.line}:${fault.column}`, '4:72');
  assert.equal(
    fault.related.map(({ line, column }) => `${line}:${column}`),
    ['4:29'],
  );
});

test('P16: a collection that two routes lead to is accepted when both agree', async () => {
  const routes = `collections:
  - { collection: partners, query: {}, dependents: [{ collection: images, foreignKey: partner_id }] }
  - { collection: artworks, query: {}, dependents: [{ collection: images, foreignKey: artwork_id }] }
  - { collection: images, query: { orphan: true } }
`;
  assert.is((await read(VALID.replace(/collections:.*\n/, routes))).faults, undefined);
});

test('P19: no credential of the file is in anything the program writes', async () => {
  const spoilt = VALID.replace('localhost', 'admin:hunter2canary@db.example.net').replace(
    'name: test',
    'name: a b',
  );
  const file = join(folder, 'plan.yaml');
  writeFileSync(file, spoilt);
  for (const format of ['text', 'github', 'json', 'sarif']) {
    const run = await callPlan(['validate', '--format', format, file]);
    assert.is(run.exitCode, 10);
    assert.match(run.stdout, /password/);
    assert.not.match(run.stdout + run.stderr, /hunter2canary/);
  }
});

test('P20: names that MongoDB cannot hold are refused, the longest possible one is not', async () => {
  const named = (name: string) =>
    VALID.replace('collection: artworks', `collection: ${JSON.stringify(name)}`);
  for (const name of ['system.profile', 'a$b', 'a\0b', 'x'.repeat(248), 'é'.repeat(124), '.a', 'a.']) {
    assert.is((await onlyFaultOf(named(name))).rule, 'namespace', name);
  }
  assert.is((await onlyFaultOf(named(''))).rule, 'value');
  // gravity. and staging. take 8 bytes of the 255.
  for (const name of ['x'.repeat(247), 'system', 'systems.a', 'fs.files', 'a.b.c', 'größe', 'with space']) {
    assert.is((await read(named(name))).faults, undefined, name);
  }
});

test('exit codes: 0 for a valid plan, 10 for an invalid one among valid ones', async () => {
  writeFileSync(join(folder, 'good.yaml'), VALID);
  writeFileSync(join(folder, 'bad.yaml'), 'version: 1\n');
  mkdirSync(join(folder, 'sub'));
  const good = await callPlan(['validate', 'good.yaml'], { cwd: folder });
  assert.is(good.exitCode, 0);
  assert.is(good.stdout, '✓ good.yaml: test is valid\n');
  const both = await callPlan(['validate', 'good.yaml', 'bad.yaml'], { cwd: folder });
  assert.is(both.exitCode, 10);
  assert.match(both.stdout, /✓ good\.yaml/);
  assert.match(both.stdout, /✗ bad\.yaml: 4 faults\n$/);
});

test.run();
