/**
 * The report as one HTML page that needs no network: summary, graph and facts as plain markup, the documents as data that
 * the page's script shows a screenful at a time. Its Content-Security-Policy lets nothing run or load but what is named by hash.
 */
import type { Report } from '../report-model.ts';
import { collectionsPart } from './collections.ts';
import { dataHead, documentChunks } from './documents-data.ts';
import { factsPart } from './facts.ts';
import { graphPart } from './graph.ts';
import { Html, html } from './html.ts';
import { overviewPart } from './overview.ts';
import { readPageFiles, sourceHash } from './page-files.ts';

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
