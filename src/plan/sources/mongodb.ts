/** `source.mongodb`: a live database, such as a delayed member of a replica set. */
import { hostsOf } from '../../mongo/connection-string.ts';
import type { Secret } from '../../secret.ts';
import { givenSecret } from '../nodes.ts';
import type { SourceKind } from './source-kind.ts';

export interface MongodbLocation {
  readonly kind: 'mongodb';
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
