/** `plan init`: from options, from answers on a terminal, and from what a backup holds. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type Document, serialize } from 'bson';
import * as assert from 'uvu/assert';
import { draftText, type PlanDraft } from '../../../src/plan/draft.ts';
import { schemaText } from '../../../src/plan/schema-file.ts';
import { suite } from '../../harness.ts';
import { callPlan } from '../../lab/call-plan.ts';
import { jsonLines, type RunningPlan, startPlan } from '../../lab/plan-command.ts';
import { program } from '../../lab/tools.ts';
import { PlanFolder } from '../../plan/plan-folder.ts';

const test = suite('plan init');

let folder: PlanFolder;
test.before.each(() => {
  folder = new PlanFolder();
});
test.after.each(() => folder.remove());

const textOf = (name: string): string => readFileSync(join(folder.path, name), 'utf8');

/** A dump as mongodump lays it out: one collection with its metadata per pair of files. */
function writeDump(databases: Readonly<Record<string, readonly string[]>>): void {
  for (const [database, collections] of Object.entries(databases)) {
    for (const collection of collections) {
      folder.write(`dump/${database}/${collection}.bson`, '');
      const metadata = { indexes: [], collectionName: collection, type: 'collection' };
      folder.write(`dump/${database}/${collection}.metadata.json`, JSON.stringify(metadata));
    }
  }
}

test('without options and terminal, everything that must be filled in is empty, and a check names it', async () => {
  const { exitCode, stdout } = await callPlan(['init'], { cwd: folder.path });
  assert.is(exitCode, 0);
  assert.is(
    stdout,
    'wrote restore-plan.yaml and restore-plan.schema.json beside it\n' +
      '7 things are still to be filled in: plan validate restore-plan.yaml names them.\n',
  );
  assert.match(
    textOf('restore-plan.yaml'),
    /^# yaml-language-server: \$schema=\.\/restore-plan\.schema\.json\n/,
  );
  assert.is(textOf('restore-plan.schema.json'), schemaText());
  const check = await callPlan(['validate', 'restore-plan.yaml'], { cwd: folder.path });
  assert.equal(
    check.stdout
      .match(/error: .* has no value/g)
      ?.map((fault) => fault.slice('error: '.length, -' has no value'.length)),
    [
      'reason',
      'source.database',
      'source.path',
      'collections[0].collection',
      'collections[0].query',
      'targets.staging.database',
      'targets.production.database',
    ],
  );
});

test('options alone make a complete plan', async () => {
  const { stdout, exitCode } = await callPlan(
    [
      ...['init', 'plans/incident-4711.yaml', '--reason', 'Gone: "all" of it', '--database', 'gravity'],
      ...['--source', 's3://backups/db/{time:yyyy.MM.dd}/', '--timezone', 'America/New_York'],
      ...['--at', '2016-09-13T09:00:00-04:00', '--endpoint', 'http://localhost:9000'],
      ...['--collection', 'artworks={ partner_id: ObjectId("57d17993a09a6759d8000d9e"), a: "it\'s" }'],
      ...[
        '--collection',
        'sales={}',
        '--staging-database',
        'gravity-staging',
        '--production-database',
        'gravity',
      ],
    ],
    { cwd: folder.path },
  );
  assert.is(exitCode, 0);
  assert.match(stdout, /It is complete/);
  const plan = await folder.plan('plans/incident-4711.yaml');
  assert.is(plan.name, 'incident-4711');
  assert.is(plan.reason, 'Gone: "all" of it');
  assert.equal(plan.source.location, {
    kind: 's3',
    bucket: 'backups',
    key: 'db/{time:yyyy.MM.dd}/',
    timezone: 'America/New_York',
    region: undefined,
    profile: undefined,
    endpoint: 'http://localhost:9000',
    forcePathStyle: true,
    requestPayer: undefined,
  });
  assert.equal(
    plan.collections.map(({ collection }) => collection),
    ['artworks', 'sales'],
  );
  assert.match(plan.collections[0]?.query.toString('latin1') ?? '', /partner_id.*it's/s);
  assert.is(plan.targets.production?.database, 'gravity');
});

test('a wrong option is a usage error, and nothing is written', async () => {
  const cases: readonly (readonly [option: string, value: string, message: RegExp])[] = [
    ['--at', 'yesterday', /this is no instant/],
    ['--timezone', 'Berlin', /did you mean Europe\/Berlin/],
    ['--name', 'a b', /letters, digits/],
    ['--source', '{time:YYYY}', /YYYY is no letter of a time pattern/],
    ['--source', 's3://bucket', /a bucket and a key/],
    ['--collection', 'artworks={ a: ', /--collection artworks: /],
  ];
  for (const [option, value, message] of cases) {
    const { exitCode, stderr } = await callPlan(['init', option, value], { cwd: folder.path });
    assert.is(exitCode, 11, option);
    assert.match(stderr, message);
    assert.not.ok(existsSync(join(folder.path, 'restore-plan.yaml')));
  }
});

test('a file that is there is never overwritten', async () => {
  folder.write('mine.yaml', 'precious');
  const { exitCode, stderr } = await callPlan(['init', 'mine.yaml'], { cwd: folder.path });
  assert.is(exitCode, 11);
  assert.match(stderr, /mine\.yaml is there already/);
  assert.is(textOf('mine.yaml'), 'precious');
  folder.write('restore-plan.schema.json', '{}');
  await callPlan(['init', 'other.yaml'], { cwd: folder.path });
  assert.is(textOf('restore-plan.schema.json'), '{}');
});

test('--look lists what the backup holds, and takes its only database', async () => {
  writeDump({ gravity: ['artworks', 'sales', 'fs.files'] });
  const { exitCode, stderr } = await callPlan(['init', '--look', '--source', 'dump'], { cwd: folder.path });
  assert.is(exitCode, 0, stderr);
  assert.match(textOf('restore-plan.yaml'), / {2}database: gravity\n/);
  assert.match(textOf('restore-plan.yaml'), / {2}# The backup holds:\n {2}# {3}artworks, fs\.files, sales\n/);
});

test('--look finds the database also where a time chooses the backup', async () => {
  writeDump({ gravity: ['artworks', 'sales'] });
  mkdirSync(join(folder.path, 'dumps'));
  renameSync(join(folder.path, 'dump'), join(folder.path, 'dumps/2016.09.13'));
  const where = ['--source', 'dumps/{time:yyyy.MM.dd}/', '--timezone', 'UTC', '--at', '2016-09-14T00:00:00Z'];
  const { exitCode, stderr } = await callPlan(['init', '--look', ...where], { cwd: folder.path });
  assert.is(exitCode, 0, stderr);
  assert.match(textOf('restore-plan.yaml'), / {2}database: gravity\n/);
  assert.match(textOf('restore-plan.yaml'), /artworks, sales/);
});

test('--look at a backup that is not there says so and writes the plan all the same', async () => {
  const { exitCode, stderr } = await callPlan(['init', '--look', '--source', 'nowhere.tar'], {
    cwd: folder.path,
  });
  assert.is(exitCode, 0);
  assert.match(stderr.replaceAll(/\s+/g, ' '), /The backup was not opened: .* does not exist/);
  assert.match(textOf('restore-plan.yaml'), /path: nowhere\.tar/);
});

test('of a backup that shows what it holds only when it is read, init says so', async () => {
  writeDump({ gravity: ['artworks'] });
  await program('tar', [
    '-czf',
    join(folder.path, 'dump.tar.gz'),
    '-C',
    join(folder.path, 'dump'),
    'gravity',
  ]);
  const args = ['init', 'plan.yaml', '--source', 'dump.tar.gz', '--database', 'gravity', '--look'];
  const { exitCode, stderr } = await callPlan(args, { cwd: folder.path });
  assert.is(exitCode, 0, stderr);
  assert.match(
    stderr.replaceAll(/\s+/g, ' '),
    /Only reading all of .*dump\.tar\.gz would show what it holds\./,
  );
});

test('Ctrl-D ends the questions, and what was not answered is left to be filled in', async () => {
  const run = startPlan(['init', 'plan.yaml'], {
    cwd: folder.path,
    terminal: { columns: 100 },
    typing: true,
  });
  await run.untilOutput(/Name of the plan \[plan\]: $/);
  run.type('after-hours\n');
  await run.untilOutput(/Why is the restore needed: $/);
  run.type('\u0004');
  const { exitCode, stdout } = await run.ended;
  assert.is(exitCode, 0, stdout);
  assert.match(stdout, /things are still to be filled in/);
  assert.match(textOf('plan.yaml'), /^name: after-hours$/m);
});

test('on a terminal it asks, corrects, looks into the backup and offers what is there', async () => {
  writeDump({ gravity: ['artworks', 'sales'], force: ['users'] });
  const run = startPlan(['init', 'plan.yaml'], {
    cwd: folder.path,
    terminal: { columns: 100 },
    typing: true,
  });
  const dialogue: readonly (readonly [question: RegExp, answer: string])[] = [
    [/Name of the plan \[plan\]: $/, 'a name'],
    [/letters, digits[^\n]*\n[^\n]*Name of the plan \[plan\]: $/, ''],
    [/Why is the restore needed: $/, 'A script went wild.'],
    [/Where the backup is[\s\S]*Backup: $/, 'dump'],
    [/Look into the backup[^\n]*\[Y\/n\]: $/, ''],
    [/1 {2}force[\s\S]*2 {2}gravity[\s\S]*Database inside the backup: $/, '2'],
    [/1 {2}artworks[\s\S]*2 {2}sales[\s\S]*Collections to restore[^\n]*: $/, '1, sale'],
    [/there is no sale in the list[\s\S]*: $/, '1, sales'],
    [/Which documents of artworks[\s\S]*Query of artworks: $/, '{ a: { $nope: 1 } }'],
    [/\$nope[\s\S]*Query of artworks: $/, '{ a: 1 }'],
    [/Query of sales: $/, '{}'],
    [/Database in staging \[gravity\]: $/, 'gravity-staging'],
    [/Database in production[^\n]*\[gravity\]: $/, '-'],
  ];
  for (const [question, answer] of dialogue) {
    await run.untilOutput(question);
    run.type(`${answer}\n`);
  }
  const { exitCode, stdout } = await run.ended;
  assert.is(exitCode, 0, stdout);
  assert.match(stdout, /It is complete/);
  const plan = await folder.plan('plan.yaml', { STAGING_MONGODB_URI: 'mongodb://a' });
  assert.is(plan.name, 'plan');
  assert.is(plan.source.database, 'gravity');
  assert.equal(
    plan.collections.map(({ collection, query }) => [collection, query.length]),
    [
      ['artworks', 12],
      ['sales', 5],
    ],
  );
  assert.is(plan.targets.production, undefined);
});

/** Answers questions one after the other; of each the whole last line is waited for. */
async function converse(
  args: readonly string[],
  dialogue: readonly (readonly [question: RegExp, answer: string])[],
): Promise<RunningPlan> {
  const run = startPlan(['init', ...args], { cwd: folder.path, terminal: { columns: 80 }, typing: true });
  for (const [question, answer] of dialogue) {
    await run.untilOutput(question);
    run.type(answer.startsWith('\u0003') ? answer : `${answer}\n`);
  }
  return run;
}

/** A shop whose orders, reviews and sessions refer to customers, and items to orders. */
function writeShop(): void {
  const write = (collection: string, documents: readonly Document[]): void => {
    const bytes = Buffer.concat(documents.map((document) => Buffer.from(serialize(document))));
    mkdirSync(join(folder.path, 'dump/shop'), { recursive: true });
    writeFileSync(join(folder.path, `dump/shop/${collection}.bson`), bytes);
    folder.write(
      `dump/shop/${collection}.metadata.json`,
      JSON.stringify({ indexes: [], collectionName: collection }),
    );
  };
  write(
    'customers',
    [1, 2, 3].map((_id) => ({ _id, country: _id < 3 ? 'NO' : 'SE' })),
  );
  write('orders', [{ _id: 1, customerId: 1 }]);
  write('order_items', [{ _id: 1, orderId: 1 }]);
  write('reviews', [{ _id: 1, customerId: 1 }]);
  write('sessions', [{ _id: 1, customerId: 1 }]);
  write('products', [{ _id: 1 }]);
}

test('it counts what a query matches, and asks for what refers to the chosen collections', async () => {
  writeShop();
  const run = await converse(
    [
      'plan.yaml',
      '--reason',
      'r',
      '--source',
      'dump',
      '--look',
      '--name',
      'shop',
      '--production-database',
      '-',
    ],
    [
      [/Database inside the backup \[shop\]: $/, ''],
      [/1 {2}customers[\s\S]*Collections to restore[^\n]*: $/, 'customers'],
      [/Query of customers: $/, '{ country: "DK" }'],
      [/0 of all 3 documents of customers match\.[\s\S]*Query of customers \[[^\n]*: $/, '{ country: "NO" }'],
      [
        /2 of all 3 documents of customers match\.[\s\S]*orders, reviews, sessions have customerId: [\s\S]*: $/,
        'orders, session',
      ],
      [/y, n, or some of orders, reviews, sessions[\s\S]*: $/, 'orders, sessions'],
      [/order_items has orderId: restore it too, for orders \[Y\/n\]: $/, ''],
      [/Database in staging \[shop\]: $/, ''],
    ],
  );
  const { exitCode, stdout } = await run.ended;
  assert.is(exitCode, 0, stdout);
  const plan = await folder.plan('plan.yaml', { STAGING_MONGODB_URI: 'mongodb://a' });
  assert.equal(plan.collections.length, 1);
  const [orders, sessions] = plan.collections[0]?.dependents ?? [];
  assert.equal([orders?.collection, orders?.foreignKey], ['orders', 'customerId']);
  assert.equal([sessions?.collection, sessions?.dependents], ['sessions', []]);
  assert.equal(
    orders?.dependents.map(({ collection, foreignKey }) => [collection, foreignKey]),
    [['order_items', 'orderId']],
  );
});

test('< goes one step back, and what was answered is proposed again', async () => {
  const run = await converse(
    ['plan.yaml'],
    [
      [/Name of the plan \[plan\]: $/, '<'],
      [/This is the first question\.[\s\S]*Name of the plan \[plan\]: $/, 'incident'],
      [/Why is the restore needed: $/, 'typo'],
      [/Backup: $/, '<'],
      [/Why is the restore needed \[typo\]: $/, '<'],
      [/Name of the plan \[incident\]: $/, ''],
      [/Why is the restore needed[^\n]*: $/, 'A script went wild.'],
      [/Backup: $/, '\u0004'],
    ],
  );
  const { exitCode, stdout } = await run.ended;
  assert.is(exitCode, 0, stdout);
  assert.match(textOf('plan.yaml'), /^name: incident$/m);
  assert.match(textOf('plan.yaml'), /^reason: A script went wild\.$/m);
});

test('a backup that cannot be opened is asked for again, the rest is not', async () => {
  writeShop();
  const run = await converse(
    ['plan.yaml', '--production-database', '-'],
    [
      [/Name of the plan \[plan\]: $/, 'shop'],
      [/Why is the restore needed: $/, 'r'],
      [/Backup: $/, 'dunp'],
      [/Look into the backup[^\n]*: $/, ''],
      [/The backup was not opened: [\s\S]*Backup \[dunp\]: $/, 'dump'],
      [/Look into the backup[^\n]*: $/, ''],
      [/Database inside the backup \[shop\]: $/, ''],
      [/Collections to restore[^\n]*: $/, 'products'],
      [/Query of products: $/, '{}'],
      [/1 of all 1 document of products match[\s\S]*Database in staging \[shop\]: $/, ''],
    ],
  );
  const { exitCode, stdout } = await run.ended;
  assert.is(exitCode, 0, stdout);
  assert.match(textOf('plan.yaml'), / {2}path: dump\n/);
  assert.match(textOf('plan.yaml'), /^name: shop$/m);
});

test('Ctrl-C keeps the answers, and the next plan init for that file goes on with them', async () => {
  const stopped = await converse(
    ['plan.yaml'],
    [
      [/Name of the plan \[plan\]: $/, 'incident'],
      [/Why is the restore needed: $/, 'A script went wild.'],
      [/Backup: $/, '\u0003'],
    ],
  );
  const { exitCode, stdout } = await stopped.ended;
  assert.is(exitCode, 130, stdout);
  assert.match(stdout, /2 answers are kept\. Run the same command again/);
  assert.not.ok(existsSync(join(folder.path, 'plan.yaml')));
  const [kept = ''] = readdirSync(join(folder.path, '.restore-plan')).filter((name) =>
    name.startsWith('init-'),
  );
  assert.is(statSync(join(folder.path, '.restore-plan', kept)).mode & 0o777, 0o600);

  const again = await converse(
    ['plan.yaml'],
    [
      [/reason: A script went wild\.[\s\S]*Go on with these 2 answers for plan\.yaml \[Y\/n\]: $/, ''],
      [/Backup: $/, '\u0004'],
    ],
  );
  assert.is((await again.ended).exitCode, 0);
  assert.match(textOf('plan.yaml'), /^name: incident$/m);
  assert.match(textOf('plan.yaml'), /^reason: A script went wild\.$/m);
  assert.not.ok(existsSync(join(folder.path, '.restore-plan', kept)));
});

test('with --json the result is an object', async () => {
  const { stdout } = await callPlan(['init', 'x.yaml', '--json'], { cwd: folder.path });
  assert.equal(jsonLines(stdout).map(({ type, file, faults }) => [type, file, faults])[1], [
    'init',
    'x.yaml',
    7,
  ]);
});

test('every text survives the way into the file, and every hint is right when its # is taken away', async () => {
  const hostile = [
    'true',
    '1e3',
    'a: b',
    '# x',
    "it's",
    '"q"',
    '- x',
    '{}',
    '*a',
    '&a',
    '!t',
    '%d',
    '@m',
    'é ü',
    ' x ',
    '0x1F',
    '',
    '~',
    'null',
    'a #b',
    '2024-01-01',
  ];
  for (const reason of hostile) {
    const draft: PlanDraft = {
      name: 'x',
      reason: `${reason} `,
      at: '2024-01-01T00:00:00Z',
      database: 'gravity',
      location: { kind: 'path', path: `./${reason.replace(/[{*]/g, '')}/{time:yyyy-MM-dd}`, timezone: 'UTC' },
      collections: [{ collection: 'artworks', query: `{ name: ${JSON.stringify(reason)} }` }],
      known: ['artworks', 'a\nb: 1'],
      stagingDatabase: 'staging',
      production: { database: 'production' },
    };
    const text = draftText(draft, './s.json').replace(
      /^( *)# ((?:maxAge|whenMatched|dependents|gate|followUps):| {2}[- ] )/gm,
      '$1$2',
    );
    folder.write('plan.yaml', text);
    const plan = await folder.plan('plan.yaml');
    assert.is(plan.reason, `${reason} `);
    assert.is(plan.source.maxAgeMs, 93_600_000);
    assert.is(plan.collections[0]?.dependents.length, 1);
    assert.is(plan.followUps.length, 2);
    assert.is(plan.targets.production?.gate.approvals, 1);
  }
});

test('the oplog is proposed, with the beginning of the dump by its name and why, and saving it first', async () => {
  for (const name of ['2026.11.22.02.00.00', '2026.11.22.10.00.00'])
    folder.write(
      `b/${name}/dump/gravity/artworks.metadata.json`,
      JSON.stringify({ indexes: [], collectionName: 'artworks', type: 'collection' }),
    );
  for (const name of ['2026.11.22.02.00.00', '2026.11.22.10.00.00'])
    folder.write(`b/${name}/dump/gravity/artworks.bson`, '');
  const options = [
    ...['--source', 'b/{time:yyyy.MM.dd.HH.mm.ss}/dump/', '--timezone', 'America/Phoenix'],
    ...['--at', '2026-11-22T08:50:00-07:00', '--database', 'gravity', '--collection', 'artworks={}'],
    ...['--staging-database', 'g', '--production-database', '-', '--reason', 'gone', '--look'],
  ];
  const said = await callPlan(['init', 'a.yaml', ...options, '--oplog-uri-env', 'OPLOG_URI'], {
    cwd: folder.path,
  });
  assert.is(said.exitCode, 0, said.stderr);
  assert.match(said.stdout, /plan oplog save a\.yaml\nIt is complete/);
  const text = textOf('a.yaml');
  assert.match(text, /\n {2}oplog:\n {4}mongodb:\n {6}uri: \$\{OPLOG_URI\}\n/);
  assert.match(text, /five minutes[\s\S]*\n {4}begins: 2026-11-22T08:55:00Z\n/);
  assert.is((await callPlan(['init', 'b.yaml', ...options], { cwd: folder.path })).exitCode, 0);
  assert.match(textOf('b.yaml'), /`plan oplog save b\.yaml`\n {2}# oplog:\n {2}# {3}mongodb:\n/);
  // What is a comment there is a plan once the signs are gone.
  writeFileSync(
    join(folder.path, 'c.yaml'),
    textOf('b.yaml').replace(/^ {2}# (oplog:| {2}mongodb:| {4}uri:| {2}begins:)/gm, '  $1'),
  );
  const check = await callPlan(['validate', 'c.yaml'], { cwd: folder.path });
  assert.is(check.exitCode, 0, check.stdout + check.stderr);
  // Of a folder whose name says no time, nobody knows when the dump began.
  const untimed = [
    '--source',
    'b/2026.11.22.02.00.00/dump/',
    ...options.slice(4),
    '--oplog-uri-env',
    'OPLOG_URI',
  ];
  const open = await callPlan(['init', 'd.yaml', ...untimed], { cwd: folder.path });
  assert.is(open.exitCode, 0, open.stderr);
  assert.match(open.stdout, /\nIt is complete if the dump took its oplog along; else fill in `begins`/);
});

test.run();
