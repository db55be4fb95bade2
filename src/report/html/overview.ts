/** The top of the page: what this is, and for each target in a card what would happen and what is in the way. */
import { ATTENTION_ORDER, COMPARED, type DocumentClass, OUTCOMES } from '../../outcomes.ts';
import { countedAs, showBytes, showCount, showCounted, showDuration } from '../../text/quantities.ts';
import {
  CLASSES_IN_TABLES,
  type ClassCounts,
  classesOfTable,
  HELD_BACK,
  LEFT_OUT,
  openCounts,
} from '../document-classes.ts';
import { oplogSentences } from '../oplog-told.ts';
import {
  allWarnings,
  type Report,
  type ReportBackup,
  type ReportCollection,
  type ReportTarget,
} from '../report-model.ts';
import { calmParts, countedParts, troublesOf } from '../sum.ts';
import { type Html, html } from './html.ts';

export function overviewPart(report: Report): Html {
  const { plan, selection } = report;
  return html`${HATCHES}<header>
<p class="kicker">Restore dry-run: nothing was written to any target</p>
<h1>${plan.name}</h1>
${plan.reason.map((line) => html`<p class="reason">${line}</p>`)}
<p class="quiet">${showCounted(selection.documents, 'document')} selected from <code>${selection.database}</code>, ${backupTime(report.backup)}</p>
</header>
${warningsPart(report)}
${report.proposed.map(
  ({ entry, lines }) =>
    html`<section class="panel"><h2>In the plan, in the place of <code>dependents: auto</code> of <code>${entry}</code></h2><pre class="scroll">${lines.join('\n')}</pre></section>`,
)}
<section class="cards" aria-label="Targets">
${report.targets.map((target, index) => card(target, index))}
${report.notCompared.map(
  ({ target, reason }) =>
    html`<article class="card absent"><h2>${target}</h2><p><strong>Not compared.</strong> ${reason}</p></article>`,
)}
${report.targets.length + report.notCompared.length === 0 && html`<p class="empty">No target was compared.</p>`}
</section>`;
}

/** The fact that goes wrong most often: which backup, in its own zone and in UTC, and how far before the loss. */
function backupTime({ localTime, time, at, beforeAtMs, location }: ReportBackup): Html {
  if (time === undefined) return html`<code>${location}</code>`;
  const before =
    at === undefined || beforeAtMs === undefined
      ? undefined
      : html`, ${showDuration(beforeAtMs)} before ${at}`;
  return html`backup of <strong>${localTime ?? time}</strong>${localTime !== undefined && ` = ${time}`}${before}`;
}

function card(target: ReportTarget, index: number): Html {
  const { counts, outcomes } = target;
  const total = CLASSES_IN_TABLES.reduce((sum, each) => sum + counts[each], 0);
  const shown = CLASSES_IN_TABLES.filter((each) => counts[each] > 0);
  const troubles = troublesOf(target);
  const { heldBack, excepted } = outcomes;
  const left = countedParts<(typeof LEFT_OUT)[number]>(OUTCOMES, { heldBack, excepted });
  return html`<article class="card">
<h2>${target.target}</h2>
<p class="quiet">${target.database} · ${target.server}</p>
<p class="verdict">${calmParts(outcomes).join(', ')}</p>
<p class="${troubles.length === 0 ? 'clear' : 'trouble'}">${troubles.length === 0 ? '✓ nothing in the way' : `⚠ ${troubles.join(' · ')}`}</p>
<ul class="classes">
${shown.map((each) => classLine({ target, index, total }, each))}
${left.length > 0 && html`<li class="quiet">of these ${left.join(', ')}</li>`}
${total === 0 && html`<li class="empty">No documents were compared.</li>`}
</ul>
</article>`;
}

interface Share {
  readonly target: ReportTarget;
  readonly index: number;
  readonly total: number;
}

function classLine({ target, index, total }: Share, documentClass: DocumentClass): Html {
  const { symbol, one: name, meaning } = COMPARED[documentClass];
  const count = target.counts[documentClass];
  return html`<li><button type="button" data-filter data-target="${index}" data-class="${ATTENTION_ORDER.indexOf(documentClass)}" title="${meaning}" aria-label="Show ${showCounted(count, 'document')}: ${name}, ${target.target}"><span class="symbol ${documentClass}">${symbol}</span><span class="name">${name}</span>${classBar(documentClass, count, total)}<span class="number">${showCount(count)}</span></button></li>`;
}

// Where the documents come from, what else to know, and what is to be done afterwards.

export function factsPart(report: Report): Html {
  return html`${followUps(report)}<section class="panel facts"><h2>Backup and selection</h2><dl>
${entries(report).map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
</dl></section>`;
}

function entries(report: Report): [name: string, value: Html][] {
  const { backup, selection, plan, documents, toolVersion, writtenAt } = report;
  const size = backup.size === undefined ? '' : `, ${showBytes(backup.size)}`;
  const { at, beforeAtMs } = backup;
  const heldBack = HELD_BACK[documents];
  const all: readonly (readonly [string, Html | undefined])[] = [
    ['Backup', html`<code>${backup.location}</code> (${backup.kind}${size})`],
    ['Time, by its name', backup.localTime === undefined ? undefined : html`${backup.localTime}`],
    ['Time, UTC', backup.time === undefined ? undefined : html`${backup.time}`],
    ['Finished, UTC', backup.modified === undefined ? undefined : html`${backup.modified}`],
    ['Last good moment', at === undefined ? undefined : html`${at}`],
    ['Before that', beforeAtMs === undefined ? undefined : html`${showDuration(beforeAtMs)}`],
    ['Oplog', backup.oplog === undefined ? undefined : html`${oplogSentences(backup.oplog).join('; ')}`],
    ['Read', html`${selection.readToEnd ? 'to its end' : 'only as far as needed'}`],
    ['Selection', html`${showCounted(selection.documents, 'document')}, ${showBytes(selection.bytes)}`],
    ['Selection digest', html`<code>${selection.digest}</code>`],
    ['Plan digest', html`<code>${plan.digest}</code>`],
    ['Masked fields', plan.mask.length === 0 ? undefined : html`${plan.mask.join(', ')}`],
    ['Documents', heldBack === undefined ? undefined : html`${heldBack}`],
    ['Written', html`${writtenAt} by restore-plan ${toolVersion}`],
  ];
  return all.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
}

/** Stands above everything but the title. */
function warningsPart(report: Report): Html | undefined {
  const warnings = allWarnings(report);
  if (warnings.length === 0) return undefined;
  return html`<section class="panel"><h2>Warnings</h2>${warnings.map((warning) => html`<p class="warning">⚠ ${warning}</p>`)}</section>`;
}

function followUps({ followUps }: Report): Html | undefined {
  if (followUps.length === 0) return undefined;
  return html`<section class="panel"><h2>To do afterwards</h2><ul class="todo">
${followUps.map(({ name, on, action }) => html`<li><strong>${name}</strong> <span class="tag">${on === 'both' ? 'each target' : on}</span><br><span class="quiet">${action}</span></li>`)}
</ul></section>`;
}

// Small charts as SVG. Colours come from the page's stylesheet by class name; hatching tells troubles apart without colour.

const WIDTH = 180;
const HEIGHT = 14;
/** Pixels: also one document among millions is to be seen. */
const LEAST = 3;
const GAP = 1;

/** The classes of one collection side by side, to the scale of the largest. */
export function stackedBar(counts: ClassCounts, largest: number): Html {
  const shown = CLASSES_IN_TABLES.filter((each) => counts[each] > 0);
  const total = shown.reduce((sum, each) => sum + counts[each], 0);
  const room =
    Math.max(shown.length * LEAST, (WIDTH * total) / Math.max(1, largest)) - GAP * (shown.length - 1);
  const widths = widthsOf(
    shown.map((each) => counts[each]),
    room,
  );
  let x = 0;
  const segments = shown.map((each, index) => {
    const width = widths[index] as number;
    const segment = bar(each, { x, width, title: `${COMPARED[each].one}: ${showCount(counts[each])}` });
    x += width + GAP;
    return segment;
  });
  const label = shown.map((each) => countedAs(COMPARED[each], counts[each])).join(', ');
  return html`<svg class="bar" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="${label || 'no documents'}">${segments}</svg>`;
}

/** Proportional, but none below LEAST; what the small ones take is taken from the others. */
function widthsOf(counts: readonly number[], room: number): number[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const isSmall = (count: number): boolean => (count / total) * room < LEAST;
  const small = counts.filter(isSmall);
  const rest = total - small.reduce((sum, count) => sum + count, 0);
  const roomForRest = room - small.length * LEAST;
  return counts.map((count) => (isSmall(count) ? LEAST : (count / rest) * roomForRest));
}

interface Bar {
  readonly x: number;
  /** Pixels, or a percentage. */
  readonly width: number | string;
  readonly title: string;
}

function bar(documentClass: DocumentClass, { x, width, title }: Bar): Html {
  const size = typeof width === 'number' ? width.toFixed(1) : width;
  const box = html`x="${x.toFixed(1)}" width="${size}" height="${HEIGHT}"`;
  return html`<g><title>${title}</title><rect class="fill-${documentClass}" ${box} rx="1"/><rect class="hatch-${documentClass}" ${box} rx="1"/></g>`;
}

/** One class of a target against all of its documents; as wide as there is room. */
export function classBar(documentClass: DocumentClass, count: number, total: number): Html {
  const width = `${Math.max(1.5, (100 * count) / Math.max(1, total)).toFixed(2)}%`;
  const title = `${showCount(count)} of ${showCount(total)}`;
  return html`<svg class="bar" width="100%" height="${HEIGHT}" aria-hidden="true">${bar(documentClass, { x: 0, width, title })}</svg>`;
}

/** Patterns that `.hatch-…` of the stylesheet fills with; once in a page. */
export const HATCHES = html`<svg width="0" height="0" aria-hidden="true" class="defs"><defs>
<pattern id="hatch-up" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="1.6" height="5"/></pattern>
<pattern id="hatch-down" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><rect width="1.6" height="5"/></pattern>
<pattern id="hatch-dots" width="4" height="4" patternUnits="userSpaceOnUse"><circle cx="2" cy="2" r="0.9"/></pattern>
</defs></svg>`;

// Each target's collections: a bar of classes, the counts, what apply would create, and dangling references.

export function collectionsPart({ targets }: Report): Html {
  const compared = targets.filter(({ collections }) => collections.length > 0);
  if (compared.length === 0) return html``;
  const shape: Shape = {
    columns: classesOfTable(targets.map(({ counts }) => counts)),
    leftOut: LEFT_OUT.filter((each) => targets.some(({ outcomes }) => (outcomes[each] ?? 0) > 0)),
    dangles: targets.some(({ danglingReferences }) => danglingReferences > 0),
    largest: Math.max(...targets.flatMap(({ collections }) => collections.map(({ selected }) => selected))),
  };
  return html`<section class="panel">
<h2>Collections</h2>
<div class="scroll"><table class="counts">
<thead><tr><th scope="col">Collection</th><th scope="col">Selected</th><th scope="col" class="chart">Classes</th>${shape.columns.map(columnHead)}${shape.leftOut.map(leftOutHead)}${shape.dangles && html`<th scope="col">dangling</th>`}</tr></thead>
${targets.map((target, index) => targetRows(target, index, shape))}
</table></div>
<p class="legend quiet">${shape.columns.map(legendEntry)}</p>
${targets.filter(({ danglingReferences }) => danglingReferences > 0).map(danglingList)}
</section>`;
}

/** What the rows of all targets have in common. */
interface Shape {
  readonly columns: readonly DocumentClass[];
  /** They are counted in their classes as well. */
  readonly leftOut: readonly (typeof LEFT_OUT)[number][];
  readonly dangles: boolean;
  /** Documents of the largest collection, to whose scale the bars are drawn. */
  readonly largest: number;
}

function targetRows(
  target: ReportTarget,
  targetIndex: number,
  { columns, leftOut, dangles, largest }: Shape,
): Html {
  return html`<tbody>
<tr class="group"><th scope="rowgroup" colspan="${3 + columns.length + leftOut.length + Number(dangles)}">${target.target} <span class="quiet">${target.database}</span></th></tr>
${target.collections.map(
  (collection, index) => html`<tr>
<th scope="row">${collectionName(collection)}</th>
<td>${showCount(collection.selected)}</td>
<td class="chart">${stackedBar(collection.counts, largest)}</td>
${columns.map((each) => countCell(collection, { target: target.target, targetIndex, index }, each))}
${leftOut.map((each) => leftOutCell(openCounts(collection)[each]))}
${dangles && html`<td>${collection.danglingReferences === 0 ? ZERO : showCount(collection.danglingReferences)}</td>`}
</tr>`,
)}
</tbody>`;
}

const ZERO = html`<span class="zero">·</span>`;

function legendEntry(documentClass: DocumentClass): Html {
  const { symbol, one: name, meaning } = COMPARED[documentClass];
  return html`<span><span class="symbol ${documentClass}">${symbol}</span>${name}: ${meaning}</span> `;
}

function leftOutHead(outcome: (typeof LEFT_OUT)[number]): Html {
  return html`<th scope="col">of these ${OUTCOMES[outcome].symbol} ${OUTCOMES[outcome].many}</th>`;
}

function leftOutCell(count: number): Html {
  return html`<td>${count === 0 ? ZERO : showCount(count)}</td>`;
}

function columnHead(documentClass: DocumentClass): Html {
  const { symbol, one: name, meaning } = COMPARED[documentClass];
  return html`<th scope="col" title="${meaning}"><span class="symbol ${documentClass}">${symbol}</span> ${name}</th>`;
}

function collectionName({ collection, into, wouldCreate, whenMatched }: ReportCollection): Html {
  const indexes = wouldCreate?.indexes ?? 0;
  return html`<code>${into}</code>${into !== collection && html` <span class="quiet">from ${collection}</span>`}${wouldCreate !== undefined && html` <span class="tag">new, ${indexes} ${indexes === 1 ? 'index' : 'indexes'}</span>`}${whenMatched !== 'keepExisting' && html` <span class="tag">${whenMatched}</span>`}`;
}

interface Cell {
  readonly target: string;
  readonly targetIndex: number;
  readonly index: number;
}

function countCell(
  { counts, into }: ReportCollection,
  { target, targetIndex, index }: Cell,
  documentClass: DocumentClass,
): Html {
  const count = counts[documentClass];
  if (count === 0) return html`<td>${ZERO}</td>`;
  const label = `Show ${showCounted(count, 'document')}: ${COMPARED[documentClass].one}, ${target}, ${into}`;
  return html`<td><button type="button" data-filter data-target="${targetIndex}" data-collection="${index}" data-class="${ATTENTION_ORDER.indexOf(documentClass)}" aria-label="${label}">${showCount(count)}</button></td>`;
}

function danglingList({ target, collections, danglingReferences: total }: ReportTarget): Html {
  const shown = collections.flatMap(({ into, dangling }) =>
    dangling.map((reference) => ({ into, ...reference })),
  );
  const listed = shown.slice(0, DANGLING_LISTED);
  return html`<details><summary>${target}: ${showCounted(total, 'dangling reference')}: the parent is neither selected nor in the target</summary>
<div class="scroll"><table class="list"><thead><tr><th scope="col">Document</th><th scope="col">Field</th><th scope="col">Missing parent</th></tr></thead><tbody>
${listed.map(({ into, id, field, collection, missing }) => html`<tr><td><code>${into}</code> <code>${id}</code></td><td><code>${field}</code></td><td><code>${missing}</code> in <code>${collection}</code></td></tr>`)}
</tbody></table></div>
${total > listed.length && html`<p class="quiet">${showCount(total - listed.length)} more are not listed here.</p>`}
</details>`;
}

const DANGLING_LISTED = 500;
