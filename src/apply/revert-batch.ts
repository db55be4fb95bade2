/** One group of documents of a revert: what can be taken back of it, and the taking back. */
import type { DocumentRun } from '../bson/document-run.ts';
import { RestorePlanError } from '../errors.ts';
import { type Counterparts, findCounterparts } from '../target/counterparts.ts';
import type { ConditionalOutcome, TargetCollection, TargetReader, TargetWriter } from '../target/target.ts';
import type { RestoredIds } from './restored-ids.ts';
import { conditionalOptions } from './write-documents.ts';

/** remove, putBack: still as this selection wrote it. gone, back: done already. changed, deleted: somebody's since, not touched. */
export type RevertClass = 'remove' | 'putBack' | 'gone' | 'back' | 'changed' | 'deleted';

export interface RevertItem {
  readonly position: number;
  readonly class: RevertClass;
  /** For putBack: the document as it was before. */
  readonly image: Buffer | undefined;
}

export interface RevertPlace {
  readonly reader: TargetReader;
  readonly writer: TargetWriter;
  readonly collection: TargetCollection;
}

/** Looks at one of `RestoredIds.groups`: documents that were all inserted, or all replaced. */
export async function classifyForRevert(
  place: Pick<RevertPlace, 'reader' | 'collection'>,
  restored: RestoredIds,
  { run, positions }: { readonly run: DocumentRun; readonly positions: readonly number[] },
): Promise<RevertItem[]> {
  const { reader, collection } = place;
  const [first] = positions;
  if (first === undefined) return [];
  const isReplaced = restored.actionOn(collection.name, run.id(first)) === 'replaced';
  // What was replaced is as large as its before-images, which fit into memory; what was inserted may have become anything.
  const there = await findCounterparts({ reader, collection, run, positions, keepsOthers: isReplaced });
  const items: RevertItem[] = [];
  for (const position of positions) {
    if (!isReplaced) {
      items.push({ position, class: INSERTED[there.presence(position)], image: undefined });
      continue;
    }
    const image = await restored.imageOf(collection.name, run.id(position));
    items.push({ position, class: classOfReplaced(there, position, image), image });
  }
  return items;
}

const INSERTED = { same: 'remove', other: 'changed', absent: 'gone' } as const;

function classOfReplaced(there: Counterparts, position: number, image: Buffer | undefined): RevertClass {
  const presence = there.presence(position);
  if (presence === 'absent') return 'deleted';
  if (presence === 'same') return image === undefined ? 'changed' : 'putBack';
  return image !== undefined && there.other(position)?.equals(image) ? 'back' : 'changed';
}

/** Removes documents that are still as they were written. Returns the positions of those that were not, any more. */
export async function removeDocuments(
  place: RevertPlace,
  run: DocumentRun,
  positions: readonly number[],
): Promise<number[]> {
  const outcome = await place.writer.remove(
    place.collection,
    positions.map((each) => run.document(each)),
    await conditionalOptions(place),
  );
  return untouched(`removing from ${place.collection.name}`, positions, outcome);
}

/** Puts before-images in the place of documents that are still as they were written. */
export async function putBackDocuments(
  place: RevertPlace,
  run: DocumentRun,
  images: ReadonlyMap<number, Buffer>,
): Promise<number[]> {
  const positions = [...images.keys()];
  const outcome = await place.writer.replace(
    place.collection,
    positions.map((each) => ({ seen: run.document(each), after: images.get(each) as Buffer })),
    await conditionalOptions(place),
  );
  return untouched(`putting back into ${place.collection.name}`, positions, outcome);
}

function untouched(
  what: string,
  positions: readonly number[],
  { leftAlone, faults }: ConditionalOutcome,
): number[] {
  const [refusal] = faults;
  if (refusal !== undefined) throw refused(what, refusal.code);
  return [...leftAlone.keys()].map((index) => positions[index] as number);
}

/** A validator or a unique index that came after the restore; waiting would not help. */
function refused(what: string, code: number): RestorePlanError {
  return new RestorePlanError('TARGET', `${what}: the server refuses a document (code ${code})`, {
    hint: 'Look for a validator or a unique index that came after the restore, and let the document as it was before pass.',
  });
}
