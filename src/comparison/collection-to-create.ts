/** The collection that apply would create where the target lacks it: options and indexes of the backup's metadata. */
import { innerDocument } from '../bson/inner-document.ts';
import { readMetadata } from '../selection/read-metadata.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import { readBlueprint } from '../target/collection-metadata.ts';
import { isCollated, readIndex } from '../target/describe-collection.ts';
import type { TargetCollection, TargetReader } from '../target/target.ts';
import { requireCreatable } from './fitness.ts';

/**
 * Without metadata it is a collection without options and with no index but that of `_id`, which is never listed here. Throws
 * TARGET where apply would not create it, BACKUP where the metadata cannot be read.
 */
export async function collectionToCreate(
  reader: TargetReader,
  selection: Selection,
  selected: SelectedCollection,
): Promise<TargetCollection> {
  const { collection, into } = selected;
  const blueprint = readBlueprint(collection, await readMetadata(selection, selected));
  requireCreatable(reader, into, blueprint);
  const { options, indexes } = blueprint;
  return {
    name: into,
    type: 'collection',
    capped: false,
    options,
    validator: innerDocument(options, 'validator'),
    indexes: indexes.map(readIndex),
    shardKey: undefined,
    collated: isCollated(options),
    uuid: undefined,
  };
}
