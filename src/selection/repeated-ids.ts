/**
 * Documents of one collection that share an `_id`.
 *
 * Between members of the backup (several shards or hosts were dumped) the same document is expected: it counts once when
 * its copies are equal, and there is no telling which is right when they are not. Within one member (a document was removed and made
 * anew while the dump was taken) the first of them counts, as for mongorestore, and the others are reported.
 */
import { createHash } from 'node:crypto';
import { CanonicalBytes } from '../bson/canonical-bytes.ts';
import { hashBytes } from '../bson/flat-sets.ts';
import { KeySet } from '../bson/key-set.ts';
import { showValue } from '../bson/show.ts';
import { findId } from '../bson/stored-form.ts';
import type { RawValue } from '../bson/types.ts';
import { RestorePlanError } from '../errors.ts';
import { fileBatches, ONE_AFTER_ANOTHER } from './file-batches.ts';
import { IndexSet } from './index-set.ts';
import type { MemberFile, MemberStart } from './member-order.ts';

/** `_id`s held at a time, about 200 bytes each; when there are more, the file is gone through several times. */
const IDS_PER_PASS = 150_000;

export interface WrittenDocuments extends MemberFile {
  readonly collection: string;
}

export interface RepeatedIds {
  /** Indexes of documents whose `_id` an earlier one has: a target can hold only one of each. */
  readonly later: IndexSet;
  /** How many of them share it with one of the same member, and the first such `_id` as Extended JSON. */
  readonly repeated: number;
  readonly firstRepeated: string | undefined;
}

/** Throws RestorePlanError BACKUP when two members hold different documents under one `_id`. */
export async function findRepeatedIds(written: WrittenDocuments): Promise<RepeatedIds> {
  if (written.suspects?.length === 0) return new RepeatSearch(written, undefined);
  const suspects = written.suspects === undefined ? undefined : await idsAt(written, written.suspects);
  const search = new RepeatSearch(written, suspects);
  const passes = suspects === undefined ? Math.ceil(written.count / IDS_PER_PASS) : 1;
  for (let pass = 0; pass < passes; pass++) await search.run(pass, passes);
  return search;
}

async function idsAt({ path, bytes }: WrittenDocuments, indexes: readonly number[]): Promise<KeySet> {
  const ids = new KeySet();
  let next = 0;
  for await (const batch of fileBatches(path, bytes, ONE_AFTER_ANOTHER)) {
    for (; (indexes[next] ?? Infinity) < batch.first + batch.offsets.length; next++) {
      const start = batch.offsets[(indexes[next] as number) - batch.first] as number;
      ids.add(findId(batch.bytes, start) as RawValue);
    }
  }
  return ids;
}

interface FirstHolder {
  readonly sha256: string;
  readonly member: MemberStart;
}

class RepeatSearch implements RepeatedIds {
  readonly later: IndexSet;
  repeated = 0;
  firstRepeated: string | undefined;
  readonly #written: WrittenDocuments;
  readonly #suspects: KeySet | undefined;
  readonly #key = new CanonicalBytes();

  constructor(written: WrittenDocuments, suspects: KeySet | undefined) {
    this.#written = written;
    this.#suspects = suspects;
    this.later = new IndexSet(written.count);
  }

  /** Looks at the `_id`s whose hash falls to this pass. */
  async run(pass: number, passes: number): Promise<void> {
    const { path, bytes, members } = this.#written;
    const holders = new Map<string, FirstHolder>();
    let next = 0;
    for await (const batch of fileBatches(path, bytes, ONE_AFTER_ANOTHER)) {
      for (const [i, start] of batch.offsets.entries()) {
        const index = batch.first + i;
        while ((members[next]?.first ?? Infinity) <= index) next++;
        const id = findId(batch.bytes, start) as RawValue;
        if (this.#suspects !== undefined && !this.#suspects.has(id)) continue;
        const key = this.#key.set(id);
        if (passes > 1 && (hashBytes(key.bytes, { start: 0, end: key.length }, 0) >>> 0) % passes !== pass)
          continue;
        const document = batch.bytes.subarray(start, batch.offsets[i + 1] ?? batch.bytes.length);
        const holder = { sha256: sha256(document), member: members[next - 1] as MemberStart };
        this.#compare(index, id, { holder, first: remember(holders, key, holder) });
      }
    }
  }

  #compare(
    index: number,
    id: RawValue,
    { holder, first }: { holder: FirstHolder; first: FirstHolder },
  ): void {
    if (first === holder) return;
    if (first.member.member.id === holder.member.member.id) {
      this.repeated++;
      this.firstRepeated ??= showValue(id);
    } else if (first.sha256 !== holder.sha256) {
      throw new RestorePlanError(
        'BACKUP',
        `${this.#written.collection}: the backup holds two different documents with _id ${showValue(id)}: ` +
          `in ${first.member.member.path} and in ${holder.member.member.path}`,
        {
          hint: 'Narrow source to the folder of one shard or host, or the query to documents that all of them agree on.',
        },
      );
    }
    this.later.add(index);
  }
}

/** Notes who holds a key first, and returns that holder. */
function remember(holders: Map<string, FirstHolder>, key: CanonicalBytes, holder: FirstHolder): FirstHolder {
  const text = key.bytes.toString('latin1', 0, key.length);
  const first = holders.get(text);
  if (first === undefined) holders.set(text, holder);
  return first ?? holder;
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('base64');
}
