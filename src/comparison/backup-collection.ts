/** The collection that apply would create where the target lacks it: options and indexes of the backup's metadata. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import { findElement } from '../bson/elements.ts';
import { innerDocument } from '../bson/inner-document.ts';
import { parseExtendedJson } from '../bson/parse-extended-json.ts';
import { BSON } from '../bson/types.ts';
import { writeExtendedJson } from '../bson/write-extended-json.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import { readIndex } from '../target/describe-collection.ts';
import type { TargetCollection } from '../target/target.ts';

/** Without metadata it is a collection without options and with no index but that of `_id`. */
export async function collectionInBackup(
  selection: Selection,
  selected: SelectedCollection,
): Promise<TargetCollection> {
  const metadata = await readMetadata(selection, selected);
  const options = metadata.get('options');
  const indexes = metadata.get('indexes');
  const raw = options instanceof Map ? writeExtendedJson(options) : EMPTY_DOCUMENT;
  return {
    name: selected.into,
    type: 'collection',
    capped: findElement(raw, 0, Buffer.from('capped'))?.type === BSON.BOOL,
    options: raw,
    validator: innerDocument(raw, 'validator'),
    indexes: Array.isArray(indexes) ? indexes.map((index) => readIndex(writeExtendedJson(index))) : [],
    shardKey: undefined,
    collated: innerDocument(raw, 'collation') !== undefined,
    uuid: undefined,
  };
}

async function readMetadata(
  selection: Selection,
  { metadataFile }: SelectedCollection,
): Promise<ReadonlyMap<string, unknown>> {
  if (metadataFile === undefined) return new Map();
  const path = join(selection.directory, selection.manifest.database, metadataFile);
  const metadata = parseExtendedJson(await readFile(path, 'utf8'));
  return metadata instanceof Map ? metadata : new Map();
}
