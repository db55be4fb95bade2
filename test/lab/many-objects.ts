/** Very many objects at once, in a second for every ten thousand: too many to be stored one by one through the server. */
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Bucket, S3Server } from './s3.ts';

/**
 * Stores an object under each key. The server keeps a small object in one file below a folder of its key, which does not hold
 * the key: one is stored as usual, and its file is copied.
 */
export async function storeCopies(
  { dataFolder }: Pick<S3Server, 'dataFolder'>,
  bucket: Pick<Bucket, 'name' | 'put'>,
  { body, keys }: { readonly body: Buffer; readonly keys: Iterable<string> },
): Promise<void> {
  let first: string | undefined;
  for (const key of keys) {
    const folder = join(dataFolder, bucket.name, key);
    if (first === undefined) {
      await bucket.put(key, body);
      first = join(folder, 'xl.meta');
    } else {
      mkdirSync(folder, { recursive: true });
      copyFileSync(first, join(folder, 'xl.meta'));
    }
  }
}
