/** The top of the page: what this is, and for each target in a card what would happen and what is in the way. */

import { ATTENTION_ORDER, COMPARED, type DocumentClass } from '../../outcomes.ts';
import { showBytes, showCount, showCounted, showDuration } from '../../text/quantities.ts';
import { CLASSES_IN_TABLES, HELD_BACK } from '../document-classes.ts';
import { oplogSentences } from '../oplog-told.ts';
import { allWarnings, type Report, type ReportBackup, type ReportTarget } from '../report-model.ts';
import { calmParts, troublesOf } from '../sum.ts';
import { classBar, HATCHES } from './charts.ts';
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
  return html`<article class="card">
<h2>${target.target}</h2>
<p class="quiet">${target.database} · ${target.server}</p>
<p class="verdict">${calmParts(outcomes).join(', ')}</p>
<p class="${troubles.length === 0 ? 'clear' : 'trouble'}">${troubles.length === 0 ? '✓ nothing in the way' : `⚠ ${troubles.join(' · ')}`}</p>
<ul class="classes">
${shown.map((each) => classLine({ target, index, total }, each))}
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
