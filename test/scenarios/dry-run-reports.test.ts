/** `plan dry-run --report` end to end: real differences in a real target, written by the real command, read as a reviewer would. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { EJSON, ObjectId } from 'bson';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { LOST_PARTNER } from '../lab/art-market.ts';
import { CANARY_PASSWORD, type Lab, openLab } from '../lab/lab.ts';
import { jsonLines } from '../lab/plan-command.ts';
import { openBrowser, whyNoBrowser } from '../report/chromium.ts';
import { openReportFile } from '../report/report-page.ts';
import { createIncident, type Incident } from './incident.ts';
import { checkedStream } from './json-stream.ts';

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
  const run = await incident.call(['dry-run', 'plan.yaml', '--report', 'first.json']);
  assert.is(run.exitCode, 0, run.stderr);
  const first = JSON.parse(read('first.json')).targets.staging.collections[1].documents[0];
  const _id = new ObjectId(JSON.parse(first.id).$oid);
  const artwork = { _id, title: MASKED_CANARY, medium: 'Neon', description: HOSTILE, [HOSTILE]: 1 };
  await incident.staging.collection('artworks').insertOne(artwork);
}

const read = (file: string): string => readFileSync(join(incident.folder, file), 'utf8');

test('L15: all three reports of one run tell the same, hide what is masked and hold no secret', async () => {
  const reports = FILES.flatMap((file) => ['--report', file]);
  const { exitCode, stderr } = await incident.call(['dry-run', 'plan.yaml', '--full', ...reports]);
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

test('documents are objects in JSON: what a program reads of them is the document', async () => {
  const { stdout } = await incident.call(['dry-run', 'plan.yaml', '--json', '--report', 'objects.json']);
  const lines = checkedStream(stdout).filter(({ type }) => type === 'document');
  const line = lines.find((each) => each['class'] === 'different');
  const [, artworks] = JSON.parse(read('objects.json')).targets.staging.collections;
  for (const { backup, existing, exact } of [
    line as { backup: unknown; existing: { medium: string }; exact: unknown },
    { ...artworks.documents[0], existing: artworks.documents[0].target },
  ]) {
    assert.is(exact, undefined);
    assert.is(existing.medium, 'Neon');
    const parsed = EJSON.deserialize(backup as object, { relaxed: false }) as {
      _id: ObjectId;
      slug: unknown;
    };
    assert.ok(parsed._id instanceof ObjectId);
    assert.type(parsed.slug, 'string');
  }
});

test('a report tells no more of documents than the plan, the option, or both allow', async () => {
  const files = ['told.html', 'told.md', 'told.json'];
  const reports = files.flatMap((file) => ['--report', file]);
  const told = async (
    ...more: readonly string[]
  ): Promise<{ text: string; report: { documents: string } }> => {
    const run = await incident.call(['dry-run', 'plan.yaml', '--full', '--quiet', ...reports, ...more]);
    assert.is(run.exitCode, 0, run.stderr);
    assert.match(run.stdout, 'Neon');
    const report = JSON.parse(read('told.json'));
    const validate = new Ajv().compile(JSON.parse(readFileSync(SCHEMA, 'utf8')));
    validate(report);
    assert.equal(validate.errors ?? [], []);
    return { text: files.map(read).join(''), report };
  };
  const masked = await told('--report-documents', 'masked');
  assert.is(masked.report.documents, 'masked');
  for (const value of ['Neon', 'Oil on canvas']) assert.not.ok(masked.text.includes(value), value);
  assert.match(masked.text, '"medium":"[masked]"');
  assert.match(masked.text, 'This report hides the values of documents.');

  const ids = await told('--report-documents', 'ids');
  for (const text of ['Neon', 'Oil on canvas', 'evil', 'medium', 'description', '"partner_id":']) {
    assert.not.ok(ids.text.includes(text), text);
  }
  assert.match(ids.text, LOST_PARTNER.toHexString());

  incident.writePlan((text) => `${text}mask: [title, images.url]\nreport: { documents: none }\n`);
  const none = await told('--report-documents', 'whole');
  assert.is(none.report.documents, 'none');
  assert.not.ok(read('told.md').includes(LOST_PARTNER.toHexString()));
  assert.match(none.text, 'This report lists no documents, only counts.');
  incident.writePlan((text) => `${text}mask: [title, images.url]\n`);
});

test('reports are as private as the selection, unless told otherwise', async () => {
  const mode = (file: string): string => (statSync(join(incident.folder, file)).mode & 0o777).toString(8);
  writeFileSync(join(incident.folder, 'old.md'), 'made by an older version', { mode: 0o644 });
  const private_ = ['dry-run', 'plan.yaml', '--report', 'new.json', '--report', 'old.md'];
  assert.is((await incident.call(private_)).exitCode, 0);
  assert.equal([mode('new.json'), mode('old.md')], ['600', '600']);
  assert.is((await incident.call([...private_, '--report-mode', '644'])).exitCode, 0);
  assert.equal([mode('new.json'), mode('old.md')], ['644', '644']);
  const wrong = await incident.call([...private_, '--report-mode', 'rw']);
  assert.is(wrong.exitCode, 11);
  assert.match(wrong.stderr, 'three octal digits');
});

test('into a pipe, --full writes whole lines', async () => {
  const { stdout } = await incident.call(['dry-run', 'plan.yaml', '--full', '--quiet']);
  const inserted = stdout.split('\n').filter((line) => line.startsWith('+ {'));
  assert.ok(inserted.length > 200);
  for (const line of inserted) JSON.parse(line.slice(2));
  assert.match(stdout, /^ {4}target description: ".*evil.*```"$/m);
});

test('a report is also written without --full, and beside --json', async () => {
  const { exitCode, stdout } = await incident.call([
    ...['dry-run', 'plan.yaml', '--report', 'short.json', '--json'],
  ]);
  assert.is(exitCode, 0);
  assert.ok(jsonLines(stdout).some(({ type }) => type === 'report'));
  assert.is(JSON.parse(read('short.json')).targets.production.collections[1].documents.length, 100);
});

test('a report that cannot be written is named, after the page', async () => {
  const run = await incident.call(['dry-run', 'plan.yaml', '--report', 'plan.yaml/review.md']);
  assert.is(run.exitCode, 1);
  assert.match(run.stdout, /collection +selected/);
  assert.match(run.stderr, /error: the report plan\.yaml\/review\.md could not be written: /);
});

test('a report of an unknown kind is refused before anything is read', async () => {
  const { exitCode, stderr } = await incident.call(['dry-run', 'plan.yaml', '--report', 'review.pdf']);
  assert.is(exitCode, 11);
  assert.match(stderr, '.html, .md or .json');
});

const missing = whyNoBrowser();
if (missing !== undefined) test.skip('the HTML report in a browser', missing);
else
  test('L14: the HTML report shows the difference side by side, and hostile text as text', async () => {
    const browser = await openBrowser();
    const report = await openReportFile(browser, join(incident.folder, 'review.html'));
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
    await browser.close();
  });

test.run();
