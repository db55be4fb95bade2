/** Compared documents as reports show them: no more of them than the report is to tell. */
import type {
  ComparedDocument,
  DanglingReference,
  DocumentClass,
  DocumentObject,
  DocumentSides,
  FieldChange,
  FieldDifference,
} from '../comparison/comparison.ts';
import type { DocumentsTold } from '../plan/plan.ts';
import { line, name } from '../text/escape.ts';
import { reasonText } from './document-classes.ts';
import { type PastTold, pastTold } from './oplog-told.ts';

export interface ReportDocument {
  readonly class: DocumentClass;
  readonly id: string;
  readonly reason: string;
  readonly index: number;
  /** Without values where the report hides them, empty where it tells only `_id`s. */
  readonly differences: readonly FieldDifference[];
  /** Further fields that differ, beyond those in `differences`. */
  readonly differencesLeftOut: number;
  /** Of a document that was changed: before, right after, and now. Absent where that is not known, or only `_id`s are told. */
  readonly changes?: readonly FieldChange[];
  readonly changesLeftOut?: number;
  /** Text for people; undefined where the report tells only `_id`s. */
  readonly backup: string | undefined;
  /** Undefined also where the target has no such document. */
  readonly target: string | undefined;
  /** The same for programs. */
  readonly objects: DocumentSides | undefined;
  /** What the oplog by which documents were rolled forward knows of it. */
  readonly oplog?: PastTold;
}

export type ReportDangling = DanglingReference;

/** Characters. Most documents are far below; one of 16 MiB must not make a report that nobody can open. */
const LIMIT = { id: 500, path: 300, value: 2000, document: 20_000 } as const;

const MASKED = '"[masked]"';

/** Values of masked fields are hidden already, by the comparison. */
export async function* reportDocuments(
  documents: () => Iterable<ComparedDocument> | AsyncIterable<ComparedDocument>,
  told: DocumentsTold,
): AsyncGenerator<ReportDocument> {
  if (told === 'none') return;
  for await (const document of documents()) yield { ...idOf(document, told), ...contentOf(document, told) };
}

function idOf(document: ComparedDocument, told: DocumentsTold) {
  return {
    class: document.class,
    id: line(document.id, LIMIT.id),
    reason: line(told === 'whole' ? reasonText(document) : document.reason),
    index: document.index,
    ...(document.past && { oplog: pastTold(document.past) }),
  };
}

function contentOf(
  { differences, differencesLeftOut = 0, backup, target, canonical, masked, ...more }: ComparedDocument,
  told: DocumentsTold,
) {
  const { changes, changesLeftOut = 0 } = more;
  const leftOut = { differencesLeftOut };
  if (told === 'whole')
    return {
      ...leftOut,
      differences: differences.map(reportDifference),
      ...(changes && { changes: changes.map(reportChange), changesLeftOut }),
      ...{ backup: line(backup, LIMIT.document), target: target && line(target, LIMIT.document) },
      objects: canonical,
    };
  if (told === 'masked')
    return {
      ...leftOut,
      differences: differences.map((each) => reportDifference(withoutValues(each))),
      ...(changes && {
        changes: changes.map((each) => reportChange(changeWithoutValues(each))),
        changesLeftOut,
      }),
      ...{ backup: maskedText(masked?.backup), target: maskedText(masked?.target) },
      objects: masked,
    };
  const nothing = { backup: undefined, target: undefined, objects: undefined };
  return { ...nothing, differences: [], differencesLeftOut: differences.length + differencesLeftOut };
}

function maskedText(side: DocumentSides['target']): string | undefined {
  return side && line(side.text, LIMIT.document);
}

function withoutValues({ backup, target, ...rest }: FieldDifference): FieldDifference {
  return { ...rest, backup: backup && MASKED, target: target && MASKED };
}

function reportDifference({ path, backup, target, ...types }: FieldDifference): FieldDifference {
  return {
    path: line(path, LIMIT.path),
    backup: backup === undefined ? undefined : line(backup, LIMIT.value),
    target: target === undefined ? undefined : line(target, LIMIT.value),
    ...types,
  };
}

function changeWithoutValues({ before, after, now, ...rest }: FieldChange): FieldChange {
  return { ...rest, before: before && MASKED, after: after && MASKED, now: now && MASKED };
}

function reportChange({ path, before, after, now, ...types }: FieldChange): FieldChange {
  const value = (text: string | undefined): string | undefined =>
    text === undefined ? undefined : line(text, LIMIT.value);
  return {
    path: line(path, LIMIT.path),
    before: value(before),
    after: value(after),
    now: value(now),
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

/**
 * Both sides of a compared document, and where it is known what it was after a change: objects; texts with `exact: false` where a JSON parser would give out another object for either. `leftOut` counts the fields and array
 * elements of documents that are too large.
 */
export function documentSides({ backup, target, after }: DocumentSides, showsTarget: boolean) {
  const other = showsTarget ? target : undefined;
  const isExact = [backup, other, after].every((each) => each?.exact !== false);
  const side = (document: DocumentObject): unknown => (isExact ? JSON.parse(document.text) : document.text);
  const leftOut = {
    ...{ backup: backup.leftOut, target: other?.leftOut ?? 0 },
    ...(after && { after: after.leftOut }),
  };
  return {
    ...(isExact ? {} : { exact: false }),
    ...(Object.values(leftOut).some((count) => count > 0) ? { leftOut } : {}),
    backup: side(backup),
    target: other && side(other),
    ...(after && { after: side(after) }),
  };
}
