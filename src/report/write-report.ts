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

/** The report's text (UTF-8 when written), in pieces: a page of 100,000 documents should never be one string. */
export function writeReport(format: ReportFormat, report: Report): Iterable<string> {
  switch (format) {
    case 'json':
      return jsonReport(report);
    case 'md':
      return [markdownReport(report)];
    case 'html':
      return htmlReport(report);
  }
}
