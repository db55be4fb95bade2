/** What the program says without any server: digests, faults, prose, help and the schema. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { COMMANDS } from '../../src/cli/program.ts';
import { readPlan } from '../../src/plan/read-plan.ts';
import { suite } from '../harness.ts';
import { temporaryFolder } from '../lab/guard.ts';
import { golden, planFiles } from './golden.ts';
import { ROOT, transcript } from './program.ts';

const test = suite('golden: plans');

/** Longer than a folder for temporary files is on Linux, and short enough for a line of the text. */
const PATH_LENGTH = 40;

const env = {
  STAGING_MONGODB_URI: 'mongodb://staging.example.net',
  PRODUCTION_MONGODB_URI: 'mongodb://production.example.net',
  INCIDENT_WEBHOOK_URL: 'https://hooks.example.net/x',
  COPY_URI: 'mongodb://copy.example.net',
  EXPORTS: './exports',
  LAST_GOOD_MOMENT: '2024-10-03T09:14:00+02:00',
};

test('digests of plans', async () => {
  const lines: string[] = [];
  for (const [name, file] of planFiles()) {
    const { plan } = await readPlan(join(ROOT, file), { env });
    lines.push(`${name} ${plan?.digest ?? 'no plan'} ${plan?.selectsDigest ?? ''}\n`);
  }
  golden('digests.txt', lines.join(''));
});

test('validate, in every format', async () => {
  const files = [
    ...planFiles().values(),
    'plans/examples/gravity.base.yaml',
    'test/golden/plans/missing.yaml',
  ];
  for (const format of ['text', 'json', 'sarif', 'github']) {
    golden(`validate.${format}.txt`, await transcript(['validate', '--format', format, ...files], { env }));
  }
  golden('validate.ndjson.txt', await transcript(['validate', '--json', ...files], { env }));
  golden('validate.unset.txt', await transcript(['validate', '--require-env', ...files]));
});

test('explain', async () => {
  // Sources on disk are told by absolute path: one of a length that is the same everywhere breaks lines the same.
  const folder = temporaryFolder('golden');
  const cwd = join(folder.path, 'x'.repeat(PATH_LENGTH - folder.path.length - 1));
  for (const each of ['plans', 'test/golden/plans'])
    cpSync(join(ROOT, each), join(cwd, each), { recursive: true });
  for (const [name, file] of planFiles()) {
    const text = await transcript(['explain', file], { env, cwd, columns: 100 });
    const both = text + (await transcript(['explain', '--json', file], { env, cwd }));
    golden(`explain/${name}.txt`, both.replaceAll(cwd, '<root>'));
  }
  process.chdir(ROOT);
  folder.remove();
});

test('help of every command, and wrong usage', async () => {
  const names = COMMANDS.map(({ name }) => name);
  const help = [await transcript(['--help']), await transcript(['--version'])];
  for (const name of names) help.push(await transcript([name, '--help']));
  golden('help.txt', help.join(''));
  const wrong = [
    ...[
      [],
      ['nonsense'],
      ['help', 'nonsense'],
      ['nonsense', '--help'],
      ['dryrun', 'x'],
      ['--json', 'status'],
      ['apply'],
    ],
    ...[['status'], ['dry-run', 'plan.yaml', '--ful'], ['verify', 'plan.yaml'], ['status', '']],
    ...[
      ['verify', 'plan.yaml', '--target', 'stagin'],
      ['dry-run', 'x.yaml', '--report', 'a.pdf'],
    ],
    ...[
      ['dry-run', 'missing.yaml'],
      ['dry-run', '--json', 'missing.yaml'],
      ['status', 'x', '--patience', '1ms'],
    ],
    ...[
      ['dry-run', 'test/golden/plans/from-path.yaml'],
      ['apply', 'test/golden/plans/from-path.yaml'],
    ],
    ...[['backups', 'test/golden/plans/from-mongodb.yaml'], ['revert'], ['follow-up', 'walk', 'x.yaml']],
    ...[
      ['accept', 'x.yaml', '--target', 'staging'],
      ['completion', 'csh'],
      ['revert', 'plan.yaml'],
    ],
  ];
  const said: string[] = [];
  for (const args of wrong) said.push(await transcript(args));
  golden('usage.txt', said.join(''));
});

test('the schema and the completions', async () => {
  golden('schema.txt', (await transcript(['schema'])) + (await transcript(['schema', '--json'])));
  for (const shell of ['bash', 'zsh', 'fish']) {
    golden(`completion.${shell}.txt`, await transcript(['completion', shell]));
  }
  const names = ['completion', 'follow-ups', 'test/golden/plans/everything.yaml'];
  golden('completion.follow-ups.txt', (await transcript(names)) + (await transcript([...names, '--json'])));
});

test.run();
