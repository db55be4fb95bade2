/**
 * Finds out what came of a batch whose run died before it could say so. In this order, because each step rests on the one before:
 *
 * 1. What is in the target now, byte for byte as the entry has it?
 * 2. The server is asked which statements it carried out under the entry's identity: those documents are ours.
 * 3. The identity is used up, so that nothing sent under it can arrive any more.
 * 4. Once more: what is in the target? What was there in step 1 and is not ours is somebody else's. What came since is doubtful: it
 *    may have been on its way to the server in step 2.
 *
 * A conditional write is asked for as a whole: all of it was committed, or nothing. Where the server does not know, everything
 * that is there as the entry has it is doubtful.
 */
import { canonicalKey } from '../bson/canonical-bytes.ts';
import type { BatchEnd } from '../ledger/journal.ts';
import { asDocuments, isAsWritten, type JournalEntry } from '../ledger/journal-entry.ts';
import type { TargetReader, TargetWriter, WriteIdentity } from '../target/target.ts';

export interface SettlingPlace {
  readonly reader: TargetReader;
  readonly writer: TargetWriter;
}

/** Undefined where the server does not know: to be decided by what is there when every document has been looked at. */
export async function settleOpenBatch(
  place: SettlingPlace,
  entry: JournalEntry,
): Promise<BatchEnd | undefined> {
  const { identity, hashes, action } = entry;
  if (identity === undefined) return undefined;
  if (action !== 'insert') return settleConditional(place, entry, identity);
  if (hashes === undefined) return undefined;
  return settleInserts(place, { ...entry, hashes }, identity);
}

async function settleInserts(
  { reader, writer }: SettlingPlace,
  entry: JournalEntry & { readonly hashes: Buffer },
  identity: WriteIdentity,
): Promise<BatchEnd | undefined> {
  const { batch, into, ids } = entry;
  const arrived = await writer.executedStatements(into, identity, ids);
  // The usual case: nothing is left that could still arrive, and the steps can be spared.
  if (arrived !== 'unknown' && arrived.size === ids.length) return { batch, skipped: [] };
  const before = await standing(reader, entry);
  const executed = await writer.executedStatements(into, identity, ids);
  await writer.endIdentity(into, identity);
  if (executed === 'unknown') return undefined;
  const after = await standing(reader, entry);
  const others = [...ids.keys()].filter((position) => !executed.has(position));
  const doubtful = others.filter((position) => after.has(position) && !before.has(position));
  const inDoubt = new Set(doubtful);
  return { batch, skipped: others.filter((position) => !inDoubt.has(position)), doubtful };
}

async function settleConditional(
  { writer }: SettlingPlace,
  { batch, into, ids, action }: JournalEntry,
  identity: WriteIdentity,
): Promise<BatchEnd | undefined> {
  const settlement = await writer.settleTransaction(into, identity);
  if (settlement === 'committed') return { batch, skipped: [] };
  if (settlement === 'aborted') return { batch, skipped: [...ids.keys()] };
  // What a revert has taken out is in again by the end of this run, or was found missing and counted as such.
  return action === 'replace' ? undefined : { batch, skipped: [] };
}

/** Positions of the documents that the target holds, byte for byte as the entry wrote them or was to write them. */
async function standing(
  reader: TargetReader,
  { into, ids, hashes }: JournalEntry & { readonly hashes: Buffer },
): Promise<ReadonlySet<number>> {
  const positions = new Map(ids.map((id, position) => [canonicalKey(id), position]));
  const asked = asDocuments(ids);
  const found = new Set<number>();
  for await (const answer of reader.lookUp(into, asked, [...ids.keys()])) {
    const documents = answer.found;
    for (let i = 0; i < documents.length; i++) {
      const position = positions.get(canonicalKey(documents.id(i)));
      if (position === undefined) continue;
      if (isAsWritten(hashes, position, documents.document(i))) found.add(position);
    }
  }
  return found;
}
