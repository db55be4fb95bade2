/** Rules about the targets: real connection strings, and two databases rather than one. */
import { missingWay } from '../../mongo/connection-string.ts';
import { faultAt, type PlanFault } from '../fault.ts';
import { parseDuration } from '../instant.ts';
import { type MapNode, nodeAt, placeAt, textAt } from '../nodes.ts';
import { SOURCES } from '../sources/sources.ts';

export function targetRules(root: MapNode): PlanFault[] {
  return [...uriRules(root), ...sameDatabase(root), ...gateRules(root)];
}

function uriRules(root: MapNode): PlanFault[] {
  const paths = [
    ['targets', 'staging', 'uri'],
    ['targets', 'production', 'uri'],
    ...Object.values(SOURCES).flatMap(({ uri }) => (uri === undefined ? [] : [['source', ...uri]])),
  ];
  return paths.flatMap((path) => {
    const uri = textAt(root, ...path);
    const node = nodeAt(root, ...path);
    if (node === undefined || uri === undefined) return [];
    if (/^mongodb(\+srv)?:\/\/./.test(uri)) {
      const missing = missingWay(uri);
      if (missing === undefined) return [];
      const message = `this connection string has ${missing.setting}, which this program cannot do`;
      return [faultAt(node.place, 'targets', { message, expected: missing.instead })];
    }
    // The value may come from a variable: what it is stays unsaid.
    const message = 'this is no MongoDB connection string';
    return [
      faultAt(node.place, 'targets', {
        message,
        expected: 'mongodb://… or mongodb+srv://…, from a variable',
      }),
    ];
  });
}

/**
 * Only what the two texts say. That two different addresses lead to the same server is found when both are reached
 * (the gate compares the servers' identities).
 */
function sameDatabase(root: MapNode): PlanFault[] {
  const written = (target: string) => {
    const uri = nodeAt(root, 'targets', target, 'uri');
    return uri?.kind === 'scalar' && typeof uri.value === 'string' ? uri.value : undefined;
  };
  const database = (target: string) => textAt(root, 'targets', target, 'database');
  const staging = written('staging');
  if (staging === undefined || database('staging') === undefined) return [];
  if (staging !== written('production') || database('staging') !== database('production')) return [];
  const place = nodeAt(root, 'targets', 'production', 'uri')?.place ?? placeAt(root, 'targets', 'production');
  const related = [{ place: placeAt(root, 'targets', 'staging', 'uri'), message: 'staging is here' }];
  const message = 'staging and production are the same database';
  return [faultAt(place, 'targets', { message, expected: 'a staging database of its own', related })];
}

function gateRules(root: MapNode): PlanFault[] {
  const path = ['targets', 'production', 'gate', 'soak'];
  const soak = textAt(root, ...path);
  if (soak === undefined || parseDuration(soak) !== undefined) return [];
  const expected = 'a duration such as 15m or 1h30m';
  return [faultAt(nodeAt(root, ...path)!.place, 'time', { message: 'this is no duration', expected })];
}
