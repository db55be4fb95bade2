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

const MASKED = '"[masked]"';

/** Texts of documents and values come masked from the comparison; this hides what stands outside of them. */
export async function* reportDocuments(
  documents: Iterable<ComparedDocument> | AsyncIterable<ComparedDocument>,
  mask: readonly string[],
): AsyncGenerator<ReportDocument> {
  const hidesId = hides(mask, '_id');
  for await (const document of documents) {
    yield {
      class: document.class,
      id: hidesId ? MASKED : line(document.id, LIMIT.id),
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

export function reportDangling(reference: DanglingReference, mask: readonly string[]): ReportDangling {
  return {
    id: hides(mask, '_id') ? MASKED : line(reference.id, LIMIT.id),
    field: line(reference.field, LIMIT.path),
    collection: name(reference.collection),
    missing: hides(mask, reference.field) ? MASKED : line(reference.missing, LIMIT.id),
  };
}

/** Whether any part of the value at `path` is to be hidden: the masked path is the same, lies above it or inside it. */
function hides(mask: readonly string[], path: string): boolean {
  return mask.some(
    (masked) => masked === path || path.startsWith(`${masked}.`) || masked.startsWith(`${path}.`),
  );
}
