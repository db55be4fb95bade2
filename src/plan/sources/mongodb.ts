/**
 * What a running server gives. `source.mongodb`: a live database, such as a delayed member of a replica set; `source.snapshot`: the same as it was at
 * `source.at`, within the history that its servers keep; `source.preImages`: documents as they were before they were deleted or changed.
 */
import { hostsOf } from '../../mongo/connection-string.ts';
import type { Secret } from '../../secret.ts';
import { faultAt, type PlanFault } from '../fault.ts';
import { givenSecret, itemsAt, type MapNode, nodeAt, placeAt } from '../nodes.ts';
import type { SourceKind } from './source-kind.ts';

export interface MongodbLocation {
  readonly kind: 'mongodb';
  readonly uri: Secret | undefined;
}

export interface SnapshotLocation {
  readonly kind: 'snapshot';
  readonly uri: Secret | undefined;
}

export interface PreImagesLocation {
  readonly kind: 'preImages';
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

export const PRE_IMAGES: SourceKind<PreImagesLocation> = {
  uri: ['preImages', 'uri'],
  build: (parent) => ({ kind: 'preImages', uri: givenSecret(parent, 'preImages', 'uri') }),
  digest: ({ kind }) => ({ kind }),
  recorded: ({ uri }) => `mongodb://${hostsOf(uri).join(',')}`,
  explain: (database) =>
    `The pre-images of the live database ${database}: documents that its servers kept as they were before each was deleted or changed.`,
  secrets: ({ uri }) => [uri],
};

/** What a schema cannot say. */
export function preImagesRules(root: MapNode): PlanFault[] {
  if (nodeAt(root, 'source', 'preImages') === undefined) return [];
  const faults = itemsAt(root, 'collections').flatMap((entry, i): PlanFault[] => {
    if (entry.kind !== 'map' || ['deleted', 'changed'].some((key) => nodeAt(entry, key) !== undefined))
      return [];
    const message =
      'source.preImages holds only what was deleted or changed, and the entry does not say when';
    const expected = '`deleted: { from: …, until: … }`, or `changed`; `plan history` prints the block';
    return [faultAt(placeAt(root, 'collections', i), 'missing-key', { message, expected })];
  });
  if (nodeAt(root, 'source', 'oplog') !== undefined) {
    const message =
      'source.preImages has each document as it was just before: there is nothing to roll forward';
    faults.push(
      faultAt(placeAt(root, 'source', 'oplog'), 'source', { message, expected: 'no source.oplog' }),
    );
  }
  return faults;
}

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
