/** Makes sure that the target has the collection: left as it is where it exists, created from the backup's metadata where not. */
import { EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import { requireCreatable, requireFit } from '../comparison/fitness.ts';
import { RestorePlanError } from '../errors.ts';
import type { Creation } from '../ledger/run-record.ts';
import { readMetadata } from '../selection/read-metadata.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import { accessTo } from '../target/access.ts';
import { readBlueprint } from '../target/collection-metadata.ts';
import type { Target, TargetCollection, TargetReader } from '../target/target.ts';
import type { CheckpointName } from './checkpoint.ts';

export interface Preparation {
  readonly target: Target;
  readonly selection: Selection;
  /** What earlier runs of this selection began to create. */
  readonly creations: readonly Creation[];
  /** Records a creation, before it begins and when it is done. */
  readonly recordCreation: (creation: Creation) => Promise<void>;
  readonly checkpoint: (name: CheckpointName) => Promise<void>;
  readonly onCreated: (collection: string, indexes: number) => void;
  readonly warn: (message: string) => void;
}

/** Throws RestorePlanError TARGET where documents cannot be inserted safely and repeatedly. */
export async function prepareCollection(
  preparation: Preparation,
  selected: SelectedCollection,
): Promise<TargetCollection> {
  const { target, creations } = preparation;
  const { into } = selected;
  const existing = await target.reader.collection(into);
  if (existing !== undefined) requireFit(target.reader, existing);
  const wasCutOff = creations.some((creation) => creation.into === into && !creation.done);
  if (existing !== undefined && !wasCutOff) return existing;
  // Documents of ours come after all creations: somebody else has made it meanwhile, or uses it.
  if (existing !== undefined && (await holdsDocuments(target.reader, into))) {
    preparation.warn(
      `${into} was to be created by a run that was cut off, and holds documents by now: its indexes are left as they are`,
    );
    await preparation.recordCreation({ into, done: true });
    return existing;
  }
  await create(preparation, selected);
  const created = await target.reader.collection(into);
  if (created === undefined) {
    throw new RestorePlanError('TARGET', `${target.name}: ${into} vanished right after it was created`, {
      hint: 'Something else drops collections in this database; stop it, then run again.',
    });
  }
  preparation.onCreated(into, created.indexes.length);
  requireFit(target.reader, created);
  return created;
}

async function holdsDocuments(reader: TargetReader, collection: string): Promise<boolean> {
  return (await reader.find(collection, EMPTY_DOCUMENT, { limit: 1 })).length > 0;
}

async function create(preparation: Preparation, selected: SelectedCollection): Promise<void> {
  const { target, selection, checkpoint } = preparation;
  const { into } = selected;
  const blueprint = readBlueprint(selected.collection, await readMetadata(selection, selected));
  requireCreatable(target.reader, into, blueprint);
  await preparation.recordCreation({ into, done: false });
  await checkpoint('collection-intended');
  const { writer } = accessTo(target);
  await writer.createCollection(into, blueprint);
  await checkpoint('collection-created');
  await writer.createIndexes(into, blueprint);
  await checkpoint('indexes-created');
  await preparation.recordCreation({ into, done: true });
}
