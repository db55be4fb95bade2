/**
 * Everything that is wrong with a query, not only the first thing: what is at fault is taken out, and the rest is read
 * again. A fault that only follows from what was taken out is not told.
 */
import { compileQuery } from './compile-query.ts';
import { parseQuery, readShellQuery } from './parse-query.ts';
import { QueryFault } from './query-fault.ts';

/** Nobody corrects more at once; each costs one more compilation. */
const AT_MOST = 20;

/** `value`: as `parseQuery` takes it. It is taken apart meanwhile, so hand in one of your own. Empty: a good query. */
export function queryFaults(value: unknown, collection?: string): QueryFault[] {
  const faults: QueryFault[] = [];
  const taken = new Set<string>();
  let tree = value;
  try {
    if (typeof value === 'string') tree = readShellQuery(value, collection);
  } catch (error) {
    return [asQueryFault(error)];
  }
  while (faults.length < AT_MOST) {
    const fault = firstFault(tree);
    if (fault === undefined || taken.has(fault.path)) break;
    if (!followsFrom(fault.path, taken)) faults.push(fault);
    taken.add(fault.path);
    if (!takeOut(tree, fault.path)) break;
  }
  return faults;
}

function firstFault(tree: unknown): QueryFault | undefined {
  try {
    compileQuery(parseQuery(tree));
    return undefined;
  } catch (error) {
    return asQueryFault(error);
  }
}

function asQueryFault(error: unknown): QueryFault {
  if (error instanceof QueryFault) return error;
  throw error;
}

/** Something above what was taken out is incomplete without it, and so are `$options` without their `$regex`. */
function followsFrom(path: string, taken: ReadonlySet<string>): boolean {
  const owner = path.endsWith('.$options') ? path.slice(0, -'$options'.length) : undefined;
  return [...taken].some(
    (other) => other.startsWith(`${path}.`) || (owner !== undefined && other.startsWith(owner)),
  );
}

/** Whether there was something at the dotted path. What is empty afterwards goes with it. Keys may hold dots. */
function takeOut(tree: unknown, path: string): boolean {
  if (Array.isArray(tree)) {
    const [index = ''] = path.split('.', 1);
    const place = Number(index);
    if (!(place in tree)) return false;
    // The others keep their places, which later faults name.
    if (path === index) tree[place] = tree[place] instanceof Map ? new Map() : null;
    else return takeOut(tree[place], path.slice(index.length + 1));
    return true;
  }
  if (!(tree instanceof Map)) return false;
  for (const [key, value] of tree as Map<string, unknown>) {
    if (path === key) return tree.delete(key);
    if (!path.startsWith(`${key}.`) || !takeOut(value, path.slice(key.length + 1))) continue;
    if (value instanceof Map && value.size === 0) tree.delete(key);
    return true;
  }
  return false;
}
