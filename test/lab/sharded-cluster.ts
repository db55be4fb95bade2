/** A real sharded cluster: a config server and shards of one member each, and a mongos before them. */
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { mongodBinaries } from './binaries.ts';
import { temporaryFolder } from './guard.ts';
import { type ReplicaSet, startReplicaSet } from './replica-set.ts';
import { freePort, type ServerProcess, startServerProcess } from './server-process.ts';

export interface ShardedCluster {
  /** Connection string of the mongos. */
  readonly uri: string;
  /** A client of the mongos; closed by `stop`. */
  readonly client: MongoClient;
  readonly shards: readonly ReplicaSet[];
  /** Starts one more mongos; returns its connection string. */
  anotherMongos(): Promise<string>;
  stop(): Promise<void>;
}

export async function startShardedCluster({ shards: count = 2 } = {}): Promise<ShardedCluster> {
  const [config, ...shards] = await Promise.all([
    startReplicaSet({ name: 'config', arguments: ['--configsvr'] }),
    ...Array.from({ length: count }, (_, index) =>
      startReplicaSet({ name: `shard${index}`, arguments: ['--shardsvr'] }),
    ),
  ]);
  const folder = temporaryFolder('mongos');
  const { mongos, env } = await mongodBinaries();
  const routers: ServerProcess[] = [];
  const startMongos = async (): Promise<string> => {
    const port = await freePort();
    routers.push(
      await startServerProcess({
        name: 'mongos',
        binary: mongos,
        env,
        port,
        logFile: join(folder.path, `mongos-${port}.log`),
        arguments: [
          ...['--configdb', `config/${addresses(config)}`, '--bind_ip', '127.0.0.1', '--port', String(port)],
          ...['--nounixsocket', '--setParameter', 'enableTestCommands=1'],
        ],
      }),
    );
    return `mongodb://127.0.0.1:${port}/`;
  };
  const uri = await startMongos();
  const client = await new MongoClient(uri, { appName: 'lab' }).connect();
  for (const shard of shards)
    await client.db('admin').command({ addShard: `${shard.name}/${addresses(shard)}` });
  return {
    uri,
    client,
    shards,
    anotherMongos: startMongos,
    stop: async () => {
      await client.close();
      await Promise.all(routers.map((router) => router.kill()));
      await Promise.all([config, ...shards].map((set) => set.stop()));
      folder.remove();
    },
  };
}

const addresses = (set: ReplicaSet): string => set.members.map(({ address }) => address).join(',');
