/** Where the documents come from, what else to know, and what is to be done afterwards. */
import { HELD_BACK } from '../document-classes.ts';
import { oplogSentences } from '../oplog-told.ts';
import { showBytes, showCounted, showDuration } from '../quantities.ts';
import { allWarnings, type Report } from '../report-model.ts';
import { type Html, html } from './html.ts';

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
export function warningsPart(report: Report): Html | undefined {
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
