/** Of some keys a map must have exactly one. */
import { faultAt, type PlanFault } from '../fault.ts';
import { type MapNode, nodeAt, type PathPart, pathText, placeAt } from '../nodes.ts';

export function exactlyOne(root: MapNode, path: readonly PathPart[], keys: readonly string[]): PlanFault[] {
  const map = nodeAt(root, ...path);
  if (map?.kind !== 'map') return [];
  const [first, ...others] = [...map.entries.keys()].filter((key) => keys.includes(key));
  const expected = `exactly one of ${keys.join(', ')}`;
  const subject = pathText(path);
  if (first === undefined) {
    return [
      faultAt(placeAt(root, ...path), 'missing-key', {
        message: `${subject} has none of ${keys.join(', ')}`,
        expected,
      }),
    ];
  }
  const related = [{ place: placeAt(root, ...path, first), message: `${first} is here` }];
  return others.map((key) => {
    const message = `${subject} has \`${key}\` besides \`${first}\``;
    return faultAt(placeAt(root, ...path, key), 'value', { message, expected, related });
  });
}
