/** The dependents graph as SVG: parents on the left, their dependents to the right; dashed lines to parents that must exist. */
import type { DependentsGraph, GraphEdge } from '../dependents-graph.ts';
import { showCounted } from '../quantities.ts';
import { type Box, type Line, layOutGraph } from './graph-layout.ts';
import { type Html, html } from './html.ts';

const LARGEST = 300;

export function graphPart(graph: DependentsGraph): Html {
  if (graph.edges.length === 0) return html``;
  return html`<section class="panel"><h2>How the collections hang together</h2>
${graph.nodes.length > LARGEST ? html`<p class="empty">${showCounted(graph.nodes.length, 'collection')}: too many to draw.</p>` : drawing(graph)}
</section>`;
}

function drawing(graph: DependentsGraph): Html {
  const { width, height, boxes, lines } = layOutGraph(graph);
  return html`<div class="scroll">
<svg class="graph" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${graph.edges.map(spoken).join('; ')}">
<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>
${lines.map(linePath)}
${boxes.map(boxRect)}
${lines.map(lineLabel)}
</svg></div>
<p class="quiet">Solid: documents selected because they belong to a parent. Dashed: a parent that must exist, in the selection or in the target.</p>`;
}

function boxRect({ node, name, count, x, y, width, height }: Box): Html {
  const middle = y + height / 2;
  return html`<g class="${node.selected === undefined ? 'node outside' : 'node'}"><title>${node.collection}</title>
<rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${height}" rx="6"/>
<text class="name" x="${(x + 14).toFixed(1)}" y="${middle - 4}">${name}</text>
<text class="count" x="${(x + 14).toFixed(1)}" y="${middle + 13}">${count}</text></g>`;
}

function linePath({ edge, path }: Line): Html {
  return html`<path class="edge ${edge.kind}" d="${path}" marker-end="url(#arrow)"><title>${meaning(edge)}</title></path>`;
}

function lineLabel({ edge, label, labelX, labelY }: Line): Html {
  return html`<text class="label" x="${labelX.toFixed(1)}" y="${labelY.toFixed(1)}"><title>${meaning(edge)}</title>${label}</text>`;
}

function meaning({ kind, from, to, field, localKey }: GraphEdge): string {
  return kind === 'dependent'
    ? `${to}.${field} = ${from}.${localKey}`
    : `${from}.${field} must be the _id of a document of ${to}`;
}

function spoken({ kind, from, to, field }: GraphEdge): string {
  return kind === 'dependent'
    ? `${to} belongs to ${from} by ${field}`
    : `${from} refers to ${to} by ${field}`;
}
