/** Hashes for journal entries of format 1, which kept ids alone: taken of the selection that was applied then. */
import { hash } from 'node:crypto';
import { canonicalKey } from '../bson/canonical-bytes.ts';
import { HASH_BYTES, type JournalEntry } from '../ledger/journal-entry.ts';
import { readBatches } from '../selection/read-batches.ts';
import type { Selection } from '../selection/selection.ts';
import { admit } from './admit.ts';
import { LOOKUP_BATCH } from './lookup-batches.ts';
import type { WrittenEntry } from './revert-entry.ts';

/** Documents whose hashes are made in one reading of the selection: some 150 bytes of memory each. */
const IDS_AT_ONCE = 300_000;

/**
 * The same entries in the same order, each with hashes. A document that the selection lacks cannot be proven to be the one that was written:
 * it is skipped. `documents` is asked for at the first entry without hashes.
 */
export async function* withHashes(
  entries: AsyncIterable<JournalEntry>,
  documents: () => Promise<Selection>,
): AsyncGenerator<WrittenEntry, undefined, undefined> {
  let waiting: JournalEntry[] = [];
  let ids = 0;
  for await (const entry of entries) {
    if (entry.hashes !== undefined && waiting.length === 0) {
      yield { ...entry, hashes: entry.hashes };
      continue;
    }
    waiting.push(entry);
    ids += entry.ids.length;
    if (ids < IDS_AT_ONCE) continue;
    yield* hashed(waiting, await documents());
    waiting = [];
    ids = 0;
  }
  if (waiting.length > 0) yield* hashed(waiting, await documents());
  return undefined;
}

async function* hashed(
  entries: readonly JournalEntry[],
  selection: Selection,
): AsyncGenerator<WrittenEntry, void, undefined> {
  const wanted = new Map<string, Map<string, string>>();
  for (const { into, ids, hashes } of entries) {
    if (hashes !== undefined) continue;
    const keys = wanted.get(into) ?? new Map<string, string>();
    wanted.set(into, keys);
    for (const id of ids) keys.set(canonicalKey(id), '');
  }
  for (const selected of selection.manifest.collections) {
    const keys = wanted.get(selected.into);
    if (keys === undefined) continue;
    for await (const batch of readBatches(selection, selected.collection, LOOKUP_BATCH)) {
      const { run, positions } = admit(batch);
      for (const position of positions) {
        const key = canonicalKey(run.id(position));
        // Of several documents of one _id the first was restored.
        if (keys.get(key) === '') keys.set(key, hash('sha256', run.document(position), 'binary'));
      }
    }
  }
  for (const entry of entries) {
    if (entry.hashes !== undefined) {
      yield { ...entry, hashes: entry.hashes };
      continue;
    }
    const known = entry.ids.map((id) => wanted.get(entry.into)?.get(canonicalKey(id)) ?? '');
    const hashes = Buffer.alloc(entry.ids.length * HASH_BYTES);
    for (const [i, each] of known.entries()) hashes.write(each, i * HASH_BYTES, 'latin1');
    const unknown = [...known.keys()].filter((i) => known[i] === '');
    yield { ...entry, hashes, skipped: [...new Set([...entry.skipped, ...unknown])] };
  }
}
