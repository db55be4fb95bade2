/** Each target's collections: a bar of classes, the counts, what apply would create, and dangling references. */
import { ATTENTION_ORDER, COMPARED, type DocumentClass } from '../../outcomes.ts';
import { showCount, showCounted } from '../../text/quantities.ts';
import { classesOfTable } from '../document-classes.ts';
import type { Report, ReportCollection, ReportTarget } from '../report-model.ts';
import { stackedBar } from './charts.ts';
import { type Html, html } from './html.ts';

export function collectionsPart({ targets }: Report): Html {
  const compared = targets.filter(({ collections }) => collections.length > 0);
  if (compared.length === 0) return html``;
  const shape: Shape = {
    columns: classesOfTable(targets.map(({ counts }) => counts)),
    dangles: targets.some(({ danglingReferences }) => danglingReferences > 0),
    largest: Math.max(...targets.flatMap(({ collections }) => collections.map(({ selected }) => selected))),
  };
  return html`<section class="panel">
<h2>Collections</h2>
<div class="scroll"><table class="counts">
<thead><tr><th scope="col">Collection</th><th scope="col">Selected</th><th scope="col" class="chart">Classes</th>${shape.columns.map(columnHead)}${shape.dangles && html`<th scope="col">dangling</th>`}</tr></thead>
${targets.map((target, index) => targetRows(target, index, shape))}
</table></div>
<p class="legend quiet">${shape.columns.map(legendEntry)}</p>
${targets.filter(({ danglingReferences }) => danglingReferences > 0).map(danglingList)}
</section>`;
}

/** What the rows of all targets have in common. */
interface Shape {
  readonly columns: readonly DocumentClass[];
  readonly dangles: boolean;
  /** Documents of the largest collection, to whose scale the bars are drawn. */
  readonly largest: number;
}

function targetRows(target: ReportTarget, targetIndex: number, { columns, dangles, largest }: Shape): Html {
  return html`<tbody>
<tr class="group"><th scope="rowgroup" colspan="${3 + columns.length + Number(dangles)}">${target.target} <span class="quiet">${target.database}</span></th></tr>
${target.collections.map(
  (collection, index) => html`<tr>
<th scope="row">${collectionName(collection)}</th>
<td>${showCount(collection.selected)}</td>
<td class="chart">${stackedBar(collection.counts, largest)}</td>
${columns.map((each) => countCell(collection, { target: target.target, targetIndex, index }, each))}
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
