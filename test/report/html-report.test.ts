import type { Browser } from 'playwright-core';
import * as assert from 'uvu/assert';
import type { ReportInput } from '../../src/report/report-model.ts';
import { test } from '../harness.ts';
import { openBrowser, whyNoBrowser } from './chromium.ts';
import { hostileReview } from './hostile.ts';
import { openReport, type ReportPage } from './report-page.ts';
import { bigReview, collectionOf, compared, smallReview } from './review.ts';

const missing = whyNoBrowser();
let browser: Browser;
if (missing === undefined)
  test.before(async () => {
    browser = await openBrowser();
  });
test.after(() => browser?.close());

/** A test on an opened report; that nothing was requested, blocked or logged is part of each. */
function pageTest(name: string, input: () => ReportInput, body: (report: ReportPage) => Promise<void>): void {
  if (missing !== undefined) {
    test.skip(name, missing);
    return;
  }
  test(
    name,
    async () => {
      const report = await openReport(browser, input());
      try {
        await body(report);
        assert.equal(report.faults, []);
      } finally {
        await report.close();
      }
    },
    { deadlineMs: 120_000 },
  );
}

pageTest(
  'the page says what would happen, to which target, from which backup',
  smallReview,
  async ({ page, shown }) => {
    const text = await page.locator('main').innerText();
    assert.match(text, 'nothing was written to any target');
    assert.match(text, 'backup of 2016-09-13 08:00:00 America/New_York = 2016-09-13T12:00:00Z, 1 h before');
    assert.match(text, /staging\n+gravity-staging.*\n+\+53 inserts\n+✓ nothing in the way/);
    assert.match(text, /\+34 inserts, =\d+ there already, ≠8 kept/);
    assert.match(text, '⚠ !3 conflicts · ×2 refused · ↑3 stale · ?1 dangling reference');
    assert.match(
      (await page.locator('svg.graph').getAttribute('aria-label')) ?? '',
      'sale_artworks belongs to artworks by artwork_id',
    );
    assert.is(await shown.innerText(), '106 documents');
  },
);

pageTest(
  'a count of the summary shows its documents; filters narrow, clear and say when nothing is left',
  smallReview,
  async (report) => {
    const { page, rows, shown, search } = report;
    await page.getByRole('button', { name: 'Show 3 documents: different, production, artworks' }).click();
    assert.is(await shown.innerText(), '3 of 106 listed documents');
    assert.is(await rows.count(), 3);
    assert.match(
      await rows.first().innerText(),
      /different\s+production\s+artworks\s+57d179930000000000000003\s+medium, price\.amount/,
    );

    await page.getByRole('button', { name: 'Clear filters' }).click();
    await page.locator('#target').selectOption('staging');
    assert.is(await shown.innerText(), '53 of 106 listed documents');
    await page.locator('#collection').selectOption('sale_artworks');
    assert.is(await shown.innerText(), '12 of 106 listed documents');
    await page.locator('#target').selectOption('');
    assert.is(await shown.innerText(), '24 of 106 listed documents');
    await page.locator('#classes').getByRole('button', { name: 'conflict' }).click();
    assert.is(await shown.innerText(), 'No document matches these filters.');
    await page.getByRole('button', { name: 'Clear filters' }).click();

    await search.fill('  OIL on Linen ');
    assert.is(await shown.innerText(), '3 of 106 listed documents');
    await search.fill('"amount":1203');
    assert.is(await shown.innerText(), '2 of 106 listed documents');
    await search.fill('łódź');
    const lodz = await shown.innerText();
    await search.fill('ŁÓDŹ');
    assert.is(await shown.innerText(), lodz);
    assert.not.match(lodz, 'No document');
  },
);

pageTest(
  'an opened document shows its fields and both sides, line by line',
  smallReview,
  async ({ page, search, rows }) => {
    await search.fill('57d179930000000000000003');
    await page.locator('#target').selectOption('production');
    await rows.first().click();
    const detail = page.locator('.detail');
    assert.match(await detail.innerText(), /price\.amount\s+900\.0 double\s+1203 int/);
    const lines = (change: string) => detail.locator(`.line.${change}`).allInnerTexts();
    assert.equal(await lines('gone'), ['  "medium": "Oil on linen",', '    "amount": 900,']);
    assert.equal(await lines('come'), ['  "medium": "Oil on canvas",', '    "amount": 1203,']);
    const shown = (await lines('same')).length;
    const fold = detail.getByRole('button', { name: 'equal lines' });
    const folded = Number.parseInt((await fold.innerText()).replace('⋯', ''), 10);
    await fold.click();
    assert.is((await lines('same')).length, shown + 2 * folded);
    await rows.first().click();
    assert.is(await detail.count(), 0);
  },
);

pageTest(
  'of a changed document three states stand side by side, and below each other on a narrow screen',
  () => {
    const types = { beforeType: undefined, afterType: undefined, nowType: undefined };
    const change = { path: 'price.amount', before: '1203', after: '0', now: undefined, ...types };
    const changed = compared({
      class: 'different',
      target: '{"_id":1}',
      changes: [change],
      changesLeftOut: 2,
    });
    const collections = [collectionOf('artworks', [changed])];
    return smallReview({
      comparisons: [{ target: 'production', database: 'gravity', server: '', collections }],
    });
  },
  async ({ page, rows }) => {
    await rows.first().click();
    const table = page.locator('.detail .fields');
    assert.equal(await table.locator('thead th').allInnerTexts(), [
      ...['Field', 'Before the change', 'Right after it', 'In the target now'],
    ]);
    const cells = table.locator('tbody').locator('th, td');
    assert.equal(await cells.allInnerTexts(), ['price.amount', '1203', '0', 'absent']);
    assert.match(await page.locator('.detail').innerText(), /2 more fields differ/);
    const tops = async (): Promise<number> =>
      new Set(await cells.evaluateAll((all) => all.map((cell) => cell.getBoundingClientRect().top))).size;
    assert.is(await tops(), 1);
    await page.setViewportSize({ width: 420, height: 900 });
    assert.is(await tops(), 4);
    const widths = await cells.evaluateAll((all) => all.map((cell) => cell.getBoundingClientRect().width));
    assert.ok(
      widths.every((width) => width > 200),
      String(widths),
    );
  },
);

pageTest(
  'everything can be done from the keyboard',
  smallReview,
  async ({ page, search, shown, rows, probe }) => {
    const active = () => page.locator('.row.active').getAttribute('aria-rowindex');
    const focused = () => probe<string>('focused()');
    const isOutlined = () => probe<boolean>('isOutlined()');
    await page.keyboard.press('/');
    assert.is(await focused(), 'search');
    assert.ok(await isOutlined());
    await page.keyboard.type('artworks are not found like this');
    assert.is(await shown.innerText(), 'No document matches these filters.');
    await page.keyboard.press('Escape');
    assert.is(await search.inputValue(), '');
    await page.keyboard.press('ArrowDown');
    assert.is(await focused(), 'grid');
    assert.ok(await isOutlined());
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowUp');
    assert.is(await active(), '3');
    assert.is(await page.locator('#grid').getAttribute('aria-activedescendant'), 'row-1');
    await page.keyboard.press('Enter');
    assert.is(await page.locator('#row-1').getAttribute('aria-expanded'), 'true');
    await page.keyboard.press('Tab');
    assert.is(await focused(), 'detail');
    await page.keyboard.press('Escape');
    assert.is(await focused(), 'grid');
    assert.is(await page.locator('.detail').count(), 0);
    await page.keyboard.press('End');
    assert.is(await active(), '107');
    assert.ok(await rows.last().isVisible());
    await page.keyboard.press('PageUp');
    await page.keyboard.press('Home');
    assert.is(await active(), '2');
  },
);

pageTest(
  'L14: hostile data is only ever text',
  hostileReview,
  async ({ page, rows, search, shown, probe }) => {
    assert.is(await shown.innerText(), '32 documents');
    for (let index = 0; index < 12; index++) {
      await rows.nth(index).click();
      await page.keyboard.press('Escape');
    }
    await search.fill('</script><script>');
    assert.is(await shown.innerText(), '2 of 32 listed documents');
    await rows.first().click();
    assert.match(await page.locator('.detail').innerText(), '</script><script>window.owned = true</script>');
    assert.equal(await probe('made()'), { owned: false, elements: 0, scripts: 1 });
    assert.ok((await probe<number>('excessWidth()')) <= 0, 'the page is wider than the window');
  },
);

pageTest(
  'without documents or targets the page says so',
  () =>
    smallReview({
      comparisons: [],
      notCompared: [{ target: 'staging', reason: 'the variable STAGING_MONGODB_URI is not set' }],
    }),
  async ({ page, shown }) => {
    assert.is(await shown.innerText(), 'There are no documents to show.');
    assert.match(
      await page.locator('.card.absent').innerText(),
      'Not compared. the variable STAGING_MONGODB_URI is not set',
    );
    assert.not.ok(await page.locator('#filters').isVisible());
    assert.not.ok(await page.locator('#grid').isVisible());
  },
);

pageTest(
  'text can be read on every background, by day and by night',
  smallReview,
  async ({ page, probe }) => {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      const weak = await probe('weakContrasts()');
      assert.equal(weak, [], colorScheme);
    }
  },
);

pageTest(
  'on paper the shown documents are written out and nothing is folded',
  smallReview,
  async ({ page, probe }) => {
    await page.getByRole('button', { name: 'Show 3 documents: different, production, artworks' }).click();
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
    await page.locator('#print article').first().waitFor();
    assert.is(await page.locator('#print article').count(), 3);
    assert.match(await page.locator('#print').innerText(), /price\.amount\s+900\.0 double\s+1203 int/);
    assert.ok(await page.getByText('57c0ffee0000000000000001').isVisible());
    assert.not.ok(await page.locator('#grid').isVisible());
    assert.is(await probe('inkColour()'), 'rgb(28, 31, 35)');
    assert.ok((await page.pdf()).length > 10_000);
    await page.emulateMedia({ media: 'screen' });
    assert.is(await page.locator('#print article').count(), 0);
    assert.is(await page.locator('details[open]').count(), 0);
  },
);

/** A page of 100,000 opened in 2 s when they were last asked for. */
const MANY = 25_600;

/** Far above what is measured, so that a busy machine does not fail: 2 s and 200 ms are what a reviewer should see. */
const PATIENCE = { openMs: 15_000, filterMs: 2000 };

pageTest(
  'tens of thousands of documents open, filter and scroll without delay',
  () => bigReview(MANY),
  async (report) => {
    const { page, rows, openMs, size, probe } = report;
    process.stdout.write(`${MANY} documents, ${(size / 1e6).toFixed(0)} MB: open ${openMs.toFixed(0)} ms\n`);
    assert.ok(openMs < PATIENCE.openMs, `${openMs} ms to open`);
    for (const [text, expected] of SEARCHES) {
      const ms = await probe<number>(`timedSearch(${JSON.stringify(text)})`);
      const shown = await report.shown.innerText();
      process.stdout.write(`filter "${text}": ${ms.toFixed(0)} ms, ${shown}\n`);
      assert.is(shown, expected);
      assert.ok(ms < PATIENCE.filterMs, `${ms} ms to filter`);
    }
    const slowest = await probe<number>('scrollThrough()');
    process.stdout.write(`scroll: slowest of 60 frames ${slowest.toFixed(0)} ms\n`);
    assert.ok((await rows.count()) < 60, 'only what is on the screen exists');
    await page.locator('#grid').focus();
    await page.keyboard.press('End');
    assert.match(await rows.last().innerText(), /there already\s+production/);
    assert.is(await page.locator('.row.active').getAttribute('aria-rowindex'), String(MANY + 1));
  },
);

const SEARCHES = [
  ['oil on linen', '1,600 of 25,600 listed documents'],
  ['e', '25,600 of 25,600 listed documents'],
  ['57d1799300000000000063ff', '1 of 25,600 listed documents'],
  ['nowhere to be found', 'No document matches these filters.'],
  ['', '25,600 documents'],
] as const;

test.run();
