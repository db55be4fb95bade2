/**
 * Entries of an oplog that lie in a file.
 * Alone because: roll-forward.ts decides and opens no file itself.
 */
import { DEFAULT_MAX_RATIO } from '../backup/containers/decompress.ts';
import { DiskStore } from '../backup/disk/disk-store.ts';
import { inflateIfCompressed } from '../backup/readers/member.ts';
import { wholeOf } from '../backup/storage/byte-source.ts';
import { RestorePlanError } from '../errors.ts';

/**
 * The bytes of a file of entries back to back, as `mongodump -d local -c oplog.rs` writes it, inflated where it is compressed; lent until
 * the next. Throws RestorePlanError BACKUP where there is no such file.
 */
export async function* savedEntries(path: string): AsyncGenerator<Buffer> {
  const store = new DiskStore();
  try {
    const found = await store.find(path);
    if (found?.kind !== 'file') {
      const what = found === undefined ? 'is not there' : 'is a folder, not a file of entries';
      throw new RestorePlanError('BACKUP', `source.oplog.path: ${path} ${what}.`, {
        hint: '`mongodump -d local -c oplog.rs` writes such a file: <folder>/local/oplog.rs.bson.',
      });
    }
    yield* inflateIfCompressed(wholeOf(found.open()), { location: path, maxRatio: DEFAULT_MAX_RATIO });
  } finally {
    await store.close();
  }
}
