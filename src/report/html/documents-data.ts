/**
 * The documents as the page's script reads them (page/data.js): NDJSON in script elements that do not run, one
 * array for each document. The script cuts the text into lines and parses only those that are on the screen.
 */
import type { DocumentClass } from '../../comparison/comparison.ts';
import { CLASS_WORDS, CLASSES } from '../document-classes.ts';
import type { ReportDocument } from '../report-documents.ts';
import type { Report, ReportCollection } from '../report-model.ts';
import { scriptJson } from './html.ts';

/** Characters in one script element: few enough to parse while the page is drawn, many enough to keep elements few. */
const CHUNK = 1_000_000;

/**
 * Characters of all documents together. A browser opens this much in less than two seconds; documents beyond it, in the
 * order of the report, are listed without their content. Half is kept for those that need an eye.
 */
const BUDGET = 100_000_000;
const CALM_BUDGET = BUDGET / 2;

const CALM: ReadonlySet<DocumentClass | undefined> = new Set<DocumentClass>(['insert', 'identical']);

/** Targets, collections and classes by the numbers that rows use for them. */
export function dataHead(report: Report): string {
  return scriptJson({
    targets: report.targets.map(({ target }) => target),
    collections: report.targets.map(({ collections }) => collections.map(({ into }) => into)),
    classes: CLASSES.map((id) => ({ id, ...CLASS_WORDS[id] })),
    compared: report.targets.reduce((sum, { collections }) => sum + selectedOf(collections), 0),
  });
}

function selectedOf(collections: readonly ReportCollection[]): number {
  return collections.reduce((sum, { selected }) => sum + selected, 0);
}

export function* documentChunks(report: Report): Generator<string> {
  let chunk = '';
  let written = 0;
  let calm = 0;
  for (const row of rows(report)) {
    const whole = scriptJson(row);
    const isCalm = CALM.has(CLASSES[row[2]]);
    const fits = written + whole.length <= BUDGET && (!isCalm || calm + whole.length <= CALM_BUDGET);
    const text = fits ? whole : scriptJson(withoutContent(row));
    written += text.length;
    if (isCalm) calm += text.length;
    chunk += `${text}\n`;
    if (chunk.length >= CHUNK) {
      yield element(chunk);
      chunk = '';
    }
  }
  if (chunk !== '') yield element(chunk);
}

function element(chunk: string): string {
  return `<script type="application/x-ndjson" class="documents">\n${chunk}</script>\n`;
}

/** [target, collection, class, _id, reason, differences, in the backup, in the target, differences left out]; the first three are numbers. */
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
];

function* rows(report: Report): Generator<Row> {
  for (const [target, { collections }] of report.targets.entries()) {
    for (const [collection, { documents }] of collections.entries()) {
      for (const document of documents()) yield rowOf(document, [target, collection]);
    }
  }
}

function rowOf(document: ReportDocument, [target, collection]: readonly [number, number]): Row {
  const differences = document.differences.map(({ path, ...sides }) => [
    path,
    sides.backup ?? null,
    sides.target ?? null,
    sides.backupType ?? null,
    sides.targetType ?? null,
  ]);
  return [
    target,
    collection,
    CLASSES.indexOf(document.class),
    document.id,
    document.reason,
    differences,
    document.backup,
    document.target === document.backup ? true : (document.target ?? null),
    document.differencesLeftOut,
  ];
}

function withoutContent([target, collection, documentClass, id, reason, differences, , , leftOut]: Row): Row {
  const paths = differences.map(([path]) => [path ?? null, null, null, null, null]);
  return [target, collection, documentClass, id, reason, paths, null, null, leftOut];
}
