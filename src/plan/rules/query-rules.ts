/** Reads and compiles every query of the plan; what the engine cannot answer exactly is a fault at its place. */
import type { QueryFault } from '../../query/query-fault.ts';
import { queryFaults } from '../../query/query-faults.ts';
import { faultAt, type Place, type PlanFault } from '../fault.ts';
import { nearest } from '../nearest.ts';
import {
  eachScalar,
  headOf,
  holdsUnjudged,
  type MapNode,
  nodeAt,
  orderedValue,
  type PlanNode,
} from '../nodes.ts';
import { collectionEntries } from './collection-entries.ts';
import { brokenOutVariables, emptyValues, misreadTexts } from './misread-values.ts';

export function queryRules(root: MapNode): PlanFault[] {
  const queries = collectionEntries(root).flatMap(({ path, name }) => [
    { path: [...path, 'query'], name },
    { path: [...path, 'softDelete'], name },
  ]);
  return queries.flatMap(({ path, name }) => {
    const node = nodeAt(root, ...path);
    if (node === undefined || !isQuery(node) || holdsUnjudged(node)) return [];
    const brokenOut = brokenOutVariables(node);
    if (brokenOut.length > 0) return brokenOut;
    const misread = misreadTexts(node);
    // What an operator says of a text that is misread helps nobody.
    const others = queryFaults(orderedValue(node), name).filter(
      ({ path: at }) => !misread.some((each) => each.path === at),
    );
    return [
      ...emptyValues(node),
      ...misread.map(({ fault }) => fault),
      ...others.map((fault) => queryFault(node, fault)),
    ];
  });
}

/** A fault of an unknown operator ends in the list of those that there are. */
function queryFault(query: PlanNode, { message, path, expected }: QueryFault): PlanFault {
  const [problem = '', supported] = withoutValues(message, query).split('; supported are ');
  // A text has one place for all that is in it, so the path is said.
  const where = query.kind === 'scalar' && path !== '' ? `${withoutValues(path, query)}: ` : '';
  return faultAt(placeInQuery(query, path), 'query', {
    message: where + problem,
    expected: supported === undefined ? expected && withoutValues(expected, query) : `one of ${supported}`,
    suggestion:
      supported === undefined ? undefined : nearest(path.split('.').at(-1) ?? '', supported.split(', ')),
  });
}

function isQuery(node: PlanNode): boolean {
  return (
    node.kind === 'map' || (node.kind === 'scalar' && typeof node.value === 'string' && node.value !== '')
  );
}

/** The key or value that a dotted path inside the query leads to, as far as it can be followed. Keys may hold dots. */
function placeInQuery(query: PlanNode, path: string): Place {
  let node = query;
  let place = headOf(query);
  let rest = path;
  while (rest !== '') {
    const step = stepInto(node, rest);
    if (step === undefined) break;
    ({ node, place, rest } = step);
  }
  return place;
}

function stepInto(node: PlanNode, path: string): { node: PlanNode; place: Place; rest: string } | undefined {
  if (node.kind === 'map') {
    for (const [key, entry] of node.entries) {
      if (path === key || path.startsWith(`${key}.`))
        return { node: entry.value, place: entry.keyPlace, rest: path.slice(key.length + 1) };
    }
  }
  if (node.kind === 'list') {
    const [index = ''] = path.split('.', 1);
    const item = node.items[Number(index)];
    if (item !== undefined) return { node: item, place: headOf(item), rest: path.slice(index.length + 1) };
  }
  return undefined;
}

/** The fault may quote the query; what came from a variable goes back to being its name. */
function withoutValues(message: string, query: PlanNode): string {
  let out = message;
  eachScalar(query, ({ value, written }) => {
    if (typeof value === 'string' && typeof written === 'string' && value !== written && value !== '') {
      out = out.replaceAll(value, written);
    }
  });
  return out;
}
