/** The collection that apply would create where the target lacks it: options and indexes of the backup's metadata. */
import { innerDocument } from '../bson/elements.ts';
import { BSON } from '../bson/types.ts';
import type { Plan } from '../plan/plan.ts';
import { readMetadata } from '../selection/read-metadata.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import { isCollated, readBlueprint, readIndex } from '../target/describe-collection.ts';
import type { CollectionBlueprint, TargetCollection, TargetReader } from '../target/target.ts';
import { requireCreatable } from './fitness.ts';
import { settingsOf } from './plan-settings.ts';
import { documentOf, embed, putDocument } from './query-documents.ts';

export interface CreationQuestion {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly reader: TargetReader;
}

/**
 * What apply creates, without the indexes that the plan skips. Without metadata it is a collection without options and with no index
 * but that of `_id`. Throws BACKUP where the metadata cannot be read.
 */
export async function blueprintOf(
  { plan, selection }: Omit<CreationQuestion, 'reader'>,
  selected: SelectedCollection,
): Promise<CollectionBlueprint> {
  const { skipIndexes } = settingsOf(plan, selected);
  return readBlueprint(selected.collection, await readMetadata(selection, selected), skipIndexes);
}

/** Throws TARGET where apply would not create it, BACKUP where the metadata cannot be read. */
export async function collectionToCreate(
  question: CreationQuestion,
  selected: SelectedCollection,
  warn: (message: string) => void,
): Promise<TargetCollection> {
  const { into } = selected;
  const blueprint = await blueprintOf(question, selected);
  await requireCreatable(question.reader, into, blueprint);
  const { options, indexes, conversions } = blueprint;
  for (const conversion of conversions) warn(`created in another form than in the backup: ${conversion}`);
  return {
    name: into,
    type: 'collection',
    capped: false,
    options,
    validator: innerDocument(options, 'validator'),
    indexes: [idIndex(options), ...indexes].map(readIndex),
    shardKey: undefined,
    collated: isCollated(options),
    uuid: undefined,
  };
}

/** As the server makes it: it compares as the collection does. */
function idIndex(options: Buffer): Buffer {
  const collation = innerDocument(options, 'collation');
  return documentOf((builder) => {
    builder.element(BSON.INT32, 'v');
    builder.int32(2);
    builder.element(BSON.OBJECT, 'key');
    embed(builder, () => {
      builder.element(BSON.INT32, '_id');
      builder.int32(1);
    });
    builder.element(BSON.STRING, 'name');
    builder.string('_id_');
    if (collation !== undefined) putDocument(builder, 'collation', collation);
  });
}
