/** Opens the oplog that a plan names. */
import type { Backup } from '../backup/backup.ts';
import { DEFAULT_MAX_RATIO } from '../backup/containers/decompress.ts';
import { DiskStore } from '../backup/disk/disk-store.ts';
import { inflateIfCompressed } from '../backup/readers/member.ts';
import { wholeOf } from '../backup/storage/byte-source.ts';
import { RestorePlanError } from '../errors.ts';
import type { OplogPlan } from '../plan/sources/oplog.ts';
import type { Run } from '../run.ts';
import type { EntrySource } from './entry-source.ts';
import { FileEntries } from './file-entries.ts';
import { LiveOplog } from './live-oplog.ts';

type Kind = OplogPlan['kind'];
type Open<K extends Kind> = (
  run: Run,
  oplog: Extract<OplogPlan, { readonly kind: K }>,
  backup: Backup,
) => Promise<EntrySource>;

/** How each kind is opened; what a plan says of it is in plan/sources/oplog.ts. */
const KINDS = {
  backup: async (_run, _oplog, backup) => ownOplog(backup),
  mongodb: (run, { uri }) => LiveOplog.open(run, uri),
  path: (_run, { path }) => openFile(path),
} satisfies { readonly [K in Kind]: Open<K> };

/** `backup`: the one that is to be rolled forward. Throws RestorePlanError BACKUP. */
export function openEntries(run: Run, oplog: OplogPlan, backup: Backup): Promise<EntrySource> {
  return (KINDS[oplog.kind] as Open<Kind>)(run, oplog, backup);
}

/** The oplog that a dump took along. */
export function ownOplog(backup: Backup): FileEntries {
  const { location } = backup.identity;
  const chunks = (): AsyncIterable<Buffer> => backup.oplog?.() ?? nothing();
  const empty = (): RestorePlanError => noOplogInside(location);
  return new FileEntries(`the oplog of ${location}`, [{ location, chunks }], { empty });
}

async function* nothing(): AsyncGenerator<Buffer> {}

async function openFile(path: string): Promise<EntrySource> {
  const store = new DiskStore();
  const found = await store.find(path);
  if (found?.kind !== 'file') {
    await store.close();
    const what = found === undefined ? 'is not there' : 'is a folder, not a file of entries';
    throw new RestorePlanError('BACKUP', `source.oplog.path: ${path} ${what}.`, {
      hint: '`mongodump -d local -c oplog.rs` writes such a file: <folder>/local/oplog.rs.bson.',
    });
  }
  const chunks = (): AsyncIterable<Buffer> =>
    inflateIfCompressed(wholeOf(found.open()), { location: path, maxRatio: DEFAULT_MAX_RATIO });
  return new FileEntries(`the oplog in ${path}`, [{ location: path, chunks }], {
    close: () => store.close(),
  });
}

function noOplogInside(location: string): RestorePlanError {
  return new RestorePlanError('BACKUP', `${location} holds no oplog (oplog.bson).`, {
    hint: 'Only `mongodump --oplog` of a whole replica set takes one along. Leave out source.oplog, or name another oplog there.',
  });
}
