/** What comes next, from facts alone: one answer for every command. */
import * as assert from 'uvu/assert';
import {
  type KnownTarget,
  type NextStep,
  nextSteps,
  type PlanFacts,
} from '../../src/apply/restore-status.ts';
import { nextStepLines } from '../../src/cli/views/next-step.ts';
import type { RunStatus } from '../../src/ledger/run-record.ts';
import { test } from '../harness.ts';

function target(
  status?: RunStatus,
  rest: Partial<KnownTarget> & {
    readonly conflicts?: number;
    readonly kept?: number;
    readonly accepted?: number;
    readonly unseen?: number;
  } = {},
): KnownTarget {
  const { conflicts = 0, kept = 0, unseen = 0, accepted, ...facts } = rest;
  const counts = {
    selected: 3,
    inserted: 3 - conflicts - kept - unseen,
    identical: 0,
    replaced: 0,
    kept,
    refused: 0,
    heldBack: 0,
    excepted: 0,
    doubtful: 0,
  };
  const collections = [{ collection: 'artworks', into: 'artworks', ...counts, conflict: conflicts }];
  const run =
    status === undefined ? undefined : { status, collections, ...(accepted !== undefined && { accepted }) };
  return { run, isCurrent: status !== undefined, toWrite: undefined, openFollowUps: 0, ...facts };
}

const none = { given: 0, needed: 0 };
const facts = (rest: Partial<PlanFacts>): PlanFacts => ({
  ...{ staging: target(), production: target(), approvals: none, gate: undefined },
  ...rest,
});
const verified = target('verified');

/** `apply staging: first` */
const shown = (steps: readonly NextStep[]): string[] =>
  steps.map(({ command, target, why }) =>
    [command, target, why.kind].filter((word) => word !== undefined).join(' '),
  );

const CASES: readonly [string, Partial<PlanFacts>, readonly string[]][] = [
  ['nothing was done', {}, ['apply staging first']],
  ['staging does not answer', { staging: 'silent' }, ['apply staging silent']],
  [
    'nobody asked staging',
    { staging: 'unknown', production: target(undefined, { toWrite: 3 }) },
    ['status unknown'],
  ],
  ['the run was cut off', { staging: target('applying') }, ['apply staging unfinished']],
  ['nothing was read back', { staging: target('applied') }, ['apply staging unread']],
  ['it stopped part-way', { staging: target('incomplete') }, ['apply staging unfinished']],
  [
    'it stopped part-way, with a document in the way',
    { staging: target('incomplete', { conflicts: 1, unseen: 1 }) },
    ['apply staging unfinished'],
  ],
  [
    'staging has kept a document, which comes before approvals',
    { staging: target('verified', { kept: 1 }), approvals: { given: 0, needed: 1 } },
    ['accept staging differing'],
  ],
  [
    'what it has kept was accepted',
    { staging: target('verified', { kept: 1, accepted: 1 }), approvals: { given: 0, needed: 1 } },
    ['approve approvals'],
  ],
  [
    'documents are in the way',
    { staging: target('incomplete', { conflicts: 1 }) },
    ['dry-run staging unwritten'],
  ],
  [
    'documents are in the way, and a dry-run has just shown them',
    { staging: target('incomplete', { conflicts: 1, toWrite: 0, stuck: 1 }) },
    ['accept staging stuck'],
  ],
  [
    'what was in the way is gone',
    { staging: target('incomplete', { conflicts: 1, toWrite: 1, stuck: 0 }) },
    ['apply staging unfinished'],
  ],
  [
    'somebody wrote by hand what was in the way',
    { staging: target('incomplete', { conflicts: 1, toWrite: 0, stuck: 0 }) },
    ['apply staging unfinished'],
  ],
  [
    'documents stop an apply',
    { staging: target(undefined, { toWrite: 3, stopping: 1 }) },
    ['apply staging stopping'],
  ],
  ['a collection of staging is a view', { staging: 'unfit' }, ['apply staging unfit']],
  ['a revert was cut off', { staging: target('reverting') }, ['revert staging revertUnfinished']],
  ['it was reverted', { staging: target('reverted') }, ['apply staging reverted']],
  [
    'another selection is there',
    { staging: target('verified', { isCurrent: false }) },
    ['apply staging changed'],
  ],
  ['what was restored is gone', { staging: target('verified', { toWrite: 2 }) }, ['apply staging gone']],
  ['staging is verified', { staging: verified }, ['apply production verified']],
  ['nobody asked production', { staging: verified, production: 'unknown' }, ['apply production verified']],
  ['production does not answer', { staging: verified, production: 'silent' }, ['apply production silent']],
  ['approvals are missing', { staging: verified, approvals: { given: 2, needed: 3 } }, ['approve approvals']],
  ['the gate is shut', { staging: verified, gate: { open: false, obstacles: [] } }, ['status gate']],
  [
    'production was cut off',
    { staging: verified, production: target('applying') },
    ['apply production unfinished'],
  ],
  ['all is done', { staging: verified, production: verified }, []],
  ['there is no production', { staging: verified, production: undefined }, []],
  [
    'follow-ups are open',
    {
      staging: target('verified', { openFollowUps: 1 }),
      production: target('verified', { openFollowUps: 2 }),
    },
    ['follow-up list staging followUps', 'follow-up list production followUps'],
  ],
  [
    'nothing is missing anywhere',
    { staging: target(undefined, { toWrite: 0 }), production: target(undefined, { toWrite: 0 }) },
    [],
  ],
  [
    'production alone lacks something',
    { staging: target(undefined, { toWrite: 0 }), production: target(undefined, { toWrite: 1 }) },
    ['apply staging first'],
  ],
  [
    'production needs nothing',
    { staging: target(undefined, { toWrite: 2 }), production: target(undefined, { toWrite: 0 }) },
    ['apply staging first'],
  ],
];

for (const [name, rest, expected] of CASES) {
  test(`what comes next when ${name}`, () => {
    const steps = nextSteps(facts(rest));
    assert.equal(shown(steps), expected);
    const lines = [...nextStepLines(steps, { given: { plan: 'my plan.yaml' }, columns: 80 })];
    for (const { command } of steps) {
      assert.ok(
        lines.some((line) => line.startsWith(`  plan ${command} 'my plan.yaml'`)),
        lines.join('\n'),
      );
    }
  });
}

test('a next step carries the options without which it would not find what this one found', () => {
  const given = { plan: 'p.yaml', envFile: 'my e.env', workDir: '/var/restore' };
  const steps = nextSteps(facts({ staging: target(undefined, { toWrite: 1 }) }));
  const [, line] = nextStepLines(steps, { given, columns: 80 });
  assert.is(line, "  plan apply p.yaml --target staging --env-file 'my e.env' --work-dir /var/restore");
});

test.run();
