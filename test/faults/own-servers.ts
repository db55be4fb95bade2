/** Servers that a fault test may break, in the place of the shared lab. */
import { MongoClient } from 'mongodb';
import type { Servers } from '../apply/workbench.ts';
import { CANARY_PASSWORD } from '../lab/lab.ts';
import { type ReplicaSet, type ReplicaSetOptions, startReplicaSet } from '../lab/replica-set.ts';

export interface OwnServers extends Servers {
  readonly set: ReplicaSet;
  stop(): Promise<void>;
}

/** One replica set as staging, with a password that no output may hold. Production is a name that leads nowhere: a fault test of staging needs none. */
export async function ownServers(options: ReplicaSetOptions = {}): Promise<OwnServers> {
  const user = { name: 'root', password: CANARY_PASSWORD };
  const set = await startReplicaSet({ name: 'faults', user, ...options });
  const client = await new MongoClient(set.uri, { appName: 'observer' }).connect();
  let databases = 0;
  const staging = { uri: set.uri, client };
  return {
    set,
    staging,
    production: { uri: 'mongodb://127.0.0.1:1/', client },
    databaseName: (topic) => `${topic}-${++databases}`,
    stop: async () => {
      await client.close();
      await set.stop();
    },
  };
}
