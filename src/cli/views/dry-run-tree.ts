/**
 * The plan's collections as a tree, with what each target would meet: `+200 =11 ≠3`, a legend below.
 * Side by side where the targets fit, one below the other where they do not.
 */
import type { ComparedCollection } from '../../comparison/comparison.ts';
import { COMPARED, DANGLING, type DocumentClass, OUTCOMES } from '../../outcomes.ts';
import type { RestoredCollection } from '../../plan/plan.ts';
import { CLASSES_IN_TABLES, openCounts } from '../../report/document-classes.ts';
import type { DryRun } from '../../report/report-model.ts';
import { selectedOf } from '../../selection/selection.ts';
import { neutral } from '../../text/escape.ts';
import { showCount } from '../../text/quantities.ts';
import type { PageStyle } from '../../text/terminal.ts';
import { columnsOf, fitted, type Paint, padded } from '../../text/terminal.ts';

const GAP = '  ';

interface Cell {
  readonly text: string;
  /** With colours; as wide as `text`. */
  readonly painted: string;
}

export function* collectionTree(run: DryRun, style: PageStyle): Generator<string> {
  const { paint, columns } = style;
  const branches = run.plan.collections.flatMap((entry) => branchesOf(entry, run));
  const names = branches.map(({ label }) => label);
  const selected = branches.map(({ selected }) => showCount(selected));
  const targets = run.comparisons.map(({ target, collections }) => {
    const compared = new Map(collections.map((each) => [each.collection, each]));
    return {
      title: target,
      cells: branches.map(({ collection }) => countsCell(compared.get(collection), paint)),
    };
  });

  const countWidth = Math.max('selected'.length, ...selected.map(columnsOf));
  const widths = targets.map(({ title, cells }) =>
    Math.max(...[title, ...cells.map(({ text }) => text)].map(columnsOf)),
  );
  const targetsWidth = widths.reduce((sum, width) => sum + width + GAP.length, 0);
  const sideBySide = columns - targetsWidth - countWidth - GAP.length >= 16;
  const room = columns - countWidth - GAP.length - (sideBySide ? targetsWidth : 0);
  const nameWidth = Math.min(room, Math.max('collection'.length, ...names.map(columnsOf)));
  const name = (text: string): string => padded(fitted(text, nameWidth), nameWidth);
  const count = (text: string): string => text.padStart(countWidth);

  const titles = sideBySide ? targets.map(({ title }, index) => padded(title, widths[index] as number)) : [];
  yield paint.strong([name('collection'), count('selected'), ...titles].join(GAP).trimEnd());
  for (const [index, label] of names.entries()) {
    const cells = sideBySide
      ? targets.map(({ cells }, target) => paintedCell(cells[index] as Cell, widths[target] as number))
      : [];
    yield [name(label), count(selected[index] as string), ...cells].join(GAP).trimEnd();
    if (sideBySide) continue;
    for (const { title, cells } of targets)
      yield `${GAP}${fitted(title, columns / 2)}: ${(cells[index] as Cell).painted}`;
  }
  yield* legend(run, style);
}

interface Branch {
  readonly collection: string;
  readonly label: string;
  readonly selected: number;
}

/** A collection reached by two routes is counted once, at its first place; its other places only point there. */
function branchesOf(root: RestoredCollection, { manifest }: DryRun): Branch[] {
  const branches: Branch[] = [];
  const visit = (entry: RestoredCollection, indent: string, own: string): void => {
    const into = entry.into === entry.collection ? '' : ` → ${entry.into}`;
    const selected = selectedOf(manifest, entry.collection)?.count ?? 0;
    branches.push({
      collection: entry.collection,
      label: `${own}${neutral(`${entry.collection}${into}`)}`,
      selected,
    });
    for (const [index, dependent] of entry.dependents.entries()) {
      const last = index === entry.dependents.length - 1;
      visit(dependent, `${indent}${last ? '   ' : '│  '}`, `${indent}${last ? '└─ ' : '├─ '}`);
    }
  };
  visit(root, '', '');
  return branches;
}

function countsCell(collection: ComparedCollection | undefined, paint: Paint): Cell {
  if (collection === undefined) return { text: '', painted: '' };
  const { counts, excepted, heldBack } = openCounts(collection);
  const counted = CLASSES_IN_TABLES.filter((each) => counts[each] > 0);
  const texts = counted.map((each) => `${COMPARED[each].symbol}${showCount(counts[each])}`);
  const painted = texts.map((text, index) => classPaint(paint, counted[index] as DocumentClass)(text));
  for (const [outcome, count, color] of [
    ['heldBack', heldBack, paint.bad],
    ['excepted', excepted, paint.odd],
  ] as const) {
    if (count === 0) continue;
    const text = `${OUTCOMES[outcome].symbol}${showCount(count)}`;
    texts.push(text);
    painted.push(color(text));
  }
  if (collection.danglingReferences > 0) {
    const text = `${DANGLING.symbol}${showCount(collection.danglingReferences)}`;
    texts.push(text);
    painted.push(paint.odd(text));
  }
  return { text: texts.join(' ') || '0', painted: painted.join(' ') || '0' };
}

function paintedCell({ text, painted }: Cell, width: number): string {
  return painted + ' '.repeat(Math.max(0, width - columnsOf(text)));
}

export function classPaint(paint: Paint, documentClass: DocumentClass): (text: string) => string {
  if (documentClass === 'insert') return paint.good;
  if (documentClass === 'identical') return paint.quiet;
  return documentClass === 'conflict' || documentClass === 'refused' ? paint.bad : paint.odd;
}

function* legend({ comparisons }: DryRun, { paint, columns }: PageStyle): Generator<string> {
  const collections = comparisons.flatMap((comparison) => comparison.collections);
  const open = collections.map(openCounts);
  const parts = CLASSES_IN_TABLES.filter((each) => open.some(({ counts }) => counts[each] > 0)).map(
    (each) => `${COMPARED[each].symbol} ${COMPARED[each].one}`,
  );
  for (const each of ['heldBack', 'excepted'] as const)
    if (open.some((one) => one[each] > 0)) parts.push(`${OUTCOMES[each].symbol} ${OUTCOMES[each].one}`);
  if (collections.some(({ danglingReferences }) => danglingReferences > 0))
    parts.push(`${DANGLING.symbol} ${DANGLING.one}`);
  let line = '';
  for (const part of parts) {
    if (line !== '' && columnsOf(`${line}   ${part}`) > columns) {
      yield paint.quiet(line);
      line = '';
    }
    line = line === '' ? part : `${line}   ${part}`;
  }
  if (line !== '') yield paint.quiet(line);
}
