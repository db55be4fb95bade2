import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import * as assert from 'uvu/assert';
import { buildReport, type ReportInput } from '../../src/report/report-model.ts';
import { reportFormatOf, writeReport } from '../../src/report/write-report.ts';
import { test } from '../harness.ts';
import { hostileReview } from './hostile.ts';
import { bigReview, collectionOf, compared, PLAN, smallReview } from './review.ts';

const SCHEMA = new URL('../../schemas/dry-run-report.schema.json', import.meta.url);
const validate = new Ajv({ strict: true, allErrors: true }).compile(JSON.parse(readFileSync(SCHEMA, 'utf8')));

async function piecesOf(input: ReportInput): Promise<string[]> {
  const pieces: string[] = [];
  for await (const piece of writeReport('json', buildReport(input))) pieces.push(piece);
  return pieces;
}

async function jsonOf(input: ReportInput) {
  const report = JSON.parse((await piecesOf(input)).join(''));
  validate(report);
  assert.equal(validate.errors ?? [], []);
  return report;
}

test('a report of every class fits its schema and keeps every count and difference', async () => {
  const report = await jsonOf(smallReview());
  const [, artworks] = report.targets.production.collections;
  assert.is(artworks.selected, 40);
  assert.is(artworks.conflict, 3);
  assert.is(artworks.documents.length, 40);
  assert.is(artworks.documents[0].class, 'conflict');
  const different = artworks.documents.find((document: { class: string }) => document.class === 'different');
  assert.equal(different.differences[1], {
    ...{ path: 'price.amount', backup: '1203', target: '900.0' },
    ...{ backupType: 'int', targetType: 'double' },
  });
  assert.equal(report.targets.staging.collections[2].wouldCreate, { indexes: 3 });
  assert.is(report.backup.beforeAtMs, 3_600_000);
});

test('a report without targets, times, reason or documents fits its schema', async () => {
  const { at: _, ...source } = PLAN.source;
  const { backup, ...manifest } = smallReview().manifest;
  const report = await jsonOf(
    smallReview({
      plan: {
        ...PLAN,
        reason: undefined,
        source: { ...source, at: undefined },
        collections: [],
        followUps: [],
      },
      manifest: {
        ...{ ...manifest, collections: [] },
        backup: {
          ...backup,
          ...{ time: undefined, localTime: undefined, modified: undefined, size: undefined },
        },
      },
      comparisons: [],
      notCompared: [{ target: 'staging', reason: 'STAGING_MONGODB_URI is not set' }],
    }),
  );
  assert.equal(report.targets, {});
  assert.is(report.notCompared[0].target, 'staging');
});

test('L14: hostile data fits the schema and leaves no unseen character', async () => {
  const text = (await piecesOf(hostileReview())).join('');
  validate(JSON.parse(text));
  assert.equal(validate.errors ?? [], []);
  assert.not.match(text.replaceAll('\n', ''), /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u);
  assert.ok(text.length < 200_000, `a 1 MB string was not cut: ${text.length}`);
});

test('documents that replace or stop an apply are counted by what the plan says', async () => {
  const documents = [compared(), compared({ class: 'stale' }), compared({ class: 'different' })];
  const [comparison] = smallReview().comparisons;
  const report = await jsonOf(
    smallReview({
      comparisons: [
        {
          ...(comparison as NonNullable<typeof comparison>),
          collections: [
            collectionOf('artworks', documents, { whenMatched: 'replace' }),
            collectionOf('partners', documents, { whenMatched: 'fail' }),
            collectionOf('sale_artworks', documents),
          ],
        },
      ],
    }),
  );
  assert.is(report.targets.staging.replaced, 2);
  assert.is(report.targets.staging.failed, 2);
});

test('the report is written in pieces, of bounded length', async () => {
  const longest = Math.max(...(await piecesOf(bigReview(5000))).map((piece) => piece.length));
  assert.ok(longest < 300_000, String(longest));
});

test('the format follows the file name', async () => {
  assert.is(reportFormatOf('review.JSON'), 'json');
  assert.is(reportFormatOf('a.html/b.md'), 'md');
  assert.is(reportFormatOf('review.txt'), undefined);
  assert.is(reportFormatOf('html'), undefined);
});

test.run();
