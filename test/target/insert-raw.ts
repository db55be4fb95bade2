/** Puts documents into a collection byte for byte, by the writer of the product and without its journal. */
import { Documents } from '../../src/bson/documents.ts';
import type { InsertOutcome, TargetWriter, WriteOptions } from '../../src/target/target.ts';

/** What a batch comes to of which every document was written. */
export const ALL_WRITTEN: InsertOutcome = { there: new Map(), faults: [] };

/** The collection need not be there. */
export function insertRaw(
  writer: TargetWriter,
  name: string,
  documents: readonly Buffer[],
  { identity }: Partial<Pick<WriteOptions, 'identity'>> = {},
): Promise<InsertOutcome> {
  const batch = { documents: Documents.of(documents), positions: [...documents.keys()] };
  return writer.insert({ name, collated: false, uuid: undefined }, batch, { identity });
}
