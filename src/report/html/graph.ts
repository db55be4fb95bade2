/** The dependents graph as SVG: parents on the left, their dependents to the right; dashed lines to parents that must exist. */
import type { DependentsGraph, GraphEdge, GraphNode } from '../dependents-graph.ts';
import { truncated } from '../neutral.ts';
import { showCounted } from '../quantities.ts';
import { type Html, html } from './html.ts';

/** Pixels. Names are set in a monospace font of 13 px, so that their width is known here. */
const CHARACTER = 7.9;
const NAME_LIMIT = 32;
const FIELD_LIMIT = 28;
const PADDING = 14;
const BOX_HEIGHT = 46;
const ROW = 76;
const LEAST_GAP = 90;
/** Lines between the same two collections are drawn this far apart. */
const PARALLEL = 18;
const LARGEST = 300;

interface Box {
  readonly node: GraphNode;
  readonly x: number;
  readonly y: number;
  readonly width: number;
}

export function graphPart(graph: DependentsGraph): Html {
  if (graph.edges.length === 0) return html``;
  if (graph.nodes.length > LARGEST) {
    return html`<section class="panel"><h2>How the collections hang together</h2><p class="empty">${showCounted(graph.nodes.length, 'collection')}: too many to draw.</p></section>`;
  }
  const boxes = boxesOf(graph);
  const width = Math.max(...[...boxes.values()].map((box) => box.x + box.width)) + PADDING * 4;
  const height = Math.max(...[...boxes.values()].map(({ y }) => y)) + BOX_HEIGHT + PADDING * 3;
  return html`<section class="panel"><h2>How the collections hang together</h2><div class="scroll">
<svg class="graph" viewBox="0 0 ${Math.ceil(width)} ${Math.ceil(height)}" width="${Math.ceil(width)}" height="${Math.ceil(height)}" role="img" aria-label="${spoken(graph)}">
<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z"/></marker></defs>
${graph.edges.map((edge, index) => edgeLine(edge, { boxes, parallel: parallelOf(graph, index) }))}
${[...boxes.values()].map(nodeBox)}
</svg></div><p class="quiet">Solid: documents selected because they belong to a parent. Dashed: a parent that must exist, in the selection or in the target.</p></section>`;
}

function boxesOf({ nodes, edges }: DependentsGraph): Map<string, Box> {
  const levels = [...new Set(nodes.map(({ level }) => level))].sort((a, b) => a - b);
  const boxes = new Map<string, Box>();
  let x = PADDING;
  for (const level of levels) {
    const column = nodes.filter((node) => node.level === level);
    const width = Math.max(...column.map(boxWidth));
    for (const [index, node] of column.entries()) {
      boxes.set(node.collection, { node, x, y: PADDING + index * ROW, width });
    }
    const names = new Set(column.map(({ collection }) => collection));
    const labels = edges
      .filter(({ from, to }) => names.has(from) || names.has(to))
      .map(({ field }) => Math.min(field.length, FIELD_LIMIT) * CHARACTER + PADDING * 3);
    x += width + Math.max(LEAST_GAP, ...labels);
  }
  return boxes;
}

function boxWidth(node: GraphNode): number {
  const characters = Math.max(Math.min(node.collection.length, NAME_LIMIT), countText(node).length);
  return characters * CHARACTER + PADDING * 2;
}

function countText({ selected }: GraphNode): string {
  return selected === undefined ? 'only referred to' : showCounted(selected, 'document');
}

/** How many lines before this one join the same two collections. */
function parallelOf({ edges }: DependentsGraph, index: number): number {
  const { from, to } = edges[index] as GraphEdge;
  return edges.slice(0, index).filter((edge) => edge.from === from && edge.to === to).length;
}

function nodeBox({ node, x, y, width }: Box): Html {
  return html`<g class="${node.selected === undefined ? 'node outside' : 'node'}"><title>${node.collection}</title>
<rect x="${x}" y="${y}" width="${width}" height="${BOX_HEIGHT}" rx="6"/>
<text class="name" x="${x + PADDING}" y="${y + 19}">${truncated(node.collection, NAME_LIMIT)}</text>
<text class="count" x="${x + PADDING}" y="${y + 36}">${countText(node)}</text></g>`;
}

interface EdgePlace {
  readonly boxes: ReadonlyMap<string, Box>;
  readonly parallel: number;
}

function edgeLine({ kind, from, to, field, localKey }: GraphEdge, { boxes, parallel }: EdgePlace): Html {
  const start = boxes.get(from) as Box;
  const end = boxes.get(to) as Box;
  const { path, labelX, labelY } =
    start.x < end.x ? forward(start, end, parallel) : around(start, end, parallel);
  const title =
    kind === 'dependent'
      ? `${to}.${field} = ${from}.${localKey}`
      : `${from}.${field} must be the _id of a document of ${to}`;
  return html`<g class="edge ${kind}"><title>${title}</title><path d="${path}" marker-end="url(#arrow)"/>
<text x="${labelX.toFixed(1)}" y="${labelY.toFixed(1)}">${truncated(field, FIELD_LIMIT)}</text></g>`;
}

interface Line {
  readonly path: string;
  readonly labelX: number;
  readonly labelY: number;
}

function forward(start: Box, end: Box, parallel: number): Line {
  const x1 = start.x + start.width;
  const y1 = start.y + BOX_HEIGHT / 2 + parallel * PARALLEL;
  const y2 = end.y + BOX_HEIGHT / 2 + parallel * PARALLEL;
  const middle = (x1 + end.x) / 2;
  return {
    path: `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${end.x - 2} ${y2}`,
    labelX: middle,
    labelY: (y1 + y2) / 2 - 6,
  };
}

/** To the same collection, or back to the left: out at the right and in from below. */
function around(start: Box, end: Box, parallel: number): Line {
  const x1 = start.x + start.width;
  const y1 = start.y + BOX_HEIGHT / 2;
  const x2 = end.x + end.width / 2 + parallel * PARALLEL;
  const y2 = end.y + BOX_HEIGHT;
  const low = Math.max(start.y, end.y) + BOX_HEIGHT + PADDING * 1.6 + parallel * PARALLEL;
  return {
    path: `M${x1} ${y1}C${x1 + 40} ${y1} ${x1 + 40} ${low} ${x1 - 10} ${low}L${x2 + 10} ${low}C${x2} ${low} ${x2} ${low} ${x2} ${y2 + 2}`,
    labelX: (x1 + x2) / 2,
    labelY: low - 5,
  };
}

function spoken({ edges }: DependentsGraph): string {
  return edges
    .map(({ kind, from, to, field }) =>
      kind === 'dependent' ? `${to} belongs to ${from} by ${field}` : `${from} refers to ${to} by ${field}`,
    )
    .join('; ');
}
