import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SelectedCollection, Selection } from './selection.ts';

/** Text of a selected collection's `.metadata.json`; undefined where the backup has none. */
export async function readMetadata(
  { directory, manifest }: Selection,
  { metadataFile }: SelectedCollection,
): Promise<string | undefined> {
  if (metadataFile === undefined) return undefined;
  return readFile(join(directory, manifest.database, metadataFile), 'utf8');
}
