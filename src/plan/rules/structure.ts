/** Questions that several rules ask about the structure of a plan: its entries, one key of several, repeats, ways along names. */

import { faultAt, type PlanFault } from '../fault.ts';
import { itemsAt, type MapNode, nodeAt, type PathPart, pathText, placeAt, textAt } from '../nodes.ts';

export interface CollectionEntry {
  /** Name inside the backup. */
  readonly name: string;
  readonly node: MapNode;
  /** Path of the entry, such as collections[0].dependents[1]. */
  readonly path: readonly PathPart[];
  /** The entries it hangs below, the root first; empty for a root. */
  readonly parents: readonly CollectionEntry[];
}

/**
 * All entries of the plan that restore a collection, roots and dependents, in the order of the file.
 * Those without a usable name are left out: the schema has a fault for them.
 */
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

interface Choice {
  readonly keys: readonly string[];
  /** What each of them is, for messages: `location`. */
  readonly what: string;
}

/** Of some keys a map must have exactly one. */
export function exactlyOne(root: MapNode, path: readonly PathPart[], { keys, what }: Choice): PlanFault[] {
  const map = nodeAt(root, ...path);
  if (map?.kind !== 'map') return [];
  const [first, ...others] = [...map.entries.keys()].filter((key) => keys.includes(key));
  const expected = `exactly one of ${keys.join(', ')}`;
  const subject = pathText(path);
  if (first === undefined) {
    return [
      faultAt(placeAt(root, ...path), 'missing-key', { message: `${subject} has no ${what}`, expected }),
    ];
  }
  const related = [{ place: placeAt(root, ...path, first), message: `${first} is here` }];
  return others.map((key) => {
    const message = `${subject} has more than one ${what}: \`${key}\` besides \`${first}\``;
    return faultAt(placeAt(root, ...path, key), 'value', { message, expected, related });
  });
}
interface Repeat<Entry> {
  readonly entry: Entry;
  readonly first: Entry;
}

/** The entries whose key an earlier one has, each with the first one that has it. */
export function repeats<Entry>(entries: readonly Entry[], keyOf: (entry: Entry) => string): Repeat<Entry>[] {
  const firsts = new Map<string, Entry>();
  return entries.flatMap((entry) => {
    const key = keyOf(entry);
    const first = firsts.get(key);
    if (first !== undefined) return [{ entry, first }];
    firsts.set(key, entry);
    return [];
  });
}
/**
 * The shortest way from one name to another along links, both included; from a name to itself it is a circle. Undefined
 * when there is none. Looks at each name once, whatever the links look like.
 */
export function wayBetween(
  from: string,
  to: string,
  linksOf: (name: string) => Iterable<string>,
): string[] | undefined {
  const cameFrom = new Map<string, string>();
  const reached = [from];
  // The list grows while it is gone through.
  for (const name of reached) {
    for (const next of linksOf(name)) {
      if (next === to) return [...wayTo(name, from, cameFrom), to];
      if (next === from || cameFrom.has(next)) continue;
      cameFrom.set(next, name);
      reached.push(next);
    }
  }
  return undefined;
}

function wayTo(name: string, from: string, cameFrom: ReadonlyMap<string, string>): string[] {
  const way = [name];
  for (let at = name; at !== from; way.push(at)) at = cameFrom.get(at) as string;
  return way.reverse();
}
