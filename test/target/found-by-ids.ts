import { Documents } from '../../src/bson/documents.ts';
import type { TargetReader } from '../../src/target/target.ts';

/** What a collection holds under the `_id`s of these documents. */
export async function foundByIds(
  reader: TargetReader,
  collection: string,
  ids: readonly Buffer[],
): Promise<Buffer[]> {
  const documents: Buffer[] = [];
  for await (const { found } of reader.lookUp(collection, Documents.of(ids), [...ids.keys()])) {
    for (let i = 0; i < found.length; i++) documents.push(found.document(i));
  }
  return documents;
}
