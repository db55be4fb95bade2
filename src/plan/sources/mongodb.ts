/**
 * `source.mongodb`: a live database, such as a delayed member of a replica set; `source.snapshot`: the same as it was at `source.at`, within the history
 * that its servers keep.
 */
import { hostsOf } from '../../mongo/connection-string.ts';
import type { Secret } from '../../secret.ts';
import { faultAt, type PlanFault } from '../fault.ts';
import { givenSecret, type MapNode, nodeAt, placeAt } from '../nodes.ts';
import type { SourceKind } from './source-kind.ts';

export interface MongodbLocation {
  readonly kind: 'mongodb';
  readonly uri: Secret | undefined;
}

export interface SnapshotLocation {
  readonly kind: 'snapshot';
  readonly uri: Secret | undefined;
}

export const MONGODB: SourceKind<MongodbLocation> = {
  uri: ['mongodb', 'uri'],
  build: (parent) => ({ kind: 'mongodb', uri: givenSecret(parent, 'mongodb', 'uri') }),
  digest: ({ kind }) => ({ kind }),
  recorded: ({ uri }) => `mongodb://${hostsOf(uri).join(',')}`,
  explain: (database) => `The live database ${database}, which answers the queries itself.`,
  secrets: ({ uri }) => [uri],
};

export const SNAPSHOT: SourceKind<SnapshotLocation> = {
  uri: ['snapshot', 'uri'],
  build: (parent) => ({ kind: 'snapshot', uri: givenSecret(parent, 'snapshot', 'uri') }),
  digest: ({ kind }) => ({ kind }),
  recorded: ({ uri }) => `mongodb://${hostsOf(uri).join(',')}`,
  explain: (database, at) =>
    `The live database ${database} as it was at ${at?.text ?? 'source.at'}, out of the history that its servers keep for some minutes.`,
  secrets: ({ uri }) => [uri],
};

/** What a schema cannot say. */
export function snapshotRules(root: MapNode): PlanFault[] {
  if (nodeAt(root, 'source', 'snapshot') === undefined) return [];
  const faults: PlanFault[] = [];
  if (nodeAt(root, 'source', 'at') === undefined) {
    const message = 'source.snapshot reads the database as it was, but nothing says when';
    const expected = 'source.at, an instant with its offset such as 2016-09-13T09:00:00-04:00';
    faults.push(faultAt(placeAt(root, 'source', 'snapshot'), 'missing-key', { message, expected }));
  }
  if (nodeAt(root, 'source', 'oplog') !== undefined) {
    const message = 'source.snapshot is already as of source.at: there is nothing to roll forward';
    faults.push(
      faultAt(placeAt(root, 'source', 'oplog'), 'source', { message, expected: 'no source.oplog' }),
    );
  }
  return faults;
}
