/** The plan's collections as a mermaid flowchart: solid arrows to dependents, dotted ones to parents that must exist. */
import type { DependentsGraph } from '../dependents-graph.ts';
import { showCounted } from '../quantities.ts';
import { fenced } from './markdown-text.ts';

export function mermaidGraph({ nodes, edges }: DependentsGraph): string {
  const nameOf = new Map(nodes.map(({ collection }, index) => [collection, `c${index}`]));
  return fenced('mermaid', [
    'flowchart LR',
    ...nodes.map(({ collection, selected }) => {
      const count = selected === undefined ? 'only referred to' : showCounted(selected, 'document');
      const label = `"${quoted(`${collection} · ${count}`)}"`;
      return `  ${nameOf.get(collection)}${selected === undefined ? `([${label}])` : `[${label}]`}`;
    }),
    ...edges.map(({ kind, from, to, field }) => {
      const arrow = kind === 'dependent' ? '-->' : '-.->';
      return `  ${nameOf.get(from)} ${arrow}|"${quoted(field)}"| ${nameOf.get(to)}`;
    }),
  ]);
}

/** Mermaid's own entities, for every sign that mermaid or Markdown could act on. */
function quoted(text: string): string {
  return text.replace(/[^\p{L}\p{N} _.·,-]/gu, (character) => `#${character.codePointAt(0)};`);
}
