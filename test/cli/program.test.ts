/** The command line itself: help, usage errors, streams, signals. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { advice } from '../../src/advice.ts';
import { COMMANDS, EXIT_MEANINGS } from '../../src/cli/program.ts';
import { readEnvFile } from '../../src/cli/session.ts';
import { typed } from '../../src/cli/view.ts';
import { EXIT_CODES, RestorePlanError } from '../../src/errors.ts';
import { VERSION } from '../../src/version.ts';
import { test } from '../harness.ts';
import { guardProcess, temporaryFolder } from '../lab/guard.ts';
import { BUILT_PROGRAM, environment, jsonLines, programArguments, runPlan } from '../lab/plan-command.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const PLAN = join(ROOT, 'plans', 'examples', 'partner-artworks.yaml');

test('the version is the package’s', async () => {
  assert.is(VERSION, JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version);
  assert.is((await runPlan(['--version'])).stdout, `${VERSION}\n`);
});

test(
  'every command has help with examples and the exit codes it can give',
  async () => {
    for (const { name, examples, exits } of COMMANDS) {
      const { stdout, exitCode } = await runPlan([name, '--help']);
      assert.is(exitCode, 0);
      for (const example of examples) assert.ok(stdout.includes(`$ ${example}`), `${name}: ${example}`);
      for (const exit of exits) assert.ok(stdout.includes(EXIT_MEANINGS[exit]), `${name}: ${exit}`);
      assert.ok(stdout.split('\n').every((line) => line.length <= 110));
    }
  },
  { deadlineMs: 120_000 },
);

test('the README’s table of commands is the program’s', () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const rows = [...readme.matchAll(/^\| `plan (.+?)` +\| (.*?) +\|$/gm)].map(([, usage, does]) => [
    usage,
    does,
  ]);
  assert.equal(
    rows,
    COMMANDS.map(({ name, arguments: args, summary }) => [
      args === undefined ? name : `${name} ${args}`,
      summary,
    ]),
  );
});

test('the README’s table of exit codes is the program’s', () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const rows = [...readme.matchAll(/^\| (\d+) +\| (.*?) +\|$/gm)].map(
    ([, code, meaning]) => `${code} ${meaning}`,
  );
  for (const [name, meaning] of Object.entries(EXIT_MEANINGS)) {
    const code = EXIT_CODES[name as keyof typeof EXIT_CODES];
    assert.ok(rows.includes(`${code} ${meaning}`), `the README lacks: ${code} ${meaning}`);
  }
});

test(
  'usage errors exit 11, say what is wrong and what was meant',
  async () => {
    const cases: readonly (readonly [string[], RegExp, RegExp])[] = [
      [['dry-rnu', 'x.yaml'], /unknown command 'dry-rnu'/, /Did you mean dry-run\?/],
      [['dry-run', 'x.yaml', '--ful'], /unknown option '--ful'/, /Did you mean --full\?/],
      [['help', 'dry-rnu'], /unknown command 'dry-rnu'/, /Did you mean dry-run\?/],
      [
        ['dry-run'],
        /missing required argument 'plan'/,
        /used as `plan dry-run <plan>`; `plan dry-run --help`/,
      ],
      [['apply', 'x.yaml'], /say which target to apply to/, /First `plan apply x.yaml --target staging`/],
      [
        ['verify', 'x.yaml'],
        /required option '--target <name>' not specified/,
        /used as `plan verify <plan> --target <name>`; .* --help/,
      ],
      [['revert', 'x.yaml'], /say which target to revert/, /--target staging/],
      [['revert'], /say which plan to revert/, /--plan-name, --uri-env .* and --database/],
      [['dry-run', ''], /an argument is empty/, /--help/],
      [['apply', 'x.yaml', '--target', 'prod'], /Allowed choices are staging, production/, /--help/],
      [['apply', 'x.yaml', '--target', 'stagin'], /Allowed choices/, /Did you mean staging\?/],
      [['follow-up', 'don', 'x.yaml'], /knows no don/, /Did you mean done\?/],
      [['dry-run', 'x.yaml', 'y.yaml'], /too many arguments/, /--help/],
      [[], /no command given/, /plan --help/],
      [['--quiet', 'status', 'x.yaml'], /unknown option '--quiet'/, /Options stand behind the command/],
      [
        ['apply', 'x.yaml', '--target', 'staging', '--target', 'production'],
        /'--target <name>' argument 'production' is invalid\. The option was given before/,
        /--help/,
      ],
      [
        ['status', 'x.yaml', '--work-dir', ''],
        /'--work-dir <folder>' argument '' is invalid\. It is empty/,
        /--help/,
      ],
      [['dry-run', PLAN, '--report', 'x.pdf'], /no report can be written as x.pdf/, /\.html, \.md or \.json/],
    ];
    for (const [args, words, hint] of cases) {
      const { exitCode, stdout, stderr } = await runPlan(args, {
        env: { STAGING_MONGODB_URI: 'mongodb://x', PRODUCTION_MONGODB_URI: 'mongodb://y' },
      });
      assert.is(exitCode, 11, args.join(' '));
      assert.is(stdout, '');
      assert.match(stderr, words);
      assert.match(stderr, hint);
      assert.not.match(stderr, /Did you mean \?/);
    }
  },
  { deadlineMs: 120_000 },
);

test('the help of the program shows the usual order and every exit code', async () => {
  const { stdout, exitCode } = await runPlan(['--help']);
  assert.is(exitCode, 0);
  assert.match(stdout, '$ plan dry-run plans/incident-4711.yaml');
  for (const meaning of Object.values(EXIT_MEANINGS)) assert.ok(stdout.includes(meaning), meaning);
});

test('a plan that is not there is named, and one of nearly that name is offered', async () => {
  const folder = temporaryFolder('near-name');
  writeFileSync(join(folder.path, 'incident.yaml'), 'version: 1\n');
  const { stderr, exitCode } = await runPlan(['dry-run', 'incident.yml'], { cwd: folder.path });
  assert.is(exitCode, 10);
  assert.match(stderr, /incident.yml:1:1: error: the file cannot be read: there is no such file/);
  assert.match(stderr, /did you mean "incident.yaml"\?/);
  folder.remove();
});

test('commands in hints are whole lines to type, and calls for a program', async () => {
  const both = advice`Run ${{ command: 'backups' }}, or ${{ command: 'apply', target: 'staging' }}.`;
  assert.is(
    both.say(typed({ plan: 'plans/a b.yaml' })),
    "Run `plan backups 'plans/a b.yaml'`, or `plan apply 'plans/a b.yaml' --target staging`.",
  );
  assert.is(both.say(typed()), 'Run `plan backups`, or `plan apply --target staging`.');
  assert.is(String(both), "Run `backups()`, or `apply('staging')`.");
  const init = advice`${{ command: 'init' }} writes one.`;
  assert.is(init.say(typed({ plan: 'a.yaml' })), '`plan init <file>` writes one.');
  const { stderr } = await runPlan(['follow-up', 'done', PLAN]);
  assert.match(stderr, `next:  \`plan follow-up list ${PLAN}\` shows them.`);
});

test('with --json even a usage error is a whole stream', async () => {
  const { stdout, exitCode } = await runPlan(['dry-run', '--json', '--ful', 'x.yaml']);
  assert.is(exitCode, 11);
  assert.equal(
    jsonLines(stdout).map(({ type }) => type),
    ['version', 'error', 'exit'],
  );
});

test('a command that connects names the variables that are not set', async () => {
  const { exitCode, stderr } = await runPlan(['dry-run', PLAN]);
  assert.is(exitCode, 10);
  assert.match(stderr, /the variables STAGING_MONGODB_URI, PRODUCTION_MONGODB_URI are not set/);
  assert.match(stderr, /connection string of the staging cluster/);
});

test('a variable that is set to nothing is said to be empty', async () => {
  const env = { STAGING_MONGODB_URI: '', PRODUCTION_MONGODB_URI: 'mongodb://x' };
  const { exitCode, stderr } = await runPlan(['dry-run', PLAN], { env });
  assert.is(exitCode, 10);
  assert.match(stderr, /the variable STAGING_MONGODB_URI is empty/);
});

test('a result that does not fit on the disk is no success; a reader that had enough is', async () => {
  const full = await runPlan(['schema'], { through: 'exec "$@" > /dev/full' });
  assert.is(full.exitCode, 1);
  assert.match(full.stderr, /the result could not be written: ENOSPC/);
  const gone = await runPlan(['schema'], { through: '{ "$@"; echo "exit $?" >&2; } | head -c 10' });
  assert.is(gone.stderr, 'exit 0\n');
});

const REMOVED_FOLDER = 'a folder that was removed is said, without a stack';
if (process.env[BUILT_PROGRAM] === undefined) {
  test.skip(REMOVED_FOLDER, 'running the sources takes a loader that needs a folder itself');
} else {
  test(REMOVED_FOLDER, async () => {
    const folder = temporaryFolder('removed');
    const { exitCode, stderr } = await runPlan(['schema'], {
      cwd: folder.path,
      through: 'rmdir "$PWD"; exec "$@"',
    });
    assert.is(exitCode, 1);
    assert.match(stderr, /^error: the current folder does not exist any more\nnext: /);
  });
}

test('where no backup is, plan backups says so and exits 12', async () => {
  const folder = temporaryFolder('no-backups');
  const source = (path: string): string => `version: 1
name: nothing
reason: A test.
source: { at: 2026-11-22T12:00:00Z, database: gravity, path: "${path}", timezone: UTC }
collections: [{ collection: artworks, query: {} }]
targets: { staging: { uri: "mongodb://x", database: gravity } }
`;
  const ends = async (path: string, command = 'backups') => {
    writeFileSync(join(folder.path, 'plan.yaml'), source(path));
    return runPlan([command, 'plan.yaml'], { cwd: folder.path });
  };
  const none = await ends('backups/{time:yyyy-MM-dd}/db.tar');
  assert.is(none.exitCode, 12);
  assert.match(none.stderr, /error: nothing matches the place that the plan names\nnext: /);

  mkdirSync(join(folder.path, 'backups', '2026-11-21'), { recursive: true });
  const misspelt = await ends('backups/{time:yyyy-MM-dd}/dbb.tar');
  assert.is(misspelt.exitCode, 12);
  assert.match(misspelt.stdout, /\n {2}time in UTC +from at/);
  assert.match(misspelt.stderr, /error: none of these backups serves the plan\nnext: /);
  const chosen = await ends('backups/{time:yyyy-MM-dd}/dbb.tar', 'dry-run');
  assert.is(chosen.exitCode, 12);
  assert.match(chosen.stderr, /There is nothing at .*\/2026-11-21\/dbb\.tar\./);
  folder.remove();
});

test('an env file adds variables, and what is already set wins', async () => {
  const folder = temporaryFolder('env-file');
  writeFileSync(join(folder.path, 'plan.env'), 'STAGING_MONGODB_URI=mongodb://from-file\n');
  const { stderr } = await runPlan(['dry-run', PLAN, '--env-file', 'plan.env'], { cwd: folder.path });
  assert.match(stderr, /the variable PRODUCTION_MONGODB_URI is not set/);
  folder.remove();
});

test('an env file of any other kind has an error of its own, and a bound', async () => {
  const folder = temporaryFolder('env-file');
  const at = (name: string): string => join(folder.path, name);
  mkdirSync(at('folder'));
  execFileSync('mkfifo', [at('fifo')]);
  writeFileSync(at('huge'), Buffer.alloc(1024 * 1024 + 1, 'A=1\n'));
  writeFileSync(at('binary'), Buffer.from('A=1\0'));
  writeFileSync(at('utf16'), Buffer.from('\ufeffA=1', 'utf16le'));
  for (const [name, words] of [
    [at('missing'), 'there is no such file'],
    [at('folder'), 'it is a directory'],
    [at('fifo'), 'nothing came out of the pipe for 10 s'],
    ['/dev/zero', 'it is not a plain file'],
    [at('huge'), 'is too large: 1048577 bytes'],
    [at('binary'), 'has a NUL byte at byte offset 3'],
    [at('utf16'), 'is UTF-16LE text'],
  ] as const) {
    const error = await readEnvFile(folder.path, name).catch((thrown: unknown) => thrown);
    assert.instance(error, RestorePlanError);
    const { code, message, hint } = error as RestorePlanError;
    assert.is(code, 'USAGE');
    assert.match(message, `the env file ${name} `);
    assert.match(message, words);
    assert.match(hint ?? '', /^--env-file takes .*\. Check the path\.$/);
  }
  folder.remove();
});

test('a byte order mark is no part of a name in an env file, and a pipe with a writer is read', async () => {
  const folder = temporaryFolder('env-file');
  writeFileSync(join(folder.path, 'bom.env'), '\ufeffSTAGING=a\r\n# b\r\nexport PRODUCTION="c d"\r\n');
  assert.equal({ ...(await readEnvFile(folder.path, 'bom.env')) }, { STAGING: 'a', PRODUCTION: 'c d' });
  const fifo = join(folder.path, 'fifo');
  execFileSync('mkfifo', [fifo]);
  const writing = writeFile(fifo, 'A=1\n');
  assert.equal({ ...(await readEnvFile('/', fifo)) }, { A: '1' });
  await writing;

  // Gone before the pipe is opened for reading; whoever keeps it open meanwhile takes nothing out of it.
  const keeper = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  await writeFile(fifo, 'A=2\n');
  assert.equal({ ...(await readEnvFile('/', fifo)) }, { A: '2' });
  closeSync(keeper);
  folder.remove();
});

test('the program itself gets --env-file, not the node that runs it', () => {
  const first = readFileSync(join(import.meta.dirname, '../../src/start.ts'), 'utf8').split('\n')[0];
  assert.is(first, '#!/usr/bin/env -S node --');
});

test('a command in advice carries what it was given: plan, or what stands for it, and --env-file', () => {
  const unlock = { command: 'unlock', target: 'staging', options: { holder: 'eve@ops-9:7' } } as const;
  assert.is(
    typed({ plan: 'p.yaml', envFile: 'my e.env' })(unlock),
    "`plan unlock p.yaml --target staging --holder eve@ops-9:7 --env-file 'my e.env'`",
  );
  const plan = { planName: 'one', uriEnv: 'URI', database: 'd' };
  assert.is(
    typed({ plan })({ command: 'revert' }),
    '`plan revert --plan-name one --uri-env URI --database d`',
  );
  assert.is(typed({ plan })({ command: 'apply', target: 'staging' }), '`plan apply <plan> --target staging`');
});

test('an unreadable work directory or plan is said, without a stack', async () => {
  const { exitCode, stderr } = await runPlan(['dry-run', '/nowhere/plan.yaml']);
  assert.is(exitCode, 10);
  assert.not.match(stderr, /\n\s+at /);
});

test('whoever closes the terminal ends the program by that signal, and not by a fault of memory', async () => {
  const folder = temporaryFolder('hangup');
  const ended = join(folder.path, 'ended');
  const command = [process.execPath, ...programArguments(), 'init', 'plan.yaml'].map((word) => `'${word}'`);
  // The shell outlives the terminal, to write down how the program ended.
  const line = `trap '' HUP; ${command.join(' ')}; echo $? > ended.part; mv ended.part ended`;
  const script = spawn('script', ['--quiet', '--command', line, '/dev/null'], {
    cwd: folder.path,
    env: environment(),
  });
  guardProcess(script);
  try {
    await once(script.stdout, 'data'); // the first question
    script.kill('SIGKILL');
    while (!existsSync(ended)) await setTimeout(50);
    assert.is(readFileSync(ended, 'utf8'), '129\n');
  } finally {
    script.kill('SIGKILL');
    folder.remove();
  }
});

test.run();
