/** The uncollapsed parts of the Markdown report: verdict, table of counts, facts. */
import { COMPARED } from '../../outcomes.ts';
import { truncated } from '../../text/escape.ts';
import { showBytes, showCount, showCounted, showDuration } from '../../text/quantities.ts';
import { classesOfTable } from '../document-classes.ts';
import { oplogSentences } from '../oplog-told.ts';
import type { Report, ReportBackup, ReportTarget } from '../report-model.ts';
import { calmParts, troublesOf } from '../sum.ts';
import { code, prose } from './sections.ts';

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
  const columns = classesOfTable(report.targets.map(({ counts }) => counts));
  const dangles = report.targets.some(({ danglingReferences }) => danglingReferences > 0);
  const heads = columns.map((each) => `${COMPARED[each].symbol} ${COMPARED[each].one}`);
  const rows = report.targets.flatMap(({ target, collections }) =>
    collections.map(({ into, collection, counts, danglingReferences, wouldCreate }) => {
      const name = into === collection ? code(into) : `${code(into)} (from ${code(collection)})`;
      const created = wouldCreate === undefined ? '' : ` *new, ${indexCount(wouldCreate.indexes)}*`;
      const cells = columns.map((each) => cell(counts[each], each !== 'insert' && each !== 'identical'));
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
