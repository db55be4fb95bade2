/**
 * Places for the boxes and lines of the dependents graph, in pixels. Collections stand in columns by level. A line leaves its box on
 * the right and arrives on the left, where each has a height and a label of its own; one that does not go to the next column runs
 * below the boxes.
 */

import { truncated } from '../../text/escape.ts';
import { showCounted } from '../../text/quantities.ts';
import type { DependentsGraph, GraphEdge, GraphNode } from '../report-model.ts';
import { type Html, html } from './html.ts';

/** Text is set in a monospace font of 13 px, so that its width is known here. */
const CHARACTER = 7.9;
const NAME_LIMIT = 32;
const FIELD_LIMIT = 30;
const MARGIN = 14;
const BOX_HEIGHT = 46;
const BETWEEN_BOXES = 26;
const LEAST_GAP = 70;
/** Between arriving lines, which have a label each. */
const PORT = 20;
/** Between lines that run below the boxes. */
const LANE = 12;
/** Length of the arrow's head and a little space. */
const ARROW = 12;

interface Box {
  readonly node: GraphNode;
  /** From 0 on the left. */
  readonly column: number;
  readonly name: string;
  readonly count: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Line {
  readonly edge: GraphEdge;
  /** SVG path data. */
  readonly path: string;
  readonly label: string;
  /** Where the label ends. */
  readonly labelX: number;
  readonly labelY: number;
}

interface GraphLayout {
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly Box[];
  readonly lines: readonly Line[];
}

function layOutGraph(graph: DependentsGraph): GraphLayout {
  const boxes = placeBoxes(graph);
  const all = [...boxes.values()];
  const bottom = Math.max(...all.map(({ y, height }) => y + height)) + LANE;
  let lanes = 0;
  const lines = graph.edges.map((edge): Line => {
    const from = boxes.get(edge.from) as Box;
    const to = boxes.get(edge.to) as Box;
    const y = portOf(graph, edge, to);
    const start = { x: from.x + from.width, y: from.y + from.height / 2 };
    const end = { x: to.x - 2, y };
    const path =
      from === to
        ? below(start, end, to.y + to.height + LANE)
        : to.column === from.column + 1
          ? curve(start, end)
          : below(start, end, bottom + LANE * lanes++);
    return { edge, path, label: truncated(edge.field, FIELD_LIMIT), labelX: to.x - ARROW, labelY: y - 5 };
  });
  return {
    width: Math.ceil(Math.max(...all.map(({ x, width }) => x + width)) + MARGIN * 3),
    height: Math.ceil(bottom + LANE * lanes + MARGIN),
    boxes: all,
    lines,
  };
}

function placeBoxes(graph: DependentsGraph): Map<string, Box> {
  const levels = [...new Set(graph.nodes.map(({ level }) => level))].sort((a, b) => a - b);
  const boxes = new Map<string, Box>();
  let x = MARGIN;
  for (const [column, level] of levels.entries()) {
    const nodes = graph.nodes.filter((node) => node.level === level);
    const labels = nodes.flatMap((node) => arriving(graph, node.collection)).map(labelWidth);
    x += Math.max(column === 0 ? 0 : LEAST_GAP, ...labels);
    const width = Math.max(...nodes.map(boxWidth));
    let y = MARGIN;
    for (const node of nodes) {
      const ports = arriving(graph, node.collection).length;
      const height = Math.max(BOX_HEIGHT, (ports + 1) * PORT);
      const name = truncated(node.collection, NAME_LIMIT);
      boxes.set(node.collection, { node, column, name, count: countText(node), x, y, width, height });
      y += height + BETWEEN_BOXES;
    }
    x += width;
  }
  return boxes;
}

function arriving({ edges }: DependentsGraph, collection: string): GraphEdge[] {
  return edges.filter(({ to }) => to === collection);
}

function labelWidth({ field }: GraphEdge): number {
  return Math.min(field.length, FIELD_LIMIT) * CHARACTER + ARROW + MARGIN * 2;
}

function boxWidth(node: GraphNode): number {
  const characters = Math.max(Math.min(node.collection.length, NAME_LIMIT), countText(node).length);
  return characters * CHARACTER + MARGIN * 2;
}

function countText({ selected }: GraphNode): string {
  return selected === undefined ? 'only referred to' : showCounted(selected, 'document');
}

/** The height at which a line arrives: its own among those of its box, around the middle. */
function portOf(graph: DependentsGraph, edge: GraphEdge, { node, y, height }: Box): number {
  const all = arriving(graph, node.collection);
  return y + height / 2 + (all.indexOf(edge) - (all.length - 1) / 2) * PORT;
}

interface Point {
  readonly x: number;
  readonly y: number;
}

function curve(start: Point, end: Point): string {
  // Straight for the length of the arrow's head, and steep only near the start, so that labels stay free.
  const bend = Math.min(start.x + LEAST_GAP * 0.6, (start.x + end.x) / 2);
  return `M${at(start)}C${at({ x: bend, y: start.y })} ${at({ x: bend, y: end.y })} ${at({ x: bend + 20, y: end.y })}L${at(end)}`;
}

function below(start: Point, end: Point, lane: number): string {
  const right = start.x + MARGIN;
  const left = end.x - ARROW * 1.5;
  return `M${at(start)}H${right}V${lane}H${left}V${end.y}H${end.x}`;
}

function at({ x, y }: Point): string {
  return `${x.toFixed(1)} ${y.toFixed(1)}`;
}

// The dependents graph as SVG: parents on the left, their dependents to the right; dashed lines to parents that must exist.

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
