/** Written reports of a dry-run, for `plan dry-run --report`. */

import { ATTENTION_ORDER } from '../outcomes.ts';
import { jsonText } from '../text/escape.ts';
import { countsTold } from './document-classes.ts';
import { htmlReport } from './html/html-report.ts';
import { markdownReport } from './markdown/markdown.ts';
import { documentSides, type ReportDocument } from './report-documents.ts';
import type { Report, ReportCollection, ReportTarget } from './report-model.ts';

export type ReportFormat = 'html' | 'md' | 'json';

/** By the file's ending; undefined for any other. */
export function reportFormatOf(file: string): ReportFormat | undefined {
  const ending = /\.(html|md|json)$/i.exec(file)?.[1];
  return ending?.toLowerCase() as ReportFormat | undefined;
}

/**
 * Characters of a piece, at least: writing one document at a time would cost more than making it. Strings twice as long would
 * wait in memory for a full garbage collection.
 */
const PIECE = 64 * 1024;

/** The report's text (UTF-8 when written), in pieces: a page of 100,000 documents should never be one string. */
export async function* writeReport(format: ReportFormat, report: Report): AsyncGenerator<string> {
  let piece = '';
  for await (const text of textOf(format, report)) {
    piece += text;
    if (piece.length < PIECE) continue;
    yield piece;
    piece = '';
  }
  yield piece;
}

async function* textOf(format: ReportFormat, report: Report): AsyncGenerator<string> {
  switch (format) {
    case 'json':
      yield* jsonReport(report);
      break;
    case 'md':
      yield await markdownReport(report);
      break;
    case 'html':
      yield* htmlReport(report);
      break;
  }
}

// The report as one JSON object; schemas/dry-run-report.schema.json describes it. Written document by document.

/** Version of the shape. In 1 documents were texts. */
const FORMAT = 2;

async function* jsonReport(report: Report): AsyncGenerator<string> {
  const { targets, ...rest } = report;
  const head = { type: 'dry-run-report', format: FORMAT, ...rest };
  yield `${JSON.stringify(head, undefined, 2).slice(0, -2)},\n  "targets": {`;
  for (const [index, target] of targets.entries()) {
    yield `${index === 0 ? '' : ','}\n    `;
    yield* targetJson(target);
  }
  yield '\n  }\n}\n';
}

async function* targetJson(target: ReportTarget): AsyncGenerator<string> {
  const { target: name, database, server, outcomes, danglingReferences, collections } = target;
  const { replaced = 0, kept = 0, stopped: failed = 0 } = outcomes;
  const facts = { database, server, replaced, kept, failed, danglingReferences };
  yield `${JSON.stringify(name)}: ${opened(facts)},"collections":[`;
  for (const [index, collection] of collections.entries()) {
    yield `${index === 0 ? '' : ','}\n      `;
    yield* collectionJson(collection);
  }
  yield ']}';
}

async function* collectionJson(collection: ReportCollection): AsyncGenerator<string> {
  const { documents, counts, ...facts } = collection;
  yield `${opened({ ...facts, ...countsTold(counts) })},"documents":[`;
  let separator = '\n        ';
  for (const documentClass of ATTENTION_ORDER) {
    for await (const document of documents(documentClass)) {
      yield separator + documentJson(document);
      separator = ',\n        ';
    }
  }
  yield ']}';
}

function documentJson({ objects, backup: _, target: __, ...document }: ReportDocument): string {
  const sides = objects && documentSides(objects, document.class !== 'identical');
  return jsonText({ ...document, ...sides });
}

/** An object's text without its closing brace. */
function opened(value: object): string {
  return JSON.stringify(value).slice(0, -1);
}
