/** `plan dry-run --report` end to end: real differences in a real target, written by the real command, read as a reviewer would. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { CANARY_PASSWORD, type Lab, openLab } from '../lab/lab.ts';
import { jsonLines } from '../lab/plan-command.ts';
import { openBrowser } from '../report/chromium.ts';
import { openReportFile } from '../report/report-page.ts';
import { createIncident, type Incident } from './incident.ts';

const SCHEMA = new URL('../../schemas/dry-run-report.schema.json', import.meta.url);
const FILES = ['review.html', 'review.md', 'review.json'] as const;
/** Stands in a masked field of the target. */
const MASKED_CANARY = 'masked-canary-7f3a';
const HOSTILE =
  '\u001b]8;;http://evil\u0007\n::error::pwned\u202e</script><script>window.owned = 1</script>|```';

let lab: Lab;
let incident: Incident;

test.before(async () => {
  lab = await openLab();
  incident = await createIncident(lab);
  incident.writePlan((text) => `${text}mask: [title, images.url]\n`);
  await makeDifferent();
});
test.after(async () => {
  incident.close();
  await lab.close();
});

/** One of the lost artworks is in staging again, with another medium, a masked title and hostile text. */
async function makeDifferent(): Promise<void> {
  const run = await incident.run(['dry-run', 'plan.yaml', '--report', 'first.json']);
  assert.is(run.exitCode, 0, run.stderr);
  const first = JSON.parse(read('first.json')).targets.staging.collections[1].documents[0];
  const { ObjectId } = await import('bson');
  const _id = new ObjectId(JSON.parse(first.id).$oid);
  const artwork = { _id, title: MASKED_CANARY, medium: 'Neon', description: HOSTILE, [HOSTILE]: 1 };
  await incident.staging.collection('artworks').insertOne(artwork);
}

const read = (file: string): string => readFileSync(join(incident.folder, file), 'utf8');

test('L15: all three reports of one run tell the same, hide what is masked and hold no secret', async () => {
  const reports = FILES.flatMap((file) => ['--report', file]);
  const { exitCode, stderr } = await incident.run(['dry-run', 'plan.yaml', '--full', ...reports]);
  assert.is(exitCode, 0, stderr);
  for (const file of FILES) {
    assert.not.ok(read(file).includes(MASKED_CANARY), file);
    assert.not.ok(read(file).includes(CANARY_PASSWORD), file);
    assert.not.ok(read(file).includes('images.example.net'), file);
    assert.match(read(file), '[masked]');
  }
  const validate = new Ajv().compile(JSON.parse(readFileSync(SCHEMA, 'utf8')));
  const report = JSON.parse(read('review.json'));
  validate(report);
  assert.equal(validate.errors ?? [], []);
  const [, artworks] = report.targets.staging.collections;
  assert.equal([artworks.selected, artworks.insert, artworks.different], [100, 99, 1]);
  assert.is(artworks.documents.length, 100);
  const differences: readonly { path: string; backup: string; target: string }[] =
    artworks.documents[0].differences;
  assert.is(differences.find(({ path }) => path === 'title')?.target, '"[masked]"');
  assert.is(differences.find(({ path }) => path === 'medium')?.target, '"Neon"');

  const markdown = read('review.md');
  assert.ok(markdown.length < 65_536);
  assert.match(markdown, /\| staging \| `artworks` \| 99 \| · \| \*\*1\*\* \|/);
  assert.match(markdown, '- medium: "Neon"');
  assert.not.match(markdown, /^\s*::/m);
});

test('a report is also written without --full, and beside --json', async () => {
  const { exitCode, stdout } = await incident.run([
    ...['dry-run', 'plan.yaml', '--report', 'short.json', '--json'],
  ]);
  assert.is(exitCode, 0);
  assert.ok(jsonLines(stdout).some(({ type }) => type === 'report'));
  assert.is(JSON.parse(read('short.json')).targets.production.collections[1].documents.length, 100);
});

test('a report that cannot be written is named, after the page', async () => {
  const run = await incident.run(['dry-run', 'plan.yaml', '--report', 'plan.yaml/review.md']);
  assert.is(run.exitCode, 1);
  assert.match(run.stdout, /collection +selected/);
  assert.match(run.stderr, /error: the report plan\.yaml\/review\.md could not be written: /);
});

test('a report of an unknown kind is refused before anything is read', async () => {
  const { exitCode, stderr } = await incident.run(['dry-run', 'plan.yaml', '--report', 'review.pdf']);
  assert.is(exitCode, 11);
  assert.match(stderr, '.html, .md or .json');
});

const opened = await openBrowser();
if ('reason' in opened) test.skip('the HTML report in a browser', opened.reason);
else {
  test.after(() => opened.browser.close());
  test('L14: the HTML report shows the difference side by side, and hostile text as text', async () => {
    const report = await openReportFile(opened.browser, join(incident.folder, 'review.html'));
    const { page, rows, shown } = report;
    assert.is(await shown.innerText(), '280 documents');
    await page.getByRole('button', { name: 'Show 1 document: different, staging, artworks' }).click();
    assert.is(await shown.innerText(), '1 of 280 listed documents');
    await rows.first().click();
    const detail = page.locator('.detail');
    assert.match(await detail.locator('.line.gone').allInnerTexts().then(String), '"medium": "Neon"');
    assert.match(await detail.innerText(), '</script><script>window.owned = 1</script>');
    assert.equal(await report.probe('made()'), { owned: false, elements: 0, scripts: 1 });
    assert.equal(report.faults, []);
    await report.close();
  });
}

test.run();
