/** What an apply leaves out: who decided that, what must be known before a document is written, and what the ledger keeps of it. */
import { findId } from '../bson/stored-form.ts';
import { copyOf, type RawValue } from '../bson/types.ts';
import { type ExceptedAs, LeftOut, type LeftOutQuestion } from '../comparison/left-out.ts';
import {
  ACCEPTED_TOGETHER,
  type AcceptedPart,
  type AcceptedPlace,
  type LeftOutAs,
  readAccepted,
} from '../ledger/accepted.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { Plan } from '../plan/plan.ts';
import { readBatches } from '../selection/read-batches.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import type { Target, TargetReader } from '../target/target.ts';
import { LOOKUP_BATCH } from './lookup-batches.ts';

export interface LeftOutRequest {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly reader: TargetReader;
  readonly signal?: AbortSignal | undefined;
  readonly alsoExcepted?: LeftOutQuestion['alsoExcepted'];
}

/** With everything marked that is excepted by name, in the plan or in the target's ledger. */
export async function leftOutOf({ alsoExcepted, ...question }: LeftOutRequest): Promise<LeftOut> {
  const { plan, selection, reader } = question;
  const accepted = await readAccepted(reader, { plan: plan.name, selection: selection.manifest.digest });
  const leftOut = new LeftOut({ ...question, accepted, ...(alsoExcepted && { alsoExcepted }) });
  for (const selected of selection.manifest.collections) await leftOut.mark(selected);
  return leftOut;
}

export interface LeftOutDocuments {
  readonly selection: Selection;
  readonly leftOut: LeftOut;
  /** Which of the documents that are excepted are meant. */
  readonly isMeant: (selected: SelectedCollection, ordinal: number) => boolean;
  /** Why; of the class, where the plan says nothing. */
  readonly reasonOf: (collection: string, as: ExceptedAs) => string;
}

/** Documents that are left out by decision, in parts for the ledger, with their `_id`s. */
export async function* exceptedParts({
  selection,
  leftOut,
  isMeant,
  reasonOf,
}: LeftOutDocuments): AsyncGenerator<AcceptedPart, void, undefined> {
  for (const selected of selection.manifest.collections) {
    const { collection, count } = selected;
    let many = 0;
    for (let ordinal = 0; ordinal < count; ordinal++) if (isMeant(selected, ordinal)) many++;
    if (many === 0) continue;
    const open = new Map<ExceptedAs, { ids: RawValue[]; ordinals: number[] }>();
    const closed = (as: ExceptedAs): AcceptedPart[] => {
      const part = open.get(as);
      open.delete(as);
      if (part === undefined) return [];
      return [{ collection, as: as as LeftOutAs, reason: reasonOf(collection, as), ...part }];
    };
    for await (const { bytes, offsets, first } of readBatches(selection, collection, LOOKUP_BATCH)) {
      for (let i = 0; i < offsets.length; i++) {
        const id = isMeant(selected, first + i) ? findId(bytes, offsets[i]) : undefined;
        if (id === undefined) continue;
        const as = leftOut.exceptedAs(collection, first + i);
        const part = open.get(as) ?? { ids: [], ordinals: [] };
        open.set(as, part);
        part.ids.push(copyOf(id));
        part.ordinals.push(first + i);
        if (part.ids.length === ACCEPTED_TOGETHER) yield* closed(as);
      }
    }
    for (const as of [...open.keys()]) yield* closed(as);
  }
}

/** Writes down what this apply left out by the plan's exceptions, and forgets what an earlier one did. */
export async function recordExcepted(
  target: Target,
  place: Omit<AcceptedPlace, 'kind'>,
  documents: LeftOutDocuments,
): Promise<void> {
  const { accepted } = openLedger(target);
  let number = 0;
  for await (const part of exceptedParts(documents)) {
    await accepted.write({ ...place, kind: 'applied' }, number++, part);
  }
  await accepted.dropAppliedBefore(place.key, place.fencing);
}
