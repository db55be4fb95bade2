/** What the tests of backups share: a source as a plan gives it, and reading everything a backup has of some collections. */

import * as assert from 'uvu/assert';
import type { Backup, CollectionMetadata, ScanSummary } from '../../src/backup/backup.ts';
import type { BackupOptions } from '../../src/backup/backup-store.ts';
import { openBackup } from '../../src/backup/open-backup.ts';
import { RestorePlanError } from '../../src/errors.ts';
import type { RunEvent } from '../../src/events.ts';
import type { Source } from '../../src/plan/plan.ts';
import type { Location } from '../../src/plan/sources/sources.ts';
import { type Bucket, type S3Address, s3Environment } from '../lab/s3.ts';
import { QUIET } from '../quiet-run.ts';

export function sourceAt(location: Location, more: Partial<Source> = {}): Source {
  return {
    at: undefined,
    database: 'gravity',
    maxAgeMs: undefined,
    integrity: 'whole',
    maxDecompressionRatio: undefined,
    location,
    ...more,
  };
}

export function onDisk(path: string, more: Partial<Source> = {}): Source {
  return sourceAt({ kind: 'path', path, timezone: undefined }, more);
}

/** An object, or a prefix that ends in `/`; reached at `server`, which may be a proxy's address. */
export function inBucket(
  server: Pick<S3Address, 'endpoint'>,
  bucket: Pick<Bucket, 'name'>,
  key: string,
  more: Partial<Source> = {},
): Source {
  const { endpoint } = server;
  const where = { bucket: bucket.name, key, endpoint, forcePathStyle: true };
  const unset = { timezone: undefined, region: undefined, profile: undefined, requestPayer: undefined };
  return sourceAt({ kind: 's3', ...where, ...unset }, more);
}

/** Gives this process the server's credentials the only way the product takes them: through the environment. */
export function useCredentials(server: S3Address): void {
  Object.assign(process.env, s3Environment(server));
}

export interface ReadBackup {
  readonly kind: string;
  readonly access: Backup['access'];
  /** Documents of each member, concatenated by collection in the order of reading. */
  readonly documents: ReadonlyMap<string, Buffer>;
  readonly metadata: ReadonlyMap<string, CollectionMetadata>;
  readonly summary: ScanSummary;
  readonly events: readonly RunEvent[];
}

/** Opens the source, reads the wanted collections and closes it again, whatever happens. */
export async function readBackup(
  source: Source,
  wanted: readonly string[],
  options: Partial<BackupOptions> = {},
  signal = QUIET.signal,
): Promise<ReadBackup> {
  const chunks = new Map<string, Buffer[]>();
  const metadata = new Map<string, CollectionMetadata>();
  const events: RunEvent[] = [];
  const names = new Set(wanted);
  const backup = await openBackup({ ...QUIET, emit: (event) => events.push(event), signal }, source, {
    wanted: names,
    ...options,
  });
  try {
    let summary: ScanSummary | undefined;
    for await (const piece of backup.read(names)) {
      if (piece.type === 'metadata') metadata.set(piece.metadata.collection, piece.metadata);
      if (piece.type === 'finished') summary = piece.summary;
      if (piece.type !== 'documents' && piece.type !== 'ended') continue;
      const { collection } = piece.member;
      const parts = chunks.get(collection) ?? [];
      chunks.set(collection, parts);
      if (piece.type === 'documents')
        parts.push(Buffer.from(piece.bytes.subarray(piece.starts[0], piece.starts[piece.count])));
    }
    if (summary === undefined) throw new Error('the reading ended without a summary');
    const documents = new Map([...chunks].map(([name, parts]) => [name, Buffer.concat(parts)]));
    return { kind: backup.identity.kind, access: backup.access, documents, metadata, summary, events };
  } finally {
    await backup.close();
  }
}

/** Runs `act` and returns the RestorePlanError that it must throw, after checking its code and words. */
export async function refusal(act: Promise<unknown>, words: RegExp): Promise<RestorePlanError> {
  const error = await act.then(
    () => assert.unreachable(`was not refused; expected ${words}`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof RestorePlanError)) throw error;
  assert.is(error.code, 'BACKUP');
  assert.match(error.message, words);
  assert.not.match(JSON.stringify([error.message, error.hint, error.facts]), 'canary');
  return error;
}

/** Reads all that a backup has of some collections, for what it says of them at the end. */
export async function summaryOf(backup: Backup, ...wanted: readonly string[]): Promise<ScanSummary> {
  for await (const piece of backup.read(new Set(wanted))) if (piece.type === 'finished') return piece.summary;
  throw new Error('the reading ended without a summary');
}
