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
