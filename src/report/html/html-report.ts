/**
 * The report as one HTML page that needs no network: summary, graph and facts as plain markup, the documents as data that
 * the page's script shows a screenful at a time. Its Content-Security-Policy lets nothing run or load but what is named by hash.
 */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { packageFile } from '../../package-file.ts';
import type { Report } from '../report-model.ts';
import { dataHead, documentChunks } from './documents-data.ts';
import { graphPart } from './graph.ts';
import { Html, html } from './html.ts';
import { collectionsPart, factsPart, overviewPart } from './overview.ts';

export async function* htmlReport(report: Report): AsyncGenerator<string> {
  const { template, style, script } = readPageFiles();
  const policy = [
    "default-src 'none'",
    `script-src ${sourceHash(script)}`,
    `style-src ${sourceHash(style)}`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
  const slots: Readonly<Record<string, Html>> = {
    policy: html`${policy}`,
    title: html`${report.plan.name}`,
    overview: overviewPart(report),
    collections: collectionsPart(report),
    graph: graphPart(report.graph),
    facts: factsPart(report),
    head: new Html(dataHead(report)),
    style: new Html(style),
    script: new Html(script),
  };
  for (const piece of template.split(/(\{\{[a-z]+\}\})/)) {
    const slot = /^\{\{([a-z]+)\}\}$/.exec(piece)?.[1];
    if (slot === undefined) yield piece;
    else if (slot === 'documents') yield* documentChunks(report);
    else yield (slots[slot] as Html).text;
  }
}

// The page's own files, plain HTML, CSS and JavaScript in page/ beside this file; the package carries them from there.

const FOLDER = packageFile('src/report/html/page/');

/** Put together in this order into one style sheet and one classic script. */
const STYLES = ['colours.css', 'page.css', 'summary.css', 'documents.css', 'detail.css', 'print.css'];
const SCRIPTS = ['data.js', 'filter.js', 'difference.js', 'detail.js', 'table.js', 'print.js', 'main.js'];

interface PageFiles {
  /** With `{{name}}` where the report's own parts go. */
  readonly template: string;
  readonly style: string;
  readonly script: string;
}

function readPageFiles(): PageFiles {
  return {
    template: read('page.html'),
    style: `\n${STYLES.map(read).join('\n')}`,
    script: `\n${SCRIPTS.map(read).join('\n')}`,
  };
}

function read(file: string): string {
  return readFileSync(new URL(file, FOLDER), 'utf8');
}

/** For a Content-Security-Policy; of the exact text between an inline element's tags. */
function sourceHash(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}
