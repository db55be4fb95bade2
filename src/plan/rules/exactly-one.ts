/** Of some keys a map must have exactly one. */
import { faultAt, type PlanFault } from '../fault.ts';
import { type MapNode, nodeAt, type PathPart, pathText, placeAt } from '../nodes.ts';

export interface Choice {
  readonly keys: readonly string[];
  /** What each of them is, for messages: `location`. */
  readonly what: string;
}

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
