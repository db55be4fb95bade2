/**
 * Connection strings of targets and sources, as far as variables are set: whether the driver takes them. Found when the plan is read, because a
 * command connects to its targets only after it has gone through the backup.
 */
import {
  hasOnlyPlainSettings,
  missingWay,
  parseConnectionString,
  withoutOverridden,
} from '../../mongo/connection-string.ts';
import { Secret } from '../../secret.ts';
import { faultAt, type PlanFault } from '../fault.ts';
import { type MapNode, nodeAt, textAt } from '../nodes.ts';
import { SOURCES } from '../sources/sources.ts';

const SHARDS = ['source', 'oplog', 'shards'] as const;

/** What the driver takes long for, and nobody writes. Characters. */
const LONGEST = 8_192;

export async function connectionRules(root: MapNode): Promise<PlanFault[]> {
  const paths = [
    ['targets', 'staging', 'uri'],
    ['targets', 'production', 'uri'],
    ...Object.values(SOURCES).flatMap(({ uri }) => (uri === undefined ? [] : [['source', ...uri]])),
  ];
  const shards = nodeAt(root, ...SHARDS);
  if (shards?.kind === 'map')
    paths.push(...[...shards.entries.keys()].map((each) => [...SHARDS, each, 'mongodb', 'uri']));
  const faults: PlanFault[] = [];
  for (const path of paths) {
    const uri = textAt(root, ...path);
    const node = nodeAt(root, ...path);
    const problem = node === undefined || uri === undefined ? undefined : await problemOf(uri);
    if (node !== undefined && problem !== undefined) faults.push(faultAt(node.place, 'targets', problem));
  }
  return faults;
}

/** The value may come from a variable: what it is stays unsaid. */
async function problemOf(uri: string): Promise<{ message: string; expected: string } | undefined> {
  if (!/^mongodb(\+srv)?:\/\/./.test(uri))
    return {
      message: 'this is no MongoDB connection string',
      expected: 'mongodb://… or mongodb+srv://…, from a variable',
    };
  if (uri.length > LONGEST)
    return {
      message: `this connection string has ${uri.length} characters`,
      expected: `at most ${LONGEST}`,
    };
  const missing = missingWay(uri);
  if (missing !== undefined)
    return {
      message: `this connection string has ${missing.setting}, which this program cannot do`,
      expected: missing.instead,
    };
  const parsed = parseConnectionString(new Secret(uri));
  if (parsed === undefined)
    return {
      message: 'this connection string cannot be read',
      expected:
        'mongodb://host:27017/?replicaSet=name or mongodb+srv://host/, no port above 65535; in a user name or password, @ : / % are written %40 %3A %2F %25',
    };
  const asked = withoutOverridden(parsed);
  if (hasOnlyPlainSettings(asked)) return undefined;
  // The driver takes longer to load than a plan to be checked.
  const { refusalOf } = await import('../../mongo/driver-refusal.ts');
  const refusal = refusalOf(asked);
  if (refusal === undefined) return undefined;
  return {
    message: `the driver does not take this connection string: ${refusal}`,
    expected: 'options of the driver for Node.js',
  };
}
