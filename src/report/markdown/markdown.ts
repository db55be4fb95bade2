/**
 * The report as GitHub's Markdown, for a comment on a pull request. A comment has a hard limit: what does not fit is left
 * out, the least important first, and the comment says so.
 */

import type { ProposedEntry } from '../../follow-ups/suggestions/suggestion.ts';
import { showCounted } from '../../text/quantities.ts';
import { HELD_BACK } from '../document-classes.ts';
import { allWarnings, type DependentsGraph, type Report, type ReportFollowUp } from '../report-model.ts';
import {
  code,
  detailSections,
  details,
  facts,
  fenced,
  heading,
  prose,
  renderSection,
  type SummaryTable,
  summaryTable,
  verdicts,
} from './sections.ts';

/** GitHub takes 65,536 characters; the rest is left for whoever posts it to mark it as theirs. */
export const COMMENT_LIMIT = 65_000;

const LIMITS = { table: 16_000, graph: 8_000, remarks: 6_000 } as const;

/** Room for the sentence that says what was left out. */
const NOTE_ROOM = 300;

/** At most COMMENT_LIMIT characters. */
export async function markdownReport(report: Report): Promise<string> {
  const graph = mermaidGraph(report.graph);
  const graphFits = report.graph.edges.length === 0 || graph.length <= LIMITS.graph;
  const overview = [
    heading(report),
    listWithin(
      'Warnings',
      allWarnings(report).map((warning) => `- ${prose(warning)}`),
    ),
    ...report.proposed.map(proposal),
    verdicts(report),
    tableWithin(summaryTable(report), LIMITS.table),
    listWithin('To do afterwards', report.followUps.map(followUpLine)),
    report.graph.edges.length > 0 && graphFits ? details('How the collections hang together', graph) : '',
    details('Backup, selection and plan', facts(report)),
  ].join('');

  const room = COMMENT_LIMIT - overview.length - NOTE_ROOM;
  const { text, omitted } = await sectionsWithin(report, room);
  const leftOut = [
    ...(graphFits ? [] : ['the graph of dependents']),
    ...(omitted > 0 ? [showCounted(omitted, 'list')] : []),
  ];
  const note =
    leftOut.length === 0
      ? ''
      : `Too long for a comment: ${leftOut.join(' and ')} left out. The HTML report has everything.\n`;
  const heldBack = HELD_BACK[report.documents];
  const legend =
    heldBack !== undefined
      ? `${prose(heldBack)}\n\n`
      : text === ''
        ? ''
        : 'In differences, `-` is the target now and `+` the backup.\n\n';
  return `${overview}${legend}${text}${note}`;
}

/** The lists that fit: all of them cut alike when there is too much, the last ones dropped when even that is not enough. */
async function sectionsWithin(
  report: Report,
  room: number,
): Promise<{ readonly text: string; readonly omitted: number }> {
  const wanted = await detailSections(report, Math.max(0, room));
  const smallest = wanted.map((section) => renderSection(section, 0).length);
  let shown = 0;
  let least = 0;
  while (shown < wanted.length && least + (smallest[shown] as number) <= room)
    least += smallest[shown++] as number;
  const sections = wanted.slice(0, shown);
  const more = sections.map(
    (section, index) => renderSection(section, room).length - (smallest[index] as number),
  );
  const given = shares(more, room - least);
  const text = sections
    .map((section, index) => renderSection(section, (smallest[index] as number) + (given[index] as number)))
    .join('');
  return { text, omitted: wanted.length - shown };
}

function tableWithin({ header, rows, legend }: SummaryTable, room: number): string {
  if (rows.length === 0) return '';
  let size = 0;
  const shown = rows.filter((row) => {
    size += row.length;
    return size <= room;
  });
  const left = rows.length - shown.length;
  const rest = left === 0 ? '' : `\n${showCounted(left, 'more collection')} not listed here.\n`;
  return `${header}${shown.join('')}${rest}\n${legend}`;
}

function followUpLine({ name, on, action }: ReportFollowUp): string {
  return `- ${prose(name)} (${on === 'both' ? 'each target' : on}): ${code(action)}`;
}

function proposal({ entry, lines }: ProposedEntry): string {
  let size = 0;
  const shown = lines.filter((each) => {
    size += each.length + 1;
    return size <= LIMITS.remarks;
  });
  const rest =
    shown.length === lines.length ? [] : [`  # … ${showCounted(lines.length - shown.length, 'more line')}`];
  return `**In the plan, in the place of \`dependents: auto\` of ${code(entry)}**\n\n${fenced('yaml', [...shown, ...rest])}\n`;
}

function listWithin(title: string, items: readonly string[]): string {
  if (items.length === 0) return '';
  let size = 0;
  const shown = items.filter((item) => {
    size += item.length + 1;
    return size <= LIMITS.remarks;
  });
  const left = items.length - shown.length;
  const rest = left === 0 ? '' : `\n- and ${left} more`;
  return `**${title}**\n\n${shown.join('\n')}${rest}\n\n`;
}
/**
 * Divides room among sections: each gets what it wants if that is no more than an equal part of what is left, and the
 * large ones divide the rest equally. Sizes and result in the same unit; the sum of the result is at most `room`.
 */
export function shares(sizes: readonly number[], room: number): number[] {
  const result = sizes.map(() => 0);
  const smallestFirst = sizes.map((size, index) => ({ size, index })).sort((a, b) => a.size - b.size);
  let left = Math.max(0, room);
  for (const [done, { size, index }] of smallestFirst.entries()) {
    const share = Math.min(size, Math.floor(left / (sizes.length - done)));
    result[index] = share;
    left -= share;
  }
  return result;
}

// The plan's collections as a mermaid flowchart: solid arrows to dependents, dotted ones to parents that must exist.

function mermaidGraph({ nodes, edges }: DependentsGraph): string {
  const nameOf = new Map(nodes.map(({ collection }, index) => [collection, `c${index}`]));
  return fenced('mermaid', [
    'flowchart LR',
    ...nodes.map(({ collection, selected }) => {
      const count = selected === undefined ? 'only referred to' : showCounted(selected, 'document');
      const label = `"${quoted(`${collection} · ${count}`)}"`;
      return `  ${nameOf.get(collection)}${selected === undefined ? `([${label}])` : `[${label}]`}`;
    }),
    ...edges.map(({ kind, from, to, field }) => {
      const arrow = kind === 'dependent' ? '-->' : '-.->';
      return `  ${nameOf.get(from)} ${arrow}|"${quoted(field)}"| ${nameOf.get(to)}`;
    }),
  ]);
}

/** Mermaid's own entities, for every sign that mermaid or Markdown could act on. */
function quoted(text: string): string {
  return text.replace(/[^\p{L}\p{N} _.·,-]/gu, (character) => `#${character.codePointAt(0)};`);
}
