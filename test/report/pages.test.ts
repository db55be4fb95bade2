/** Pages for the terminal: whatever they are made of, they fit, and speak to nobody but the reader (L14). */
import { runInNewContext } from 'node:vm';
import { EJSON, ObjectId, serialize } from 'bson';
import * as assert from 'uvu/assert';
import type { RevertedCollection, RevertReport } from '../../src/apply/revert-entry.ts';
import { thatAre } from '../../src/cli/views/accept.ts';
import { waysToLook } from '../../src/cli/views/apply.ts';
import { dryRunEnd, dryRunPage } from '../../src/cli/views/dry-run.ts';
import { documentsOf } from '../../src/cli/views/dry-run-documents.ts';
import { explainPlan } from '../../src/cli/views/explain.ts';
import { revertLines } from '../../src/cli/views/revert.ts';
import { gateLines, targetLines } from '../../src/cli/views/status.ts';
import type { RunRecord } from '../../src/ledger/run-record.ts';
import type { DryRun } from '../../src/report/report-model.ts';
import { columnsOf, paintWith, wrapped } from '../../src/text/terminal.ts';
import { test } from '../harness.ts';
import { hostileReview } from './hostile.ts';
import { collectionOf, compared, smallReview } from './review.ts';

/** What a terminal or a CI runner would take for more than text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must be gone
const ALIVE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]|^\s*::|##\[/;

const paint = paintWith(false);

test('a dry-run made of attacks is dead text at any width, and fits it', () => {
  const review = hostileReview();
  const run: DryRun = {
    ...review,
    notCompared: review.notCompared.map((each) => ({ ...each, hint: each.reason })),
  };
  for (const columns of [20, 40, 80, 160]) {
    const lines = [
      ...dryRunPage(run, { paint, columns }),
      ...documentsOf(run.comparisons, { paint, columns }, 50),
      ...dryRunEnd(run, 0, { paint, columns }),
    ];
    for (const line of lines) assert.not.match(line.slice(0, 1_000), ALIVE);
    if (columns < 80) continue;
    // An escaped first character makes a line a little longer.
    // Names of collections and fields in blocks to paste are not broken either.
    const pasted = lines.filter((line) => /^ +(?:- collection|foreignKey): /.test(line));
    assert.ok(pasted.every((line) => columnsOf(line) < 300));
    const tooLong = lines.filter((line) => columnsOf(line) > columns + 5 && !pasted.includes(line));
    assert.equal(tooLong, []);
  }
});

test('documents that are not shown are counted as what becomes of them', () => {
  const held = Array.from({ length: 3 }, () => compared({ leftOut: 'heldBack' }));
  const lots = collectionOf('lots', [...held, compared({ leftOut: 'excepted' }), compared(), compared()], {
    leftOut: { insert: { excepted: 1, heldBack: { conflict: 0, refused: 3 } } },
  });
  const comparison = { target: 'staging', database: 'gravity-staging', server: 'replica set' } as const;
  const shown = [...documentsOf([{ ...comparison, collections: [lots] }], { paint, columns: 80 }, 1)];
  assert.is(shown.at(-1), '… and 2 more inserts, 2 more held back, 1 more exception; `--full` lists all');
});

test('one document is left out, several are', () => {
  assert.is(thatAre(1), '1 document is');
  assert.is(thatAre(1_200), '1,200 documents are');
});

test('a dry-run ends with what cannot be written, the exceptions to paste, and the sum of each target', () => {
  const run: DryRun = { ...smallReview(), notCompared: [] };
  const ends = (columns: number): string[] => [...dryRunEnd(run, Date.UTC(2016, 8, 14), { paint, columns })];
  assert.equal(ends(120).slice(-12), [
    '',
    '5 of artworks cannot be written to production: its run cannot end verified.',
    'To finish without them, once somebody has looked at each, add to the plan, with the reason:',
    '  - collection: artworks',
    '    exceptions:',
    '      - { class: conflict, do: skip, reason: … }',
    '      - { class: refused, do: skip, reason: … }',
    '',
    'staging gravity-staging: +53 inserts · backup of 13 Sep 08:00 New York',
    'production gravity: +34 inserts, =6 there already, ≠8 kept, !3 conflicts, ×2 refused, ?1 dangling reference ·',
    '  backup of 13 Sep 08:00 New York',
  ]);
  for (const columns of [40, 80]) {
    const lines = ends(columns);
    for (const line of lines.filter((each) => !each.includes('{ class: '))) {
      assert.ok(columnsOf(line) <= columns, line);
    }
    assert.ok(lines.length <= 20, 'on the last screen of 24 lines, with the command that comes next');
  }
});

test('warnings come first', () => {
  const run: DryRun = { ...smallReview({ warnings: ['the oplog is not replayed'] }), notCompared: [] };
  const [first] = [...dryRunPage(run, { paint, columns: 80 })];
  assert.is(first, 'warning: the oplog is not replayed');
});

const NAMED = { digest: 'd', into: 'artworks', reason: 'r' };

test('documents beyond those that are named are counted, also beyond those that are listed', () => {
  const named = Array.from({ length: 1_000 }, (_, i) => ({ ...NAMED, id: `${i}` }));
  const style = { paint, columns: 80 };
  const where = { collection: 'artworks', into: 'artworks' };
  const counts = { remove: 0, putBack: 0, gone: 0, back: 0, changed: 2_000, deleted: 500, doubtful: 0 };
  const reportOf = (collections: readonly RevertedCollection[]): Omit<RevertReport, 'untouched'> =>
    ({
      ...{ target: 'staging', database: 'gravity', plan: 'partner', leftBefore: 0 },
      runs: [{ digest: 'd', startedAt: new Date(0), collections }],
      unnamed: 0,
    }) as const;
  const report = reportOf([{ ...where, counts }]);
  const reverted = [...revertLines({ ...report, untouched: named }, { isPreview: false }, style)];
  assert.is(reverted.at(-2), '… and 2,480 more; --json lists the first 1,000');
  const few = reportOf([{ ...where, counts: { ...counts, changed: 25, deleted: 0 } }]);
  const untouched = named.slice(0, 25);
  assert.is(
    [...revertLines({ ...few, untouched }, { isPreview: false }, style)].at(-2),
    '… and 5 more; --json lists them',
  );
});

test('the prose about a hostile plan is dead text', () => {
  for (const columns of [40, 80]) {
    const { plan } = hostileReview();
    for (const line of explainPlan(plan, columns).split('\n')) assert.not.match(line, ALIVE);
  }
});

test('the status fits the terminal, and says what a rerun needs where documents were in the way', () => {
  const style = { paint, columns: 80 };
  for (const line of gateLines(undefined, style, { given: { plan: 'plan.yaml' }, planHasChanged: false }))
    assert.ok(columnsOf(line) <= 80, line);
  const counts = { selected: 3, inserted: 2, identical: 0, replaced: 0, kept: 0, conflict: 1, refused: 0 };
  const run: RunRecord = {
    ...{ key: { plan: 'partner', selection: 'd'.repeat(64) }, format: 2, journalKey: '', isMigrated: false },
    ...{ server: undefined, source: undefined, gate: undefined },
    ...{ target: 'staging', toolVersion: '0.1.0', status: 'incomplete', fencing: 1 },
    plan: { name: 'partner', digest: 'e'.repeat(64) },
    backup: { location: 's3://bucket/db.tar', kind: 'tar', fingerprint: 'etag' },
    ...{ appliedBy: [], startedAt: new Date(0), updatedAt: new Date(0), verifiedAt: undefined },
    collections: [
      { collection: 'artworks', into: 'artworks', ...counts, heldBack: 0, excepted: 0, doubtful: 0 },
    ],
    ...{
      left: 0,
      creations: [],
      approvals: [],
      followUps: [],
      accepted: 0,
      acceptedDigest: undefined,
      acceptedBy: [],
    },
  };
  const status = {
    target: 'staging',
    database: 'gravity',
    server: 'replica set',
    run,
    runs: [{ run, isCurrent: true, isForeign: false }],
    runsOfPlan: [run],
    lock: undefined,
  } as const;
  const lines = [
    ...targetLines(
      {
        ...status,
        approvals: undefined,
        serverUser: undefined,
        rules: {
          soakMs: 0,
          approvals: 0,
          approvalsBy: 'server-user',
          acceptKept: false,
          stricter: undefined,
        },
        isOfAnotherPlanVersion: false,
      },
      style,
      { plan: 'plan.yaml' },
    ),
  ];
  for (const line of lines) assert.ok(columnsOf(line) <= 80, line);
  assert.match(lines.join(' '), '1 document could not be written');
});

for (const columns of [40, 80]) {
  test(`what mongosh is to read can be pasted from a terminal of ${columns} columns`, () => {
    const hex = ['57d17993a09a6759d8000d9e', '57d17993a09a6759d8000d9f'];
    const documents = hex.map((text) => Buffer.from(serialize({ _id: new ObjectId(text) })));
    const examples = new Map([
      ['artworks', documents],
      ['a_collection_of_a_rather_long_name', documents],
    ]);
    const lines = [
      ...waysToLook({ given: { plan: 'plan.yaml' }, database: 'shop', examples }, { paint, columns }),
    ];
    const statements = lines.slice(lines.indexOf('  use shop') + 1);
    for (const line of statements) assert.ok(columnsOf(line) <= columns, line);
    const found: unknown[] = [];
    const db = { getCollection: (name: string) => ({ find: (query: unknown) => found.push([name, query]) }) };
    let typed = '';
    for (const line of statements) {
      typed += `${line}\n`;
      // A shell reads on for as long as a statement cannot be at its end.
      const isEnd = line === '  })';
      try {
        runInNewContext(typed, { db, EJSON });
        assert.ok(isEnd, `a statement ended at ${line}`);
        typed = '';
      } catch (error) {
        assert.not.ok(isEnd, String(error));
        assert.match(String(error), 'SyntaxError');
      }
    }
    assert.equal(
      JSON.parse(JSON.stringify(found)),
      [...examples.keys()].map((name) => [name, { _id: { $in: hex } }]),
    );
  });
}

test('no place where a line breaks makes a workflow command of a text', () => {
  for (let columns = 4; columns < 60; columns++) {
    for (const text of ['look at this ::error file=a.ts::owned', `${'x'.repeat(40)}::error::owned`]) {
      for (const line of wrapped(text, { columns, mark: '- ' })) assert.not.match(line, /^(?:- |\s)*::/);
    }
  }
});

test.run();
