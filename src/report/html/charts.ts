/** Small charts as SVG. Colours come from the page's stylesheet by class name; hatching tells troubles apart without colour. */
import { COMPARED, type DocumentClass } from '../../outcomes.ts';
import { countedAs, showCount } from '../../text/quantities.ts';
import { CLASSES_IN_TABLES, type ClassCounts } from '../document-classes.ts';
import { type Html, html } from './html.ts';

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
