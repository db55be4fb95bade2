/** The dumps of a cluster's shards rolled forward together, held against what its routers say of the same moment. */
import type { Timestamp } from 'bson';
import * as assert from 'uvu/assert';
import type { Backup, ScanSummary } from '../../src/backup/backup.ts';
import { openBackup } from '../../src/backup/open-backup.ts';
import { canonicalKey } from '../../src/bson/canonical-bytes.ts';
import { findId } from '../../src/bson/documents.ts';
import { elements, findElement } from '../../src/bson/elements.ts';
import { showDocument } from '../../src/bson/show.ts';
import type { RawValue } from '../../src/bson/types.ts';
import type { RolledForward, RollOrder } from '../../src/oplog/roll-forward.ts';
import { rollShards } from '../../src/oplog/shards/roll-shards.ts';
import type { Source } from '../../src/plan/plan.ts';
import type { ShardOplogs } from '../../src/plan/sources/oplog.ts';
import { Secret } from '../../src/secret.ts';
import { onDisk } from '../backup/reading.ts';
import type { ReplicaSet } from '../lab/replica-set.ts';
import type { ShardedCluster } from '../lab/sharded-cluster.ts';
import { QUIET } from '../quiet-run.ts';

/** Documents by collection and `_id`. */
export type State = Map<string, Map<string, Buffer>>;

export async function now({ client }: ShardedCluster): Promise<Timestamp> {
  return (await client.db('admin').command({ hello: 1 }))['operationTime'] as Timestamp;
}

/** Lets what a migration leaves behind stay no quarter of an hour: only as long as a failpoint suspends its removal. */
export async function cleanAtOnce({ shards }: ShardedCluster): Promise<void> {
  for (const { client } of shards)
    await client.db('admin').command({ setParameter: 1, orphanCleanupDelaySecs: 0 });
}

/** Waits until the shard has no copy any more of what migrations took from it. */
export async function nothingLeftBehind({ client }: ReplicaSet): Promise<void> {
  const ranges = client.db('config').collection('rangeDeletions');
  while ((await ranges.countDocuments()) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** What the collections had at a timestamp, as the routers see it. */
export async function stateAt(
  { client }: ShardedCluster,
  { database, names }: { readonly database: string; readonly names: readonly string[] },
  atClusterTime: Timestamp,
): Promise<State> {
  const state: State = new Map();
  for (const name of names) {
    const find = { find: name, batchSize: 100_000, readConcern: { level: 'snapshot', atClusterTime } };
    const reply = await client.db(database).command(find, { raw: true });
    const cursor = Buffer.from(reply['cursor'] as Uint8Array);
    const batch = findElement(cursor, 0, Buffer.from('firstBatch')) as RawValue;
    const found = [...elements(cursor, batch.start)].map(({ start, end }) => cursor.subarray(start, end));
    state.set(name, new Map(found.map((each) => [canonicalKey(findId(each) as RawValue), each])));
  }
  return state;
}

export const instant = (date: Date): NonNullable<Source['at']> => ({
  epochMs: date.getTime(),
  text: date.toISOString(),
});

/** Everything up to and with the timestamp. */
export function until(at: Timestamp): NonNullable<Source['at']> {
  return {
    epochMs: at.t * 1000,
    text: `${at.t},${at.i + 1}`,
    ts: { seconds: at.t, ordinal: at.i + 1 },
  };
}

/** The oplogs of the servers; `begins`: when dumps began that do not say it. */
export function liveOplogs({ shards }: ShardedCluster, begins?: Date): ShardOplogs {
  return {
    kind: 'shards',
    shards: shards.map(({ name, uri }) => ({
      folder: name,
      oplog: { kind: 'mongodb', uri: new Secret(uri), begins: begins && instant(begins) },
    })),
  };
}

/** The dumps at `path` rolled forward, for as long as they are looked at. */
export async function rolledShards<T>(
  {
    path,
    database,
    names,
    oplog,
    at,
    windows,
    spillPath,
  }: {
    readonly path: string;
    readonly database: string;
    readonly names: readonly string[];
    readonly oplog: ShardOplogs;
    readonly at?: Source['at'];
    readonly windows?: RollOrder['windows'];
    readonly spillPath: string;
  },
  look: (rolled: RolledForward) => Promise<T>,
): Promise<T> {
  const source = { ...onDisk(path, { database, ...(at && { at }) }), oplog };
  const wanted = new Set<string>(names);
  const backup = await openBackup(QUIET, source, { wanted });
  try {
    const result = await rollShards(QUIET, { source, oplog, backup, wanted, windows, spillPath });
    try {
      return await look(result);
    } finally {
      result.rolling.close();
    }
  } finally {
    await backup.close();
  }
}

/** All documents and the summary; throws where two members hold one differently. */
export async function readTogether(
  backup: Backup,
  names: readonly string[],
): Promise<{ readonly state: State; readonly summary: ScanSummary }> {
  const state: State = new Map(names.map((name) => [name, new Map()]));
  let summary: ScanSummary | undefined;
  for await (const piece of backup.read(new Set(names))) {
    if (piece.type === 'finished') summary = piece.summary;
    if (piece.type !== 'documents') continue;
    const { collection } = piece.member;
    const documents = state.get(collection) as Map<string, Buffer>;
    for (let i = 0; i < piece.count; i++) {
      const document = Buffer.from(piece.bytes.subarray(piece.starts[i], piece.starts[i + 1]));
      const id = canonicalKey(findId(document) as RawValue);
      const other = documents.get(id);
      if (other !== undefined)
        assert.is(showDocument(document), showDocument(other), `two copies in ${collection} differ`);
      documents.set(id, document);
    }
  }
  return { state, summary: summary as ScanSummary };
}

/** Throws where the documents are not those that are expected, byte for byte. */
export function isExactly(ours: State, expected: State): void {
  const show = (each: Buffer | undefined): string => (each === undefined ? 'none' : showDocument(each));
  for (const [name, server] of expected) {
    const own = ours.get(name) as Map<string, Buffer>;
    const wrong = [...new Set([...server.keys(), ...own.keys()])].filter(
      (id) => !(own.get(id)?.equals(server.get(id) ?? Buffer.alloc(0)) ?? false),
    );
    const shown = wrong.slice(0, 3).map((id) => `${show(server.get(id))} and not ${show(own.get(id))}`);
    assert.is(wrong.length, 0, `${wrong.length} of ${server.size} differ in ${name}:\n${shown.join('\n')}`);
  }
}
