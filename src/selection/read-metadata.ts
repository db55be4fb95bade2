import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RestorePlanError } from '../errors.ts';
import type { SelectedCollection, Selection } from './selection.ts';
import { reasonOf } from './work-directory-fault.ts';

/**
 * Text of a selected collection's `.metadata.json`; undefined where the backup has none. Throws RestorePlanError VERIFICATION when it is not
 * the text that was selected.
 */
export async function readMetadata(
  { directory, manifest }: Selection,
  { metadataFile, metadataSha256 }: SelectedCollection,
): Promise<string | undefined> {
  if (metadataFile === undefined) return undefined;
  const path = join(directory, manifest.database, metadataFile);
  const changed = (why: string, cause?: unknown): RestorePlanError =>
    new RestorePlanError('VERIFICATION', `the selection changed after it was checked: ${path} ${why}`, {
      hint: 'Run the same command again: the documents are selected anew.',
      cause,
    });
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const reason = reasonOf(error);
    throw reason === undefined ? error : changed(`cannot be read: ${reason}`, error);
  }
  if (metadataSha256 !== undefined && metadataSha256 !== sha256OfText(bytes))
    throw changed('is another text than was selected');
  return bytes.toString('utf8');
}

/** sha256, hex. */
export function sha256OfText(text: Buffer | string): string {
  return createHash('sha256').update(text).digest('hex');
}
