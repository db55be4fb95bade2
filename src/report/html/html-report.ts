/**
 * The report as one HTML page that needs no network: summary, graph and facts as plain markup, the documents as data that
 * the page's script shows a screenful at a time. Its Content-Security-Policy lets nothing run or load but what is named by hash.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { FieldChange } from '../../comparison/comparison.ts';
import { ATTENTION_ORDER, COMPARED } from '../../outcomes.ts';
import { packageFile } from '../../package-file.ts';
import { HELD_BACK } from '../document-classes.ts';
import { pastText } from '../oplog-told.ts';
import type { ReportDocument } from '../report-documents.ts';
import type { Report, ReportCollection } from '../report-model.ts';
import { graphPart } from './graph.ts';
import { Html, html, scriptJson } from './html.ts';
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

// The documents as the page's script reads them (page/data.js): NDJSON in script elements that do not run, one array for each document. The
// script cuts the text into lines and parses only those that are on the screen.

/** Characters in one script element: few enough to parse while the page is drawn, many enough to keep elements few. */
const CHUNK = 1_000_000;

/**
 * Characters of all documents together. A browser opens this much in less than two seconds; documents beyond it are listed
 * without their content.
 */
const BUDGET = 100_000_000;

/** Documents. A browser draws nothing higher than 33 million pixels, and a row takes 34. */
const ROWS = 500_000;

/** Targets, collections and classes by the numbers that rows use for them. */
function dataHead(report: Report): string {
  return scriptJson({
    targets: report.targets.map(({ target }) => target),
    collections: report.targets.map(({ collections }) => collections.map(({ into }) => into)),
    classes: ATTENTION_ORDER.map((id) => {
      const { symbol, one: name, meaning } = COMPARED[id];
      return { id, symbol, name, meaning };
    }),
    heldBack: HELD_BACK[report.documents] ?? null,
    compared: report.targets.reduce((sum, { collections }) => sum + selectedOf(collections), 0),
  });
}

function selectedOf(collections: readonly ReportCollection[]): number {
  return collections.reduce((sum, { selected }) => sum + selected, 0);
}

async function* documentChunks(report: Report): AsyncGenerator<string> {
  let written = 0;
  let count = 0;
  let left = 0;
  for await (const row of rows(report)) {
    if (count++ === ROWS) break;
    const whole = scriptJson(row);
    const text = written + whole.length <= BUDGET ? whole : scriptJson(withoutContent(row));
    if (left <= 0) {
      yield `${written === 0 ? '' : END}<script type="application/x-ndjson" class="documents">\n`;
      left = CHUNK;
    }
    yield `${text}\n`;
    written += text.length;
    left -= text.length;
  }
  if (written > 0) yield END;
}

const END = '</script>\n';

/** [target, collection, class, _id, reason, differences, in the backup, in the target, differences left out, changes, changes left out]; the first three are numbers. */
type Row = readonly [
  target: number,
  collection: number,
  documentClass: number,
  id: string,
  reason: string,
  /** [path, in the backup, in the target, type in the backup, type in the target]; null = absent. */
  differences: readonly (readonly (string | null)[])[],
  /** null: left out of the page. */
  backup: string | null,
  /** null: absent, or left out; true: the same text as in the backup. */
  target: string | true | null,
  differencesLeftOut: number,
  /** Of a document that was changed, in the place of `differences`: [path, before, right after, now, type before, right after, now]; null = absent. */
  changes?: readonly (readonly (string | null)[])[],
  changesLeftOut?: number,
];

/** What needs an eye comes first, so that it is never what is left out. */
async function* rows(report: Report): AsyncGenerator<Row> {
  for (const documentClass of ATTENTION_ORDER) {
    for (const [target, { collections }] of report.targets.entries()) {
      for (const [collection, { documents }] of collections.entries()) {
        for await (const document of documents(documentClass)) yield rowOf(document, [target, collection]);
      }
    }
  }
}

function rowOf(document: ReportDocument, [target, collection]: readonly [number, number]): Row {
  const { changes, changesLeftOut = 0 } = document;
  const differences = (changes === undefined ? document.differences : []).map(({ path, ...sides }) => [
    path,
    sides.backup ?? null,
    sides.target ?? null,
    sides.backupType ?? null,
    sides.targetType ?? null,
  ]);
  const row = [
    target,
    collection,
    ATTENTION_ORDER.indexOf(document.class),
    document.id,
    [document.reason, document.oplog && pastText(document.oplog)].filter(Boolean).join('; '),
    differences,
    document.backup ?? null,
    document.target !== undefined && document.target === document.backup ? true : (document.target ?? null),
    changes === undefined ? document.differencesLeftOut : 0,
  ] as const;
  return changes === undefined ? row : [...row, changes.map(changeCells), changesLeftOut];
}

function changeCells({ path, before, after, now, ...types }: FieldChange): (string | null)[] {
  const { beforeType, afterType, nowType } = types;
  return [path, ...[before, after, now, beforeType, afterType, nowType].map((text) => text ?? null)];
}

function withoutContent([target, collection, documentClass, id, reason, ...content]: Row): Row {
  const [differences, , , leftOut, changes, changesLeftOut] = content;
  const paths = (fields: readonly (readonly (string | null)[])[]): (string | null)[][] =>
    fields.map(([path, ...values]) => [path ?? null, ...values.map(() => null)]);
  const row = [
    target,
    collection,
    documentClass,
    id,
    reason,
    paths(differences),
    null,
    null,
    leftOut,
  ] as const;
  return changes === undefined ? row : [...row, paths(changes), changesLeftOut ?? 0];
}
