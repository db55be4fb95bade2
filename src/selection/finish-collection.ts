import { createHash } from 'node:crypto';
import { rename } from 'node:fs/promises';
import { basename } from 'node:path';
import type { ScanSummary } from '../backup/backup.ts';
import { AppendFile } from './append-file.ts';
import type { ChosenDocuments } from './chosen-documents.ts';
import { fileBatches, ONE_AFTER_ANOTHER } from './file-batches.ts';
import type { IndexSet } from './index-set.ts';
import { inMemberOrder, isInMemberOrder } from './member-order.ts';
import { sha256OfFile } from './open-selection.ts';
import { findRepeatedIds, type RepeatedIds, type WrittenDocuments } from './repeated-ids.ts';

interface FinishedCollection {
  readonly count: number;
  readonly bytes: number;
  readonly sha256: string;
  /** File name. */
  readonly file: string;
  readonly warnings: readonly string[];
}

/**
 * Closes the file of a collection's chosen documents, brings its members in order, takes out what repeats an `_id`, and says what is
 * odd.
 */
export async function finishCollection(
  collection: string,
  chosen: ChosenDocuments,
  members: ScanSummary['members'],
): Promise<FinishedCollection> {
  await chosen.close();
  const { count, bytes, path, idNotFirst } = chosen;
  const file = basename(path);
  const asTheyCame = {
    collection,
    path,
    count,
    bytes,
    members: chosen.members,
    suspects: chosen.suspects(),
  };
  const isOrdered = isInMemberOrder(asTheyCame);
  const written = isOrdered ? asTheyCame : await inMemberOrder(asTheyCame);
  const repeated = await findRepeatedIds(written);
  const warnings = oddities(collection, idNotFirst, repeated);
  if (repeated.later.size > 0) return { ...(await without(written, repeated.later)), file, warnings };
  const sha256 = isOrdered ? await sha256Of(chosen, members) : await sha256OfFile(path);
  return { count, bytes, sha256, file, warnings };
}

function oddities(
  collection: string,
  idNotFirst: number,
  { repeated, firstRepeated }: RepeatedIds,
): readonly string[] {
  const found: string[] = [];
  if (idNotFirst > 0) {
    found.push(
      `${collection}: _id is not the first field of ${documents(idNotFirst)}; the server moves it to the front`,
    );
  }
  if (repeated > 0) {
    found.push(
      `${collection}: ${documents(repeated)} of the backup ${repeated === 1 ? 'repeats' : 'repeat'} the _id of an earlier one, first _id ${firstRepeated}; ` +
        'only the first of each is restored',
    );
  }
  return found;
}

/** The sha256 taken while writing, or the one of the only member when all of it was written, or else the file's own. */
async function sha256Of(chosen: ChosenDocuments, members: ScanSummary['members']): Promise<string> {
  const taken = chosen.sha256();
  if (taken !== undefined) return taken;
  const [only, ...others] = members;
  if (only !== undefined && others.length === 0 && only.bytes === chosen.bytes) return only.sha256;
  return sha256OfFile(chosen.path);
}

async function without(
  { path, count, bytes }: WrittenDocuments,
  later: IndexSet,
): Promise<{ count: number; bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  const kept = await AppendFile.create(`${path}.kept`);
  kept.onWrite = (part) => hash.update(part);
  try {
    for await (const batch of fileBatches(path, bytes, ONE_AFTER_ANOTHER)) {
      for (const [i, start] of batch.offsets.entries()) {
        if (later.has(batch.first + i)) continue;
        kept.append(batch.bytes, start, batch.offsets[i + 1] ?? batch.bytes.length);
      }
      await kept.drain();
    }
  } finally {
    await kept.close();
  }
  await rename(kept.path, path);
  return { count: count - later.size, bytes: kept.bytes, sha256: hash.digest('hex') };
}

function documents(count: number): string {
  return count === 1 ? '1 document' : `${count} documents`;
}
