/** `plan completion`: the scripts are run by the shells themselves, those that are on this machine. */
import { execFileSync, spawnSync } from 'node:child_process';
import * as assert from 'uvu/assert';
import { COMMANDS } from '../../../src/cli/program.ts';
import { suite } from '../../harness.ts';
import { programArguments, runPlan } from '../../lab/plan-command.ts';
import { PlanFolder } from '../../plan/plan-folder.ts';

const test = suite('plan completion');

let folder: PlanFolder;
test.before.each(() => {
  folder = new PlanFolder();
  folder.write('plans/incident.yaml', '');
  folder.write('plans/old.yml', '');
  folder.write('notes.txt', '');
});
test.after.each(() => folder.remove());

const scripts = new Map<string, string>();
test.before(async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { stdout, exitCode } = await runPlan(['completion', shell]);
    assert.is(exitCode, 0);
    scripts.set(shell, stdout);
  }
});
const scriptFor = (shell: string): string => scripts.get(shell) ?? '';

/** The program as a shell would call it. */
const program = (): string => [process.execPath, ...programArguments()].map((word) => `'${word}'`).join(' ');

const hasShell = (shell: string): boolean => spawnSync(shell, ['-c', ':']).error === undefined;

/** What bash offers after these words; the last one is being typed. */
function bashOffers(...args: readonly (string | { readonly before: string })[]): string[] {
  const words = args.filter((arg) => typeof arg === 'string');
  const before = args.map((arg) => (typeof arg === 'string' ? '' : arg.before)).join('');
  const list = ['plan', ...words].map((word) => `'${word}'`).join(' ');
  const ask = `compopt() { :; }; COMP_WORDS=(${list}); COMP_CWORD=${words.length}; _plan; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const output = execFileSync('bash', ['-c', `${scriptFor('bash')}\n${before}\n${ask}`], {
    cwd: folder.path,
    encoding: 'utf8',
  });
  return output
    .split('\n')
    .filter((line) => line !== '')
    .sort();
}

test('bash: commands, options, values, plan files', () => {
  assert.equal(bashOffers('app'), ['apply', 'approve']);
  for (const { name } of COMMANDS) assert.ok(bashOffers(name.slice(0, -1)).includes(name), name);
  assert.equal(bashOffers('apply', '--t'), ['--target', '--threads']);
  assert.equal(bashOffers('apply', '--target', ''), ['production', 'staging']);
  assert.equal(bashOffers('validate', '--format', 's'), ['sarif']);
  assert.equal(bashOffers('apply', 'plans/'), ['plans/incident.yaml', 'plans/old.yml']);
  assert.equal(bashOffers('apply', ''), ['plans']);
  assert.equal(bashOffers('apply', '--confirm', ''), []);
  assert.equal(bashOffers('dry-run', '--report', 'n'), ['notes.txt']);
  assert.equal(bashOffers('completion', ''), ['bash', 'fish', 'zsh']);
  assert.equal(bashOffers('follow-up', '--target', 'staging', ''), ['done', 'list', 'run']);
  assert.equal(bashOffers('follow-up', 'run', 'plans/o'), ['plans/old.yml']);
  assert.equal(bashOffers('help', 'val'), ['validate']);
});

test('bash: the names of follow-ups come from the plan on the line', () => {
  folder.write(
    'my plans/incident.yaml',
    `version: 1
name: x
source: { path: ./dump, database: a }
collections: [{ collection: a, query: {} }]
targets: { staging: { uri: '\${A}', database: a } }
followUps:
  - { name: Tell the partner, on: staging, manual: mail }
  - { name: "Tell Ann's team", on: staging, manual: mail }
  - { name: clear-cache, on: staging, run: [./clear.sh] }
`,
  );
  const plan = program();
  const offers = (...words: readonly string[]) =>
    bashOffers({ before: `plan() { ${plan} "$@"; }` }, 'follow-up', ...words);
  const file = 'my\\ plans/incident.yaml';
  assert.equal(offers('done', file, ''), ["Tell\\ Ann\\'s\\ team", 'Tell\\ the\\ partner', 'clear-cache']);
  assert.equal(offers('done', '--target', 'staging', file, 'Tell\\ t'), ['Tell\\ the\\ partner']);
  assert.equal(offers('run', file, '"Tell A'), ["Tell Ann's team"]);
  assert.equal(offers('run', 'plans/old.yml', ''), []);
});

if (hasShell('zsh')) {
  test('zsh reads its script', () => {
    const { status, stderr } = spawnSync('zsh', ['-n'], { input: scriptFor('zsh'), encoding: 'utf8' });
    assert.is(status, 0, stderr);
  });
} else {
  test.skip('zsh reads its script', 'there is no zsh on this machine');
}

if (hasShell('fish')) {
  test('fish offers commands and values', () => {
    const script = scriptFor('fish');
    const offers = (line: string) => {
      const file = folder.write('ask.fish', `${script}\ncomplete -C ${JSON.stringify(line)}\n`);
      const { stdout } = spawnSync('fish', ['-N', file], { encoding: 'utf8', cwd: folder.path });
      return stdout.split('\n').map((offer) => offer.split('\t')[0]);
    };
    assert.ok(offers('plan app').includes('apply'));
    assert.ok(offers('plan apply --target s').includes('staging'));
    assert.ok(offers('plan apply plans/').includes('plans/incident.yaml'));
  });
} else {
  test.skip('fish offers commands and values', 'there is no fish on this machine');
}

test('every script names every command and option, and a wrong shell is a usage error', async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const script = scriptFor(shell);
    for (const { name, options = [] } of COMMANDS) {
      assert.match(script, name);
      for (const { flags } of options)
        assert.match(
          script,
          shell === 'fish' ? `-l ${flags.split(' ')[0]?.slice(2)}` : (flags.split(' ')[0] ?? ''),
        );
    }
  }
  const { exitCode, stderr } = await runPlan(['completion', 'tcsh']);
  assert.is(exitCode, 11);
  assert.match(stderr, /bash, zsh, fish/);
});

test.run();
