/** One group of documents of a revert: what can be taken back of it, and the taking back. */
import type { DocumentRun } from '../bson/document-run.ts';
import { RestorePlanError } from '../errors.ts';
import { isTransientCode } from '../target/command-failure.ts';
import { type Counterparts, findCounterparts } from '../target/counterparts.ts';
import { type Patience, rideOut, TryAgain } from '../target/patience.ts';
import type { TargetCollection, TargetReader, TargetWriter, WriteOutcome } from '../target/target.ts';
import type { RestoredIds } from './restored-ids.ts';

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
  readonly patience: Patience;
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
export function removeDocuments(
  place: RevertPlace,
  run: DocumentRun,
  positions: readonly number[],
): Promise<number[]> {
  return takeBack(place, run, {
    positions,
    what: 'removing from',
    attempt: (open) =>
      place.writer.remove(
        place.collection.name,
        open.map((each) => run.document(each)),
        place.collection.collated,
      ),
    isDone: (there, position) => there.presence(position) === 'absent',
  });
}

/** Puts before-images in the place of documents that are still as they were written. */
export function putBackDocuments(
  place: RevertPlace,
  run: DocumentRun,
  images: ReadonlyMap<number, Buffer>,
): Promise<number[]> {
  return takeBack(place, run, {
    positions: [...images.keys()],
    what: 'putting back into',
    attempt: (open) =>
      place.writer.replace(
        place.collection.name,
        open.map((each) => ({ seen: run.document(each), after: images.get(each) as Buffer })),
        place.collection.collated,
      ),
    isDone: (there, position) => there.other(position)?.equals(images.get(position) as Buffer) === true,
  });
}

interface TakingBack {
  readonly positions: readonly number[];
  readonly what: string;
  readonly attempt: (open: readonly number[]) => Promise<WriteOutcome>;
  /** Of a document that is not as it was written any more: is that our own doing? */
  readonly isDone: (there: Counterparts, position: number) => boolean;
}

/** The same rule as for writing: an unclear answer is settled by reading back, and what is still open is tried again. */
async function takeBack(place: RevertPlace, run: DocumentRun, taking: TakingBack): Promise<number[]> {
  const { reader, collection } = place;
  const what = `${taking.what} ${reader.database}.${collection.name}`;
  const untouched: number[] = [];
  let open = taking.positions;
  let isInDoubt = false;
  await rideOut(place.patience, what, async () => {
    if (isInDoubt) {
      const there = await findCounterparts({ reader, collection, run, positions: open, keepsOthers: true });
      const changed = open.filter((each) => there.presence(each) !== 'same' && !taking.isDone(there, each));
      untouched.push(...changed);
      open = open.filter((each) => there.presence(each) === 'same');
    }
    if (open.length === 0) return;
    isInDoubt = true;
    const { written, faults } = await taking.attempt(open);
    const refusal = faults.find(({ code }) => !isTransientCode(code));
    if (refusal !== undefined) throw refused(what, refusal.code);
    if (written < open.length)
      throw new TryAgain(what, `${open.length - written} documents are not settled yet`);
  });
  return untouched;
}

/** A validator or a unique index that came after the restore; waiting would not help. */
function refused(what: string, code: number): RestorePlanError {
  return new RestorePlanError('TARGET', `${what}: the server refuses a document (code ${code})`, {
    hint: 'Look for a validator or a unique index that came after the restore, and let the document as it was before pass.',
  });
}
