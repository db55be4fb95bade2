/** Compared documents as reports show them. */
import type { ComparedDocument, DanglingReference, FieldDifference } from '../comparison/comparison.ts';
import { line, name } from './report-text.ts';

export interface ReportDocument extends ComparedDocument {
  /** Further fields that differ, beyond those in `differences`. */
  readonly differencesLeftOut: number;
}

export type ReportDangling = DanglingReference;

/** Characters. Most documents are far below; one of 16 MiB must not make a report that nobody can open. */
const LIMIT = { id: 500, path: 300, value: 2000, document: 20_000 } as const;

/** Fields. A document that differs in more is another document, and its two sides are shown as well. */
const DIFFERENCES = 200;

/** Masked values are hidden already, by the comparison. */
export async function* reportDocuments(
  documents: Iterable<ComparedDocument> | AsyncIterable<ComparedDocument>,
): AsyncGenerator<ReportDocument> {
  for await (const document of documents) {
    yield {
      class: document.class,
      id: line(document.id, LIMIT.id),
      reason: line(document.reason),
      differences: document.differences.slice(0, DIFFERENCES).map(reportDifference),
      differencesLeftOut: Math.max(0, document.differences.length - DIFFERENCES),
      backup: line(document.backup, LIMIT.document),
      target: document.target === undefined ? undefined : line(document.target, LIMIT.document),
      index: document.index,
    };
  }
}

function reportDifference({ path, backup, target, ...types }: FieldDifference): FieldDifference {
  return {
    path: line(path, LIMIT.path),
    backup: backup === undefined ? undefined : line(backup, LIMIT.value),
    target: target === undefined ? undefined : line(target, LIMIT.value),
    ...types,
  };
}

export function reportDangling(reference: DanglingReference): ReportDangling {
  return {
    id: line(reference.id, LIMIT.id),
    field: line(reference.field, LIMIT.path),
    collection: name(reference.collection),
    missing: line(reference.missing, LIMIT.id),
  };
}
