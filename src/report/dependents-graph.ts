/** The plan's collections and how they hang together: parents and dependents, and references to parents that must exist. */
import type { Plan, RestoredCollection } from '../plan/plan.ts';
import type { SelectionManifest } from '../selection/selection.ts';
import { name } from '../text/escape.ts';

export interface GraphNode {
  readonly collection: string;
  /** Documents selected; undefined for a collection that is only referred to. */
  readonly selected: number | undefined;
  /** Parents' steps above it: 0 for a collection with a query of its own, the longest route otherwise. */
  readonly level: number;
}

export interface GraphEdge {
  /** dependent: `from` is the parent, `to` the dependent. reference: `from` refers to a document of `to`. */
  readonly kind: 'dependent' | 'reference';
  readonly from: string;
  readonly to: string;
  /** The field that holds the key, in the dependent or in the referring document. */
  readonly field: string;
  /** Field of the parent that it equals. */
  readonly localKey: string;
}

export interface DependentsGraph {
  /** In the order of the plan, parents first; collections that are only referred to last. */
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

export function dependentsGraph(plan: Plan, manifest: SelectionManifest): DependentsGraph {
  const levels = new Map<string, number>();
  const edges = new Map<string, GraphEdge>();
  const addEdge = (edge: GraphEdge): void => {
    edges.set([edge.kind, edge.from, edge.to, edge.field, edge.localKey].join('\0'), edge);
  };
  const visit = (entry: RestoredCollection, level: number): void => {
    const from = name(entry.collection);
    levels.set(from, Math.max(level, levels.get(from) ?? 0));
    for (const { field, collection } of entry.references) {
      addEdge({ kind: 'reference', from, to: name(collection), field: name(field), localKey: '_id' });
    }
    for (const dependent of entry.dependents) {
      const to = name(dependent.collection);
      const { foreignKey, localKey } = dependent;
      addEdge({ kind: 'dependent', from, to, field: name(foreignKey), localKey: name(localKey) });
      visit(dependent, to === from ? level : level + 1);
    }
  };
  for (const entry of plan.collections) visit(entry, 0);
  const planned = new Set(levels.keys());
  const deepest = Math.max(0, ...levels.values());
  for (const { to } of edges.values()) if (!levels.has(to)) levels.set(to, deepest + 1);

  const selected = new Map(manifest.collections.map(({ collection, count }) => [name(collection), count]));
  return {
    nodes: [...levels].map(([collection, level]) => ({
      collection,
      selected: planned.has(collection) ? (selected.get(collection) ?? 0) : undefined,
      level,
    })),
    edges: [...edges.values()],
  };
}
