/**
 * Opens the oplog that a plan names.
 *
 * Alone because: it knows every kind of oplog, and none of them knows it.
 */
import type { Backup } from '../../backup/backup.ts';
import { type RemotePatience, USUAL_PATIENCE } from '../../backup/remote/patience.ts';
import { RestorePlanError } from '../../errors.ts';
import type { SetOplog } from '../../plan/sources/oplog.ts';
import type { Run } from '../../run.ts';
import { NO_RECORD, RecordLog } from '../record-log.ts';
import type { EntrySource } from './entry-source.ts';
import { FileEntries } from './file-entries.ts';
import { LiveOplog } from './live-oplog.ts';
import { openPbmOplog } from './pbm-oplog.ts';
import { openStoredOplog } from './stored-oplog.ts';

type Kind = SetOplog['kind'];
type Open<K extends Kind> = (
  run: Run,
  oplog: Extract<SetOplog, { readonly kind: K }>,
  beside: Beside,
) => Promise<EntrySource>;

interface Beside {
  /** The one that is to be rolled forward. */
  readonly backup: Backup;
  /** Path with which the names of temporary files begin. */
  readonly spillPath?: string;
  /** How long a store is waited for; the usual times where it is not given. */
  readonly patience?: RemotePatience | undefined;
  /** The folder in the backup that holds the dump of the shard whose oplog it is; undefined: it is of no cluster. */
  readonly shard?: string | undefined;
}

/** How each kind is opened; what a plan says of it is in plan/sources/oplog.ts. */
const KINDS: { readonly [K in Kind]: Open<K> } = {
  backup: async (_run, _oplog, { backup, spillPath }) =>
    backup.access === 'sequential' && spillPath !== undefined
      ? keptOplog(backup, spillPath)
      : ownOplog(backup),
  mongodb: (run, { uri }, { shard }) => {
    const named = ['source.oplog', ...(shard === undefined ? [] : ['shards', shard]), 'mongodb'].join('.');
    return LiveOplog.open(run, uri, { named, mayBeShard: shard !== undefined });
  },
  pbm: (_run, _oplog, { backup }) => openPbmOplog(backup),
  stored: (run, { from }, { patience = USUAL_PATIENCE }) => openStoredOplog(run, from, patience),
};

/** Throws RestorePlanError BACKUP. */
export function openEntries(run: Run, oplog: SetOplog, beside: Beside): Promise<EntrySource> {
  return (KINDS[oplog.kind] as Open<Kind>)(run, oplog, beside);
}

/** The oplog that a dump took along. */
export function ownOplog(backup: Backup): FileEntries {
  const { location } = backup.identity;
  const chunks = (): AsyncIterable<Buffer> => backup.oplog?.() ?? nothing();
  const empty = (): RestorePlanError => noOplogInside(location);
  return new FileEntries(`the oplog of ${location}`, [{ location, chunks }], { empty });
}

/** The same of a stream, put aside while it is read once: the whole of it would be read for the oplog alone. */
async function keptOplog(backup: Backup, spillPath: string): Promise<FileEntries> {
  const { location } = backup.identity;
  const log = new RecordLog(`${spillPath}own`);
  const chunks: number[] = [];
  try {
    for await (const chunk of backup.oplog?.() ?? nothing())
      chunks.push(log.append(NO_RECORD, 0, chunk, 0, chunk.length));
  } catch (error) {
    log.close();
    throw error;
  }
  async function* kept(): AsyncGenerator<Buffer> {
    for (const each of chunks) {
      const { bytes, start, end } = log.read(each);
      yield bytes.subarray(start, end);
    }
  }
  return new FileEntries(`the oplog of ${location}`, [{ location, chunks: kept }], {
    empty: () => noOplogInside(location),
    close: async () => log.close(),
  });
}

async function* nothing(): AsyncGenerator<Buffer> {}

function noOplogInside(location: string): RestorePlanError {
  return new RestorePlanError('BACKUP', `${location} holds no oplog (oplog.bson).`, {
    hint: 'Only `mongodump --oplog` of a whole replica set takes one along. Leave out source.oplog, or name another oplog there.',
  });
}
