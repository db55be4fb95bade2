/** The pull-request flow: review.sh on real repositories, and that the action hands nothing to a shell by pasting. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { BUILT_PROGRAM } from '../lab/plan-command.ts';
import { PlanFolder } from '../plan/plan-folder.ts';
import { createIncident } from './incident.ts';

const ROOT = join(import.meta.dirname, '../..');
const ACTION = join(ROOT, '.github/actions/restore-plan');

const PLAN = `version: 1
name: small
source: { database: gravity, path: ./dump }
collections: [{ collection: artworks, query: {} }]
targets: { staging: { uri: "\${STAGING_MONGODB_URI}", database: staging } }
`;

let folder: PlanFolder;
test.before.each(() => {
  folder = new PlanFolder();
  git('init', '--quiet', '--initial-branch=main');
  folder.write('plans/old.yaml', PLAN.replace('small', 'old'));
  folder.write('plans/sub/a.base.yaml', 'version: 1\n');
  folder.write('README.md', '');
  commit('begin');
  git('checkout', '--quiet', '-b', 'change');
});
test.after.each(() => folder.remove());

function git(...args: readonly string[]): void {
  const who = ['-c', 'user.name=test', '-c', 'user.email=test@example.net'];
  execFileSync('git', [...who, ...args], { cwd: folder.path, stdio: 'pipe' });
}

function commit(message: string): void {
  git('add', '--all');
  git('commit', '--quiet', '--message', message);
}

function review(env: Readonly<Record<string, string>> = {}, base = 'main') {
  const built = process.env[BUILT_PROGRAM];
  const program = built ?? `--import ${import.meta.resolve('tsx')} ${join(ROOT, 'src/main.ts')}`;
  const { status, stdout, stderr } = spawnSync(join(ACTION, 'review.sh'), [base], {
    cwd: folder.path,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: folder.path, PLAN: `${process.execPath} ${program}`, ...env },
  });
  return { status, stdout, stderr };
}

/** The pages, in order, without the line by which a comment is found again. */
function pages(): string[] {
  const pagesFolder = join(folder.path, 'restore-plan-review');
  if (!existsSync(pagesFolder)) return [];
  return readdirSync(pagesFolder).map((name) => {
    const [marker = '', ...lines] = readFileSync(join(pagesFolder, name), 'utf8').split('\n');
    assert.match(marker, /^<!-- restore-plan [0-9a-f]{40} -->$/);
    return lines.join('\n');
  });
}

test('a change without plans has nothing to review', () => {
  folder.write('README.md', 'more');
  folder.write('other/plan.yaml', 'not: a plan');
  commit('words');
  const { status, stdout } = review();
  assert.is(status, 0);
  assert.is(stdout, 'No restore plan below plans was changed.\n');
});

test('a base that was not fetched is an error, not an empty review', () => {
  const { status, stderr } = review({}, 'origin/main');
  assert.is.not(status, 0);
  assert.match(stderr, /origin\/main/);
});

test('only changed plans are reviewed, whatever their names', () => {
  folder.write('plans/with space; $(touch hacked).yaml', PLAN);
  folder.write('plans/-rf.yml', PLAN);
  commit('plans');
  const { status, stdout, stderr } = review({ DRY_RUN: 'no' });
  assert.is(status, 0, stderr);
  assert.is(stdout.match(/^✓ /gm)?.length, 2);
  assert.is(pages().length, 2);
  for (const page of pages()) assert.match(page, /^### What a restore plan would do\n\n {4}small: /);
  assert.not.ok(existsSync(join(folder.path, 'hacked')));
});

test('a plan with faults fails the review with its page, annotated where GitHub reads it', () => {
  folder.write('plans/new.yaml', PLAN.replace('small', '"```\\n# out of the block"'));
  commit('plan');
  const { status, stdout } = review({ FORMAT: 'github' });
  assert.is(status, 10);
  assert.match(stdout, /^::error file=plans\/new\.yaml,line=2,/m);
  const [page = ''] = pages();
  assert.match(page, /^### A restore plan has faults\n\n {4}plans\/new\.yaml:2:7: error: /);
  for (const line of page.trimEnd().split('\n').slice(2)) assert.match(line, /^( {4}.*|)$/);
});

test('a removed plan is not reviewed; a changed base brings all plans with it', () => {
  git('rm', '--quiet', 'plans/old.yaml');
  commit('done with it');
  assert.match(review().stdout, /No restore plan/);
  git('checkout', '--quiet', 'main', '--', 'plans/old.yaml');
  folder.write('plans/sub/a.base.yaml', 'version: 1\nmask: [email]\n');
  commit('base');
  const { status, stdout } = review({ DRY_RUN: 'no' });
  assert.is(status, 0);
  assert.match(
    stdout,
    /✓ plans\/sub\/a\.base\.yaml: the base is valid\n[\s\S]*✓ plans\/old\.yaml: old is valid/,
  );
  assert.is(pages().length, 1);
});

test(
  'a dry-run with credentials gives its report; one that fails gives its error and its exit code',
  async () => {
    const lab: Lab = await openLab();
    const incident = await createIncident(lab, { artworks: 50 });
    try {
      mkdirSync(join(folder.path, 'plans/incident'));
      renameSync(join(incident.folder, 'db.tar'), join(folder.path, 'plans/incident/db.tar'));
      const text = readFileSync(join(incident.folder, 'plan.yaml'), 'utf8');
      folder.write('plans/incident/a.yaml', text);
      writeFileSync(join(folder.path, '.gitignore'), '*.tar\n');
      commit('incident');
      const good = review(incident.env);
      assert.is(good.status, 0, good.stderr);
      assert.match(pages()[0] ?? '', /partner-57d17993/);
      assert.match(pages()[0] ?? '', /sale_artworks/);
      assert.match(pages()[0] ?? '', 'This report tells only the `_id` of each document.');
      assert.not.match(pages()[0] ?? '', '"slug"');

      folder.write('plans/incident/b.yaml', text.replace('./db.tar', './nowhere.tar'));
      commit('another');
      const bad = review(incident.env);
      assert.is(bad.status, 12);
      assert.match(bad.stderr, /nowhere\.tar does not exist/);
      assert.match(pages()[1] ?? '', /^### The dry-run ended with exit code 12\n\n {4}error: .*nowhere\.tar/);
      assert.not.match(pages().join(''), /mongodb:\/\//);
    } finally {
      incident.close();
      await lab.close();
    }
  },
  { deadlineMs: 120_000 },
);

test('the action pastes no value into a script, and its scripts are sound', () => {
  interface Step {
    readonly run?: string;
    readonly shell?: string;
  }
  const action = parse(readFileSync(join(ACTION, 'action.yml'), 'utf8')) as {
    runs: { steps: readonly Step[] };
  };
  for (const { run = '', shell } of action.runs.steps) {
    assert.not.match(run, /\$\{\{/);
    assert.is(shell, 'bash');
  }
  const workflow = readFileSync(join(ROOT, '.github/workflows/restore-plan.yml'), 'utf8');
  assert.not.match(workflow, /pull_request_target|^\s*(?:- )?run:.*\$\{\{/m);
  assert.is(parse(workflow).jobs.review.steps.at(-1).uses, './.github/actions/restore-plan');
  for (const script of ['review.sh', 'comment.sh']) {
    const { status, stderr } = spawnSync('bash', ['-n', join(ACTION, script)], { encoding: 'utf8' });
    assert.is(status, 0, stderr);
  }
});

test.run();
