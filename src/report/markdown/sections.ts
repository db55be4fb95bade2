/**
 * The collapsible parts of the Markdown report: for each target, collection and class the documents, as a diff. A
 * section is made of items, so that it can be cut to the room it is given.
 */
import type { FieldChange, FieldDifference } from '../../comparison/comparison.ts';
import { ATTENTION_ORDER, COMPARED, OUTCOMES } from '../../outcomes.ts';
import { truncated } from '../../text/escape.ts';
import { showBytes, showCount, showCounted, showDuration } from '../../text/quantities.ts';
import { classesOfTable, LEFT_OUT, openCounts } from '../document-classes.ts';
import { oplogSentences, pastText } from '../oplog-told.ts';
import type { ReportDangling, ReportDocument } from '../report-documents.ts';
import type { Report, ReportBackup, ReportCollection, ReportTarget } from '../report-model.ts';
import { calmParts, troublesOf } from '../sum.ts';

export interface Section {
  /** HTML, one line. */
  readonly summary: string;
  /** What is listed; each becomes lines of one fenced block. */
  readonly items: readonly string[];
  /** How many there are in truth; the comparison keeps only some of them for showing. */
  readonly total: number;
  readonly noun: string;
}

/** Characters of one value; a reviewer of a comment wants to see that and how it differs, not all of it. */
const VALUE_LIMIT = 300;
const DIFFERENCES_LIMIT = 20;

/** Documents without differences whose content is shown, of each class and collection, and characters of it. */
const CONTENTS = 5;
const CONTENT_LIMIT = 600;

/** Worst first, over all targets; no section's items grow beyond `limit` characters, more would never fit. */
export async function detailSections(report: Report, limit: number): Promise<Section[]> {
  if (report.documents === 'none') return [];
  const places = report.targets.flatMap((target) =>
    target.collections.map((collection) => ({ target, collection })),
  );
  const needEye: Section[] = [];
  const calm: Section[] = [];
  for (const documentClass of ATTENTION_ORDER) {
    const isCalm = documentClass === 'insert' || documentClass === 'identical';
    for (const each of places) {
      const total = each.collection.counts[documentClass];
      if (total === 0) continue;
      const { symbol, one: name, meaning } = COMPARED[documentClass];
      (isCalm ? calm : needEye).push({
        summary: `${place(each)}: <b>${symbol} ${name}</b>, ${showCounted(total, 'document')} (${meaning})`,
        items: await itemsOf(each.collection, documentClass, limit),
        total,
        noun: 'document',
      });
    }
  }
  return [...needEye, ...danglingSections(places), ...calm];
}

interface TargetsCollection {
  readonly target: ReportTarget;
  readonly collection: ReportCollection;
}

function danglingSections(places: readonly TargetsCollection[]): Section[] {
  return places
    .filter(({ collection }) => collection.danglingReferences > 0)
    .map(({ target, collection }) => ({
      summary: `${place({ target, collection })}: <b>dangling</b>, ${showCounted(collection.danglingReferences, 'reference')} (the parent is neither selected nor in the target)`,
      items: collection.dangling.map(danglingItem),
      total: collection.danglingReferences,
      noun: 'reference',
    }));
}

function place({ target, collection }: TargetsCollection): string {
  return `${target.target}, ${htmlCode(collection.into)}`;
}

async function itemsOf(
  collection: ReportCollection,
  documentClass: ReportDocument['class'],
  limit: number,
): Promise<string[]> {
  const items: string[] = [];
  let size = 0;
  for await (const document of collection.documents(documentClass)) {
    const item = documentItem(document, items.length < CONTENTS);
    items.push(item);
    size += item.length + 1;
    if (size > limit) break;
  }
  return items;
}

function documentItem(document: ReportDocument, showsContent: boolean): string {
  const { id, reason, differences, differencesLeftOut, backup, oplog, changes = [] } = document;
  const isNew = differences.length === 0 && document.class !== 'identical';
  const became = new Map(changes.map((each) => [each.path, each]));
  const shown = differences
    .slice(0, DIFFERENCES_LIMIT)
    .flatMap((each) => [...differenceLines(each), ...afterLines(became.get(each.path))]);
  if (isNew && showsContent && backup !== undefined) shown.push(`+ ${truncated(backup, CONTENT_LIMIT)}`);
  const left = differencesLeftOut + Math.max(0, differences.length - DIFFERENCES_LIMIT);
  return [
    `@@ ${id} @@`,
    ...(reason === '' ? [] : [`! ${reason}`]),
    ...(oplog === undefined ? [] : [`# ${pastText(oplog)}`]),
    ...shown,
    ...(left > 0
      ? [
          `# ${shown.length === 0 ? showCounted(left, 'difference') : `and ${showCounted(left, 'more difference')}`}`,
        ]
      : []),
  ].join('\n');
}

function differenceLines({ path, backup, target, backupType, targetType }: FieldDifference): string[] {
  const side = (sign: string, value: string | undefined, type: string | undefined): string[] =>
    value === undefined
      ? []
      : [`${sign} ${path}: ${truncated(value, VALUE_LIMIT)}${type === undefined ? '' : `  (${type})`}`];
  return [...side('-', target, targetType), ...side('+', backup, backupType)];
}

/** What it was right after the change, where that is not what it is now. */
function afterLines(change: FieldChange | undefined): string[] {
  if (change === undefined || (change.after === change.now && change.afterType === change.nowType)) return [];
  const { path, after = '(absent)', afterType } = change;
  return [
    `# right after the change, ${path}: ${truncated(after, VALUE_LIMIT)}${afterType === undefined ? '' : `  (${afterType})`}`,
  ];
}

function danglingItem({ id, field, collection, missing }: ReportDangling): string {
  return `@@ ${id} @@\n! ${field}: ${missing} is not in ${collection}`;
}

/** The section with as many items as fit into `room` characters, and a word about those that do not. */
export function renderSection(section: Section, room: number): string {
  const render = (count: number): string => {
    const left = section.total - count;
    const rest =
      left === 0
        ? ''
        : `\n${showCount(left)} of ${showCounted(section.total, section.noun)} not listed here.\n`;
    const body = count === 0 ? '' : fenced('diff', section.items.slice(0, count));
    return details(section.summary, `${body}${rest}`);
  };
  let count = section.items.length;
  // The whole grows with the number of items: find the largest number that fits.
  let tooMany = count + 1;
  let fits = 0;
  while (tooMany - fits > 1) {
    if (render(count).length <= room) fits = count;
    else tooMany = count;
    count = Math.floor((fits + tooMany) / 2);
  }
  return render(fits);
}
/**
 * Text inside GitHub's Markdown, where data could become a mention, an issue reference, a link, mathematics, HTML, a table
 * cell or the end of a fence. Everything that comes from a plan, a backup or a target passes through here.
 */

/** Text as code, on one line, also inside a table cell. */
export function code(text: string): string {
  const isPlain = /^[^`|\s](?:[^`|]*[^`|\s])?$/.test(text);
  return isPlain ? `\`${text}\`` : htmlCode(text);
}

/** The same where Markdown is not read, as in a `<summary>`. */
export function htmlCode(text: string): string {
  return `<code>${entities(text)}</code>`;
}

/** Everything that Markdown could read a meaning into, as numeric entities. */
function entities(text: string): string {
  return text.replace(/[^\p{L}\p{N} ,/-]/gu, (character) => `&#${character.codePointAt(0)};`);
}

/** Running text of people: words stay words, anything with a sign that GitHub may act on becomes code. */
export function prose(text: string): string {
  return text
    .split(/\s+/)
    .filter((word) => word !== '')
    .map((word) => (isHarmless(word) ? word : code(word)))
    .join(' ');
}

function isHarmless(word: string): boolean {
  return (
    /^[\p{L}\p{N}.,;:'"()%?/_+-]+$/u.test(word) &&
    /[\p{L}\p{N}]/u.test(word) &&
    !/(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/u.test(word) &&
    !/\/\/|^[('"]*(?:www\.|gh-\d|\p{L}+:\S)/iu.test(word)
  );
}

/** A fenced block; the fence is longer than any run of backticks in it. */
export function fenced(language: string, lines: readonly string[]): string {
  const fence = fenceFor(lines);
  return `${fence}${language}\n${lines.join('\n')}\n${fence}\n`;
}

function fenceFor(lines: readonly string[]): string {
  const runs = lines.flatMap((line) => line.match(/`+/g) ?? []);
  return '`'.repeat(Math.max(3, ...runs.map((run) => run.length + 1)));
}

/** A collapsed part. Its summary is HTML; its body is Markdown. */
export function details(summary: string, body: string): string {
  return `<details>\n<summary>${summary}</summary>\n\n${body.trimEnd()}\n\n</details>\n\n`;
}

// The uncollapsed parts of the Markdown report: verdict, table of counts, facts.

/** Characters of the plan's reason: it is there to read in the plan. */
const REASON_LIMIT = 4000;

export function heading(report: Report): string {
  const quoted = report.plan.reason.map((line) => `> ${prose(line)}`.trimEnd());
  const isCut = quoted.join('\n').length > REASON_LIMIT;
  while (quoted.join('\n').length > REASON_LIMIT) quoted.pop();
  const reason = [...quoted, ...(isCut ? ['> …'] : [])].join('\n');
  return `## Restore dry-run: ${code(report.plan.name)}\n\n${reason === '' ? '' : `${reason}\n\n`}`;
}

/** One sentence per target. */
export function verdicts(report: Report): string {
  const compared = report.targets.map(
    (target) => `- **${target.target}** (${code(target.database)}): ${verdict(target)}`,
  );
  const skipped = report.notCompared.map(
    ({ target, reason }) => `- **${target}** was not compared: ${prose(reason)}`,
  );
  const lines = [...compared, ...skipped];
  return `${lines.length === 0 ? 'No target was compared.' : lines.join('\n')}\n\nNothing was written to any target.\n\n`;
}

/** What apply would do, in the words of every page, and what a reviewer has to think about. */
function verdict(target: ReportTarget): string {
  const troubles = troublesOf(target);
  // Two tildes would strike out what is between them.
  const does = calmParts(target.outcomes).join(', ').replaceAll('~', '\\~');
  return `${does}; ${troubles.length === 0 ? 'nothing in the way' : `**${troubles.join(', ')}**`}.`;
}

export interface SummaryTable {
  readonly header: string;
  readonly rows: readonly string[];
  readonly legend: string;
}

export function summaryTable(report: Report): SummaryTable {
  const open = report.targets.flatMap(({ collections }) => collections.map(openCounts));
  const columns = classesOfTable(open.map(({ counts }) => counts));
  const left = LEFT_OUT.filter((each) => open.some((one) => one[each] > 0));
  const dangles = report.targets.some(({ danglingReferences }) => danglingReferences > 0);
  const heads = [
    ...columns.map((each) => `${COMPARED[each].symbol} ${COMPARED[each].one}`),
    ...left.map((each) => `${OUTCOMES[each].symbol} ${OUTCOMES[each].many}`),
  ];
  const rows = report.targets.flatMap(({ target, collections }) =>
    collections.map((each) => {
      const { into, collection, danglingReferences, wouldCreate } = each;
      const { counts, ...leftOut } = openCounts(each);
      const name = into === collection ? code(into) : `${code(into)} (from ${code(collection)})`;
      const created = wouldCreate === undefined ? '' : ` *new, ${indexCount(wouldCreate.indexes)}*`;
      const cells = columns.map((each) => cell(counts[each], each !== 'insert' && each !== 'identical'));
      cells.push(...left.map((outcome) => cell(leftOut[outcome], true)));
      if (dangles) cells.push(cell(danglingReferences, true));
      return row([target, `${name}${created}`, ...cells]);
    }),
  );
  const head = row(['target', 'collection', ...heads, ...(dangles ? ['dangling references'] : [])]);
  const rule = row(['---', '---', ...heads.map(() => '--:'), ...(dangles ? ['--:'] : [])]);
  const legend = columns.map((each) => `${COMPARED[each].symbol} ${COMPARED[each].meaning}`).join(' · ');
  return { header: head + rule, rows, legend: `<sub>${legend}</sub>\n\n` };
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |\n`;
}

function cell(count: number, isOdd: boolean): string {
  if (count === 0) return '·';
  return isOdd ? `**${showCount(count)}**` : showCount(count);
}

function indexCount(indexes: number): string {
  return `${indexes} ${indexes === 1 ? 'index' : 'indexes'}`;
}

export function facts({ backup, plan, selection, toolVersion, writtenAt }: Report): string {
  const size = backup.size === undefined ? '' : `, ${showBytes(backup.size)}`;
  const whole = selection.readToEnd ? 'read to its end' : 'read only as far as needed';
  const rows = [
    ['Backup', `${code(backup.location)} (${prose(backup.kind)}${size}; ${whole})`],
    ['Taken', takenText(backup)],
    ...(backup.oplog === undefined ? [] : [['Oplog', prose(oplogSentences(backup.oplog).join('; '))]]),
    [
      'Selection',
      `${showCounted(selection.documents, 'document')}, ${showBytes(selection.bytes)}, digest ${code(selection.digest)}`,
    ],
    ['Plan digest', code(plan.digest)],
    ...(plan.mask.length === 0 ? [] : [['Masked fields', code(truncated(plan.mask.join(', '), 300))]]),
    ['Written', `${writtenAt} by restore-plan ${toolVersion}`],
  ];
  return `| | |\n| --- | --- |\n${rows.map(row).join('')}\n`;
}

function takenText({ time, localTime, modified, at, beforeAtMs }: ReportBackup): string {
  const parts = [
    ...(localTime === undefined ? [] : [localTime]),
    ...(time === undefined ? [] : [time]),
    ...(at === undefined || beforeAtMs === undefined
      ? []
      : [`${showDuration(beforeAtMs)} before the last good moment ${at}`]),
    ...(modified === undefined ? [] : [`finished ${modified}`]),
  ];
  return parts.length === 0 ? 'not known' : parts.map(prose).join('; ');
}
