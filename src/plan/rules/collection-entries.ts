/** All entries of the plan that restore a collection, roots and dependents, in the order of the file. */
import { itemsAt, type MapNode, nodeAt, type PathPart, textAt } from '../nodes.ts';

export interface CollectionEntry {
  /** Name inside the backup. */
  readonly name: string;
  readonly node: MapNode;
  /** Path of the entry, such as collections[0].dependents[1]. */
  readonly path: readonly PathPart[];
  /** The entries it hangs below, the root first; empty for a root. */
  readonly parents: readonly CollectionEntry[];
}

/** Entries without a usable name are left out: the schema has a fault for them. */
export function collectionEntries(root: MapNode): CollectionEntry[] {
  const collect = (path: readonly PathPart[], parents: readonly CollectionEntry[]): CollectionEntry[] =>
    itemsAt(root, ...path).flatMap((node, i) => {
      const name = textAt(node, 'collection');
      if (node.kind !== 'map' || name === undefined || name === '') return [];
      const entry = { name, node, path: [...path, i], parents };
      return [entry, ...collect([...entry.path, 'dependents'], [...parents, entry])];
    });
  return nodeAt(root, 'collections')?.kind === 'list' ? collect(['collections'], []) : [];
}
