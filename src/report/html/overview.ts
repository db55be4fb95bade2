/** The top of the page: what this is, and for each target in a card what would happen and what is in the way. */
import { ATTENTION_ORDER, COMPARED, type DocumentClass } from '../../outcomes.ts';
import { CLASSES_IN_TABLES } from '../document-classes.ts';
import { showCount, showCounted, showDuration } from '../quantities.ts';
import type { Report, ReportBackup, ReportTarget } from '../report-model.ts';
import { calmParts, troublesOf } from '../sum.ts';
import { classBar, HATCHES } from './charts.ts';
import { warningsPart } from './facts.ts';
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
