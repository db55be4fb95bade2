import { createHash } from 'node:crypto';
import { rename } from 'node:fs/promises';
import { basename } from 'node:path';
import type { ScanSummary } from '../backup/backup.ts';
import { AppendFile } from './append-file.ts';
import type { ChosenDocuments } from './chosen-documents.ts';
import { inMemberOrder, isInMemberOrder } from './member-order.ts';
import { sha256OfFile } from './open-selection.ts';
import { fileBatches } from './read-batches.ts';
import { findRepeatedIds, type IndexSet, type WrittenDocuments } from './repeated-ids.ts';

const BATCH = { maxBytes: 1024 * 1024, maxDocuments: 100_000, held: 1 };

export interface FinishedCollection {
  readonly count: number;
  readonly bytes: number;
  readonly sha256: string;
  /** File name. */
  readonly file: string;
  readonly warnings: readonly string[];
}

/**
 * Closes the file of a collection's chosen documents, brings its members in order, takes out copies that several of them hold, and says
 * what is odd.
 */
export async function finishCollection(
  collection: string,
  chosen: ChosenDocuments,
  members: ScanSummary['members'],
): Promise<FinishedCollection> {
  await chosen.close();
  const { count, bytes, path, members: starts } = chosen;
  const warnings: string[] = [];
  if (chosen.idNotFirst > 0) {
    warnings.push(
      `${collection}: _id is not the first field of ${documents(chosen.idNotFirst)}; the server moves it to the front`,
    );
  }
  const file = basename(path);
  const asTheyCame = { collection, path, count, bytes, members: starts, suspects: chosen.suspects() };
  const isOrdered = isInMemberOrder(asTheyCame);
  const written = isOrdered ? asTheyCame : await inMemberOrder(asTheyCame);
  const sha256 = (): Promise<string> => (isOrdered ? sha256Of(chosen, members) : sha256OfFile(path));
  if (written.suspects?.length === 0) return { count, bytes, sha256: await sha256(), file, warnings };

  const { copies, repeated, firstRepeated } = await findRepeatedIds(written);
  if (repeated > 0) {
    warnings.push(
      `${collection}: ${documents(repeated)} of the backup repeat the _id of an earlier one, first _id ${firstRepeated}; ` +
        'a target can hold only one of each',
    );
  }
  if (copies.size === 0) return { count, bytes, sha256: await sha256(), file, warnings };
  return { ...(await withoutCopies(written, copies)), file, warnings };
}

/** The sha256 taken while writing, or the one of the only member when all of it was written, or else the file's own. */
async function sha256Of(chosen: ChosenDocuments, members: ScanSummary['members']): Promise<string> {
  const taken = chosen.sha256();
  if (taken !== undefined) return taken;
  const [only, ...others] = members;
  if (only !== undefined && others.length === 0 && only.bytes === chosen.bytes) return only.sha256;
  return sha256OfFile(chosen.path);
}

async function withoutCopies(
  { path, count, bytes }: WrittenDocuments,
  copies: IndexSet,
): Promise<{ count: number; bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  const kept = await AppendFile.create(`${path}.kept`);
  kept.onWrite = (part) => hash.update(part);
  try {
    for await (const batch of fileBatches(path, bytes, BATCH)) {
      for (const [i, start] of batch.offsets.entries()) {
        if (copies.has(batch.first + i)) continue;
        kept.append(batch.bytes, start, batch.offsets[i + 1] ?? batch.bytes.length);
      }
      await kept.drain();
    }
  } finally {
    await kept.close();
  }
  await rename(kept.path, path);
  return { count: count - copies.size, bytes: kept.bytes, sha256: hash.digest('hex') };
}

function documents(count: number): string {
  return count === 1 ? '1 document' : `${count} documents`;
}
