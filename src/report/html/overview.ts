/** The top of the page: what this is, and for each target in a card what would happen and what is in the way. */
import type { DocumentClass } from '../../comparison/comparison.ts';
import { CLASS_WORDS, CLASSES, CLASSES_IN_TABLES } from '../document-classes.ts';
import { showCount, showCounted, showDuration } from '../quantities.ts';
import type { Report, ReportBackup, ReportTarget } from '../report-model.ts';
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
  const { counts, replaced, kept } = target;
  const total = CLASSES.reduce((sum, each) => sum + counts[each], 0);
  const shown = CLASSES_IN_TABLES.filter((each) => counts[each] > 0);
  const troubles = troublesOf(target);
  return html`<article class="card">
<h2>${target.target}</h2>
<p class="quiet">${target.database} · ${target.server}</p>
<p class="verdict"><strong>${showCount(counts.insert)}</strong> to insert${replaced > 0 && html`, <strong>${showCount(replaced)}</strong> to replace`}${kept > 0 && html`, <strong>${showCount(kept)}</strong> of other content to leave unchanged`}</p>
<p class="${troubles.length === 0 ? 'clear' : 'trouble'}">${troubles.length === 0 ? '✓ nothing in the way' : `⚠ ${troubles.join(' · ')}`}</p>
<ul class="classes">
${shown.map((each) => classLine({ target, index, total }, each))}
${total === 0 && html`<li class="empty">No documents were compared.</li>`}
</ul>
</article>`;
}

/** What a reviewer has to think about. */
function troublesOf({ counts, failed, danglingReferences }: ReportTarget): string[] {
  return [
    counts.conflict > 0 && showCounted(counts.conflict, 'conflict'),
    counts.refused > 0 && `${showCount(counts.refused)} refused`,
    counts.stale > 0 && `${showCount(counts.stale)} stale`,
    danglingReferences > 0 && showCounted(danglingReferences, 'dangling reference'),
    failed > 0 && `apply would stop at ${showCounted(failed, 'document')} already there`,
  ].filter((trouble) => trouble !== false);
}

interface Share {
  readonly target: ReportTarget;
  readonly index: number;
  readonly total: number;
}

function classLine({ target, index, total }: Share, documentClass: DocumentClass): Html {
  const { symbol, name, meaning } = CLASS_WORDS[documentClass];
  const count = target.counts[documentClass];
  return html`<li><button type="button" data-filter data-target="${index}" data-class="${CLASSES.indexOf(documentClass)}" title="${meaning}" aria-label="Show ${showCounted(count, 'document')}: ${name}, ${target.target}"><span class="symbol ${documentClass}">${symbol}</span><span class="name">${name}</span>${classBar(documentClass, count, total)}<span class="number">${showCount(count)}</span></button></li>`;
}
