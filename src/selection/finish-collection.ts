/**
 * Finishes the file of a collection's chosen documents: in the order of the backup's members, and with each `_id` once.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rename } from 'node:fs/promises';
import { basename } from 'node:path';
import type { MemberInfo } from '../backup/backup.ts';
import { CanonicalBytes } from '../bson/canonical-bytes.ts';
import { findId } from '../bson/documents.ts';
import { hashBytes } from '../bson/flat-sets.ts';
import { KeySet } from '../bson/key-set.ts';
import { showValue } from '../bson/show.ts';
import type { RawValue } from '../bson/types.ts';
import { RestorePlanError } from '../errors.ts';
import type { ChosenDocuments, MemberFile, MemberStart } from './chosen-documents.ts';
import { AppendFile, fileBatches, ONE_AFTER_ANOTHER } from './file-batches.ts';
import { sha256OfFile } from './open-selection.ts';

interface FinishedCollection {
  readonly count: number;
  readonly bytes: number;
  readonly sha256: string;
  /** File name. */
  readonly file: string;
  /** In which state (`MemberInfo.view`) the documents from an index on are. */
  readonly views: readonly ViewStart[];
  readonly warnings: readonly string[];
}

export interface ViewStart {
  readonly view: string | undefined;
  /** Index of the first document. */
  readonly first: number;
}

/**
 * Closes the file of a collection's chosen documents, brings its members in order, takes out what repeats an `_id`, and says what is
 * odd.
 */
export async function finishCollection(
  collection: string,
  chosen: ChosenDocuments,
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
  const views = viewsOf(written, repeated.later);
  if (repeated.later.size > 0) return { ...(await without(written, repeated.later)), file, views, warnings };
  const sha256 = isOrdered ? chosen.sha256() : await sha256OfFile(path);
  return { count, bytes, sha256, file, views, warnings };
}

/** `later`: what is taken out. */
function viewsOf({ members }: MemberFile, later: IndexSet): ViewStart[] {
  const taken = later.values();
  let next = taken.next();
  let before = 0;
  return members.map(({ member, first }) => {
    for (; !next.done && next.value < first; next = taken.next()) before++;
    return { view: member.view, first: first - before };
  });
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

// Documents of a collection have the order of their members' paths, as a folder gives them: a tar may hold the same folders of hosts or
// shards in any order, and the selection is to have the same digest.

const COPIED_AT_A_TIME = 1024 * 1024;

function isInMemberOrder({ members }: Pick<MemberFile, 'members'>): boolean {
  return members.every(({ member }, i) => i === 0 || comparePaths(members[i - 1]?.member, member) <= 0);
}

/** Writes the file anew, its members in the order of their paths. */
async function inMemberOrder<File extends MemberFile>(file: File): Promise<File> {
  const { path, count, bytes, members, suspects } = file;
  const parts = members.map((start, i) => ({
    ...start,
    next: members[i + 1]?.first ?? count,
    end: members[i + 1]?.at ?? bytes,
  }));
  parts.sort((a, b) => comparePaths(a.member, b.member));
  const ordered = await AppendFile.create(`${path}.ordered`);
  const starts: MemberStart[] = [];
  const moved: number[] = [];
  try {
    let index = 0;
    for (const { member, first, next, at, end } of parts) {
      starts.push({ member, first: index, at: ordered.bytes });
      for (const suspect of suspects ?? [])
        if (suspect >= first && suspect < next) moved.push(suspect - first + index);
      index += next - first;
      if (end > at) await copy(path, { start: at, end: end - 1 }, ordered);
    }
  } finally {
    await ordered.close();
  }
  await rename(ordered.path, path);
  return { ...file, members: starts, suspects: suspects && moved };
}

/** `end` is the last byte. */
async function copy(path: string, range: { start: number; end: number }, to: AppendFile): Promise<void> {
  for await (const chunk of createReadStream(path, { ...range, highWaterMark: COPIED_AT_A_TIME })) {
    to.append(chunk, 0, chunk.length);
    await to.drain();
  }
}

function comparePaths(a: MemberInfo | undefined, b: MemberInfo | undefined): number {
  const [one, other] = [a?.path ?? '', b?.path ?? ''];
  return one < other ? -1 : one > other ? 1 : 0;
}

// Documents that share an `_id`.
//
// Between members of the backup (several shards or hosts were dumped) the same document is expected: it counts once when
// its copies are equal, and there is no telling which is right when they are not. Within one member (a document was removed and made
// anew while the dump was taken) the first of them counts, as for mongorestore, and the others are reported.

/** `_id`s held at a time, about 200 bytes each; when there are more, the file is gone through several times. */
const IDS_PER_PASS = 150_000;

interface WrittenDocuments extends MemberFile {
  readonly collection: string;
}

interface RepeatedIds {
  /** Indexes of documents whose `_id` an earlier one has: a target can hold only one of each. */
  readonly later: IndexSet;
  /** How many of them share it with one of the same member, and the first such `_id` as Extended JSON. */
  readonly repeated: number;
  readonly firstRepeated: string | undefined;
}

/** Throws RestorePlanError BACKUP when two members hold different documents under one `_id`. */
async function findRepeatedIds(written: WrittenDocuments): Promise<RepeatedIds> {
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
      throw twoDocuments(this.#written.collection, showValue(id), [
        first.member.member,
        holder.member.member,
      ]);
    }
    this.later.add(index);
  }
}

function twoDocuments(
  collection: string,
  id: string,
  [one, other]: readonly [MemberInfo, MemberInfo],
): RestorePlanError {
  if (one.view !== other.view)
    return new RestorePlanError(
      'BACKUP',
      `${collection}: the plan selects _id ${id} in two states: ${one.path} and ${other.path}`,
      {
        hint: 'A document is restored once. Narrow the windows, or the queries, so that one entry selects it.',
      },
    );
  return new RestorePlanError(
    'BACKUP',
    `${collection}: the backup holds two different documents with _id ${id}: in ${one.path} and in ${other.path}`,
    {
      hint: 'Narrow source to the folder of one shard or host, or the query to documents that all of them agree on.',
    },
  );
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
/** A set of places in a list, a bit for each up to the highest. */
export class IndexSet {
  size = 0;
  #bits: Uint8Array;

  /** `bound`: as many places as are expected; more are taken, too. */
  constructor(bound = 512) {
    this.#bits = new Uint8Array(Math.ceil(bound / 8));
  }

  /** Whether it was not in the set before. */
  add(index: number): boolean {
    const byte = index >>> 3;
    if (byte >= this.#bits.length) this.#grow(byte + 1);
    const bits = this.#bits[byte] as number;
    const bit = 1 << (index & 7);
    if ((bits & bit) !== 0) return false;
    this.#bits[byte] = bits | bit;
    this.size++;
    return true;
  }

  has(index: number): boolean {
    return ((this.#bits[index >>> 3] ?? 0) & (1 << (index & 7))) !== 0;
  }

  /** Ascending. */
  *values(): Generator<number> {
    for (let byte = 0; byte < this.#bits.length; byte++) {
      const bits = this.#bits[byte] as number;
      for (let bit = 0; bits >> bit !== 0; bit++) if ((bits >> bit) & 1) yield byte * 8 + bit;
    }
  }

  #grow(bytes: number): void {
    const grown = new Uint8Array(Math.max(bytes, this.#bits.length * 2));
    grown.set(this.#bits);
    this.#bits = grown;
  }
}
