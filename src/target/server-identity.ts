/**
 * Which server this is, in its own words. Connection strings prove nothing: two names can lead to one machine, and one name
 * to another machine tomorrow.
 */

import { deserialize, type ObjectId } from 'bson';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import { asBuffer, type Reply, readCursor } from '../mongo/raw-messages.ts';
import { CommandFailure } from './command-failure.ts';
import type { Commands } from './commands.ts';
import type { ServerIdentity } from './target.ts';

/** Throws RestorePlanError TARGET when the server is not one that takes writes. */
export async function readServerIdentity(name: TargetName, commands: Commands): Promise<ServerIdentity> {
  const hello = await commands.run({ hello: 1 }, 'admin');
  refuseReadOnly(name, hello);
  const version = String((await commands.run({ buildInfo: 1 }, 'admin'))['version']);
  const processId = String(topologyVersion(hello)['processId']);
  if (hello['msg'] === 'isdbgrid') {
    const cluster = await readClusterId(commands);
    const members = await readShardHosts(commands);
    return {
      kind: 'sharded cluster',
      id: cluster ?? processId,
      exact: cluster !== undefined,
      members,
      version,
      processId,
    };
  }
  if (typeof hello['setName'] !== 'string') {
    return { kind: 'standalone', id: processId, exact: true, members: [], version, processId };
  }
  const setName = hello['setName'];
  const setId = await readReplicaSetId(commands);
  const members = sorted([
    ...((hello['hosts'] as string[] | undefined) ?? []),
    ...((hello['passives'] as string[] | undefined) ?? []),
    ...((hello['arbiters'] as string[] | undefined) ?? []),
  ]);
  return {
    kind: 'replica set',
    id: setId === undefined ? setName : `${setName}/${setId}`,
    exact: setId !== undefined,
    members,
    version,
    processId,
  };
}

/** `user@database` of all that are authenticated on the connection, joined by commas; empty where no user is. X.509 and AWS principals by their full name. */
export async function readAuthenticatedUsers(commands: Commands): Promise<string> {
  const reply = await commands.runPatiently('asking who is connected', { connectionStatus: 1 }, 'admin');
  const { authenticatedUsers } = deserialize(asBuffer(reply['authInfo'])) as {
    authenticatedUsers: readonly { readonly user: string; readonly db: string }[];
  };
  return authenticatedUsers.map(({ user, db }) => `${user}@${db}`).join(',');
}

/** UTC milliseconds by the server's clock. */
export async function readServerTime(commands: Commands): Promise<number> {
  const hello = await commands.runPatiently('reading the server time', { hello: 1 }, 'admin');
  return (hello['localTime'] as Date).getTime();
}

function refuseReadOnly(name: TargetName, hello: Reply): void {
  if (hello['isWritablePrimary'] === true) return;
  const role =
    hello['secondary'] === true ? 'a secondary' : hello['arbiterOnly'] === true ? 'an arbiter' : 'no primary';
  throw new RestorePlanError('TARGET', `${name}: the server is ${role} and takes no writes`, {
    hint: 'Leave directConnection out of the connection string, or name the primary.',
    facts: { target: name },
  });
}

function topologyVersion(hello: Reply): { readonly processId?: ObjectId } {
  const version = hello['topologyVersion'];
  return version === undefined ? {} : deserialize(asBuffer(version));
}

/** Needs the privilege replSetGetConfig (role clusterMonitor); without it, the set's name and members must do. */
async function readReplicaSetId(commands: Commands): Promise<string | undefined> {
  const reply = await permitted(commands.run({ replSetGetConfig: 1 }, 'admin'));
  if (reply === undefined) return undefined;
  const settings = deserialize(asBuffer(reply['config']))['settings'] as
    | { replicaSetId?: ObjectId }
    | undefined;
  return settings?.replicaSetId?.toHexString();
}

async function readClusterId(commands: Commands): Promise<string | undefined> {
  const reply = await permitted(commands.run({ find: 'version', limit: 1, singleBatch: true }, 'config'));
  const entry = reply && readCursor(reply).documents[0];
  return entry && (deserialize(entry)['clusterId'] as ObjectId | undefined)?.toHexString();
}

/** Hosts of all shards, so that a mongos and a direct connection to one of its shards are seen to be the same cluster. */
async function readShardHosts(commands: Commands): Promise<string[]> {
  const reply = await permitted(commands.run({ find: 'shards', batchSize: 1_000 }, 'config'));
  if (reply === undefined) return [];
  const hosts = readCursor(reply).documents.map((shard) => String(deserialize(shard)['host']));
  return sorted(hosts.flatMap((host) => host.replace(/^.*\//, '').split(',')));
}

/** The reply, or undefined when the user may not ask. */
async function permitted(reply: Promise<Reply>): Promise<Reply | undefined> {
  try {
    return await reply;
  } catch (error) {
    if (error instanceof CommandFailure && !error.transient) return undefined;
    throw error;
  }
}

function sorted(hosts: readonly string[]): string[] {
  return [...new Set(hosts.map((host) => host.toLowerCase()))].sort();
}
