/** A report opened in a browser as a reviewer would: from a file. Whatever it should not do is noted down. */
import { closeSync, openSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Locator, Page } from 'playwright-core';
import { buildReport, type ReportInput } from '../../src/report/report-model.ts';
import { writeReport } from '../../src/report/write-report.ts';
import { temporaryFolder } from '../lab/guard.ts';

export interface ReportPage {
  readonly page: Page;
  /** Milliseconds from the start of loading until documents are on the screen. */
  readonly openMs: number;
  /** Bytes of the file. */
  readonly size: number;
  /** Content-Security-Policy violations, errors, console messages and requests, all of which there should be none. */
  readonly faults: readonly string[];
  readonly rows: Locator;
  readonly search: Locator;
  readonly shown: Locator;
  /** Calls one of probes.js in the page: `frame()`. */
  probe<T>(call: string): Promise<T>;
  close(): Promise<void>;
}

/** Writes a report of `input` and opens it. */
export async function openReport(browser: Browser, input: ReportInput): Promise<ReportPage> {
  const folder = temporaryFolder('report');
  const file = join(folder.path, 'report.html');
  await writeFile(file, input);
  const report = await openReportFile(browser, file);
  return {
    ...report,
    async close() {
      await report.close();
      folder.remove();
    },
  };
}

/** Opens a report that was written before. */
export async function openReportFile(browser: Browser, file: string): Promise<ReportPage> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  await page.addInitScript({ path: join(import.meta.dirname, 'probes.js') });
  const faults: string[] = [];
  page.on('console', (message) => faults.push(`console: ${message.text()}`));
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => faults.push(`dialog: ${dialog.message()}`));
  page.on('request', (request) => {
    if (request.url() !== pathToFileURL(file).href) faults.push(`request: ${request.url()}`);
  });
  const start = performance.now();
  await page.goto(pathToFileURL(file).href);
  await page.locator('#shown:not(:empty)').waitFor();
  return {
    ...{ page, openMs: performance.now() - start, size: statSync(file).size, faults },
    rows: page.locator('#rows > .row'),
    search: page.locator('#search'),
    shown: page.locator('#shown'),
    probe: (call) => page.evaluate(`probes.${call}`),
    close: () => page.close(),
  };
}

async function writeFile(file: string, input: ReportInput): Promise<void> {
  const descriptor = openSync(file, 'w');
  for await (const piece of writeReport('html', buildReport(input))) writeSync(descriptor, piece);
  closeSync(descriptor);
}
