/** Written reports of a dry-run, for `plan dry-run --report`. */
import { htmlReport } from './html/html-report.ts';
import { jsonReport } from './json-report.ts';
import { markdownReport } from './markdown/markdown.ts';
import type { Report } from './report-model.ts';

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
