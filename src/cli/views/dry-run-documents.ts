/** The documents of a comparison, each with what differs. `-` and `+` stand only where apply will make the one into the other. */
import { createHash } from 'node:crypto';
import type {
  ComparedCollection,
  ComparedDocument,
  DanglingReference,
  FieldChange,
  FieldDifference,
  TargetComparison,
} from '../../comparison/comparison.ts';
import { DocumentSpill } from '../../comparison/target-memory.ts';
import type { TargetName } from '../../events.ts';
import { ATTENTION_ORDER, COMPARED, DANGLING, type DocumentClass, OUTCOMES } from '../../outcomes.ts';
import type { WhenMatched } from '../../plan/plan.ts';
import { LEFT_OUT, openCounts, outcomeOf, reasonText } from '../../report/document-classes.ts';
import { pastText, pastTold } from '../../report/oplog-told.ts';
import type { DryRun, ListedClass } from '../../report/report-model.ts';
import { neutral, truncated } from '../../text/escape.ts';
import { showCount, showCounted } from '../../text/quantities.ts';
import { columnsOf, fitted, type PageStyle, wrapped } from '../../text/terminal.ts';
import type { View } from '../view.ts';
import { documentObject, dryRunEnd, dryRunObject, dryRunPage } from './dry-run.ts';
import { classPaint } from './dry-run-tree.ts';

const INDENT = '    ';

/** Fields of one document that are listed; a document rewritten from top to bottom should not push the others off. */
const DIFFERENCES = 20;

/**
 * The first `most` documents of each class, except those that are the same here and there. Targets that meet the same are
 * shown once.
 */
export function* documentsOf(
  comparisons: readonly TargetComparison[],
  style: PageStyle,
  most: number,
): Generator<string> {
  for (const { targets, collection } of meetings(comparisons, most)) {
    if (collection.documents.length === 0 && collection.dangling.length === 0) continue;
    yield* documentsTitle(targets.join(' and '), collection, style);
    for (const document of collection.documents)
      yield* documentLines(document, collection.whenMatched, style);
    for (const reference of collection.dangling) yield* danglingLines(reference, style);
    yield* leftOut(collection, style);
  }
}

interface Meeting {
  readonly targets: TargetName[];
  readonly collection: ComparedCollection;
}

/** One for each collection and target; one for several targets where their documents fare alike. */
function meetings(comparisons: readonly TargetComparison[], most: number): Meeting[] {
  const found = new Map<string, Meeting>();
  for (const { target, collections } of comparisons) {
    for (const each of collections) {
      const collection = shortened(each, most);
      // Of the text itself there would be as much again as of all collections.
      const key = createHash('sha256').update(JSON.stringify(collection)).digest('base64');
      const meeting = found.get(key);
      if (meeting === undefined) found.set(key, { targets: [target], collection });
      else meeting.targets.push(target);
    }
  }
  return [...found.values()];
}

/** The same collection with only the first `most` documents of each class, and none of those that are the same. */
function shortened(collection: ComparedCollection, most: number): ComparedCollection {
  const shown = new Map<DocumentClass, number>();
  const documents = collection.documents.filter((document) => {
    const place = (shown.get(document.class) ?? 0) + 1;
    shown.set(document.class, place);
    return document.class !== 'identical' && place <= most;
  });
  return { ...collection, documents, dangling: collection.dangling.slice(0, most) };
}

export function* documentsTitle(
  targets: string,
  collection: ComparedCollection,
  style: PageStyle,
): Generator<string> {
  yield '';
  yield rule(`${targets} · ${collection.into}`, style);
}

function rule(title: string, { paint, columns }: PageStyle): string {
  const text = `── ${fitted(neutral(title), columns - 8)} `;
  return paint.strong(`${text}${'─'.repeat(Math.max(0, columns - columnsOf(text)))}`);
}

export function* documentLines(
  document: ComparedDocument,
  whenMatched: WhenMatched,
  style: PageStyle,
): Generator<string> {
  const { paint } = style;
  const { symbol, one: name } = COMPARED[document.class];
  const color = classPaint(paint, document.class);
  if (document.leftOut !== undefined) {
    const { symbol: sign, one: word } = OUTCOMES[document.leftOut];
    const paintIt = document.leftOut === 'heldBack' ? paint.bad : paint.odd;
    yield paintIt(row(`${sign} ${word} (${name}): _id ${document.id}`, style));
    if (document.reason !== '') yield* remark(reasonText(document), style);
    yield* pastLines(document, style);
    return;
  }
  if (document.class === 'insert') {
    yield color(row(`${symbol} ${document.backup}`, style));
    yield* pastLines(document, style);
    return;
  }
  yield color(row(`${symbol} ${name}${applyWords(document.class, whenMatched)}: _id ${document.id}`, style));
  if (document.reason !== '') yield* remark(reasonText(document), style);
  yield* pastLines(document, style);
  const became = new Map(document.changes?.map((each) => [each.path, each]));
  for (const difference of document.differences.slice(0, DIFFERENCES)) {
    yield* differenceLines(difference, style, outcomeOf(document.class, whenMatched) === 'replaced');
    yield* afterLine(became.get(difference.path), style);
  }
  const more = document.differences.length + (document.differencesLeftOut ?? 0) - DIFFERENCES;
  if (more > 0) yield paint.quiet(`${INDENT}… ${showCount(more)} more fields`);
}

function* pastLines({ past }: ComparedDocument, style: PageStyle): Generator<string> {
  if (past !== undefined) yield* remark(pastText(pastTold(past)), style);
}

/** What apply does with a document that the target holds in another form. */
function applyWords(documentClass: DocumentClass, whenMatched: WhenMatched): string {
  const outcome = outcomeOf(documentClass, whenMatched);
  return outcome === 'kept' || outcome === 'replaced' || outcome === 'stopped'
    ? `, ${OUTCOMES[outcome].one}`
    : '';
}

function* differenceLines(
  difference: FieldDifference,
  style: PageStyle,
  isReplaced: boolean,
): Generator<string> {
  const { paint } = style;
  const { path, backup, target, backupType, targetType } = difference;
  const side = (label: string, text: string, type: string | undefined): string =>
    row(`${INDENT}${label} ${path}: ${text}${type === undefined ? '' : ` (${type})`}`, style);
  if (!isReplaced) {
    if (target !== undefined) yield side('target', target, targetType);
    if (backup !== undefined) yield side('backup', backup, backupType);
    return;
  }
  if (target !== undefined) yield paint.bad(side('- target', target, targetType));
  if (backup !== undefined) yield paint.good(side('+ backup', backup, backupType));
}

/** What a field was right after the change that is undone, where that is not what it is now. */
function* afterLine(change: FieldChange | undefined, style: PageStyle): Generator<string> {
  if (change === undefined || (change.after === change.now && change.afterType === change.nowType)) return;
  const { path, after = '(absent)', afterType } = change;
  const type = afterType === undefined ? '' : ` (${afterType})`;
  yield style.paint.quiet(row(`${INDENT}right after the change, ${path}: ${after}${type}`, style));
}

/** The dangling references that were kept, and how many more there are. */
export function* danglingOf(
  { dangling, danglingReferences }: ComparedCollection,
  style: PageStyle,
): Generator<string> {
  for (const reference of dangling) yield* danglingLines(reference, style);
  const more = danglingReferences - dangling.length;
  if (more > 0) yield style.paint.quiet(`… and ${showCounted(more, 'more dangling reference')}`);
}

function* danglingLines(reference: DanglingReference, style: PageStyle): Generator<string> {
  const { id, field, collection, missing } = reference;
  yield style.paint.odd(row(`${DANGLING.symbol} ${DANGLING.one}: _id ${id}`, style));
  const text = `${field} refers to ${missing} of ${collection}, which is neither selected nor in the target`;
  yield* remark(text, style);
}

function* leftOut(collection: ComparedCollection, { paint, columns }: PageStyle): Generator<string> {
  const { counts, ...out } = openCounts(collection);
  const kept = (test: (document: ComparedDocument) => boolean): number =>
    collection.documents.filter(test).length;
  const moreOf = (count: number, { one, many }: { readonly one: string; readonly many: string }): string[] =>
    count > 0 ? [`${showCount(count)} more ${count === 1 ? one : many}`] : [];
  const parts = ATTENTION_ORDER.filter((each) => each !== 'identical').flatMap((each) => {
    const shown = kept((document) => document.class === each && document.leftOut === undefined);
    return moreOf(counts[each] - shown, COMPARED[each]);
  });
  for (const each of LEFT_OUT) {
    parts.push(...moreOf(out[each] - kept((document) => document.leftOut === each), OUTCOMES[each]));
  }
  const dangling = collection.danglingReferences - collection.dangling.length;
  if (dangling > 0) parts.push(`${showCount(dangling)} more dangling references`);
  if (parts.length > 0) yield paint.quiet(fitted(`… and ${parts.join(', ')}; \`--full\` lists all`, columns));
}

/**
 * One neutral line that fits, unless it is to be whole. Cut roughly before it is looked at closely: characters without a width are rare, and a
 * document of 4,000 characters should cost no more than the line that is made of it.
 */
function row(text: string, { columns, wholeLines }: PageStyle): string {
  return wholeLines ? neutral(text) : fitted(neutral(truncated(text, columns * 8)), columns);
}

function remark(text: string, { columns, wholeLines }: PageStyle): string[] {
  return wholeLines ? [INDENT + neutral(text)] : wrapped(text, { columns, indent: INDENT.length });
}

// The compared documents that are listed beside the page, of every target, through the disk: there may be hundreds of thousands, or large ones.

export class SpilledDocuments {
  readonly #workDirectory: string;
  readonly #spills = new Map<TargetName, DocumentSpill>();

  constructor(workDirectory: string) {
    this.#workDirectory = workDirectory;
  }

  readonly add = async (
    target: TargetName,
    collection: string,
    document: ComparedDocument,
  ): Promise<void> => {
    let spill = this.#spills.get(target);
    if (spill === undefined) {
      spill = await DocumentSpill.create(this.#workDirectory);
      this.#spills.set(target, spill);
    }
    await spill.add(collection, document);
  };

  /** Those of one class, in backup order. `collection` is the name in the backup. Nothing may be added any more. */
  async *read({
    target,
    collection,
    documentClass,
  }: ListedClass): AsyncGenerator<ComparedDocument, void, undefined> {
    const spill = this.#spills.get(target);
    if (spill !== undefined) yield* spill.read(collection, documentClass);
  }

  async close(): Promise<void> {
    for (const spill of this.#spills.values()) await spill.remove();
  }
}

// What a dry-run writes to stdout: the page, or the objects of `--json`.

/** Documents shown per class and collection when `--full` is not given. */
export const SHOWN = 5;

interface OutputChoice {
  /** Every document is listed, not only the first few of each class. */
  readonly isFull: boolean;
  /** Always there for `--json` and where every document is listed. */
  readonly spilled: SpilledDocuments | undefined;
}

/** `now`: UTC milliseconds. `isRead`: the page goes to a file or a program, whose lines are not cut. */
export function dryRunView(
  run: DryRun,
  { isFull, spilled }: OutputChoice,
  { now, isRead }: { readonly now: number; readonly isRead: boolean },
): View {
  return {
    async *page(style) {
      yield* dryRunPage(run, style);
      if (isFull && spilled !== undefined)
        yield* everyDocument(run, spilled, { ...style, wholeLines: isRead });
      else yield* documentsOf(run.comparisons, style, SHOWN);
      yield* dryRunEnd(run, now, style);
    },
    objects: () => objectsOf(run, { isFull, spilled }),
  };
}

async function* everyDocument(run: DryRun, full: SpilledDocuments, style: PageStyle): AsyncGenerator<string> {
  for (const { target, collections } of run.comparisons) {
    for (const compared of collections) {
      const { collection, whenMatched } = compared;
      yield* documentsTitle(target, compared, style);
      for (const documentClass of ATTENTION_ORDER) {
        for await (const document of full.read({ target, collection, documentClass })) {
          yield* documentLines(document, whenMatched, style);
        }
      }
      yield* danglingOf(compared, style);
    }
  }
}

async function* objectsOf(
  run: DryRun,
  { isFull, spilled }: OutputChoice,
): AsyncGenerator<{ readonly type: string }> {
  for (const { target, collections } of run.comparisons) {
    for (const { collection } of collections) {
      for (const documentClass of ATTENTION_ORDER) {
        if (spilled === undefined || (documentClass === 'identical' && !isFull)) continue;
        let left = isFull ? Number.POSITIVE_INFINITY : SHOWN;
        for await (const document of spilled.read({ target, collection, documentClass })) {
          yield documentObject(target, collection, document);
          if (--left === 0) break;
        }
      }
    }
  }
  yield dryRunObject(run);
}
