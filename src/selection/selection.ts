/**
 * A finished selection: the documents chosen from one backup, kept as a directory that is itself a valid mongodump.
 *
 * `<directory>/<database>/<collection>.bson`, `.metadata.json` beside it, and `manifest.json`.
 */

import { createHash } from 'node:crypto';
import type { BackupIdentity, MemberRead } from '../backup/backup.ts';
import type { PastCounts } from '../oplog/later.ts';
import type { OplogRecord } from '../oplog/roll-forward.ts';
import type { MergeRules, WhenMatched } from '../plan/plan.ts';
import { showCount } from '../text/quantities.ts';

export interface Selection {
  /** Absolute path. */
  readonly directory: string;
  readonly manifest: SelectionManifest;
}

export interface SelectionManifest {
  /** Written is 2. In 1, members had their SHA-256. */
  readonly format: 1 | 2;
  readonly toolVersion: string;
  readonly planName: string;
  readonly planDigest: string;
  /** The plan's; absent in older selections, where it was the plan's digest. */
  readonly selectsDigest?: string;
  readonly backup: BackupIdentity;
  readonly database: string;
  /** sha256, hex, of the canonical list of (collection, into, whenMatched, count, sha256). Keys ledger and gate. */
  readonly digest: string;
  readonly collections: readonly SelectedCollection[];
  /** What was read to make it. */
  readonly members: readonly (MemberRead | HashedMember)[];
  /** True when the archive was proven whole; false when `integrity: needed` stopped early. */
  readonly readToEnd: boolean;
  /** The backup is an export whose numbers do not say their types: these are as its text spells them. */
  readonly relaxed?: boolean;
  /** What rolled the documents forward; absent where they are as the backup has them. */
  readonly oplog?: OplogRecord;
  /** Things the operator should know: an oplog that is not replayed, a member without metadata, … */
  readonly warnings: readonly string[];
}

/** A member in a manifest of format 1. */
type HashedMember = Omit<MemberRead, 'crc32'> & { readonly sha256: string };

/** Documents that a query or `ids` at the top of the plan match as they were just before they were deleted, before the cut. */
export interface DeletedBefore {
  /** At least 1. */
  readonly count: number;
  /** When the last of them was deleted, UTC milliseconds. */
  readonly last: number;
}

/** `12 documents that match were deleted before that moment, the last at 2026-11-22T15:40:00.000Z` */
export function deletedBeforeText(count: number, when: string): string {
  return count === 1
    ? `1 document that matches was deleted before that moment, at ${when}`
    : `${showCount(count)} documents that match were deleted before that moment, the last at ${when}`;
}

export interface SelectedCollection {
  readonly collection: string;
  readonly into: string;
  readonly whenMatched: WhenMatched;
  /** With `merge` alone. */
  readonly merge?: MergeRules;
  /** Documents scanned in the backup. */
  readonly scanned: number;
  /** Documents selected. */
  readonly count: number;
  readonly bytes: number;
  /** sha256, hex, of the selected documents' bytes in backup order. */
  readonly sha256: string;
  /** File names inside `<directory>/<database>/`. */
  readonly file: string;
  /** Undefined when the backup holds no metadata for the collection. */
  readonly metadataFile: string | undefined;
  /** sha256, hex, of that file. In no digest; a collection that is missing in the target is made by it. */
  readonly metadataSha256?: string;
  /** Of the documents: how many the oplog changed, and how many it alone has. Absent where none was used. */
  readonly rolled?: number;
  readonly inserted?: number;
  /** What happened to how many of them behind the cut, as far as it was looked at. */
  readonly later?: PastCounts['later'];
  /** What the plan would have selected at an earlier moment. Absent: none, or nobody counted, as of shards. */
  readonly deletedBefore?: DeletedBefore;
}

const byName = new WeakMap<readonly SelectedCollection[], ReadonlyMap<string, SelectedCollection>>();

/** By its name in the backup. Gone through once for each manifest: it is asked for every collection of it. */
export function selectedOf(
  { collections }: Pick<SelectionManifest, 'collections'>,
  collection: string,
): SelectedCollection | undefined {
  const names = byName.get(collections) ?? new Map(collections.map((each) => [each.collection, each]));
  byName.set(collections, names);
  return names.get(collection);
}

type DigestedFields = Pick<
  SelectedCollection,
  'collection' | 'into' | 'whenMatched' | 'merge' | 'count' | 'sha256'
>;

/**
 * The selection digest: what would be written, wherever it was read from. It keys ledger and gate.
 *
 * sha256, hex, of the canonical list of (collection, into, whenMatched, count, sha256 of the documents in backup order).
 * Of a merge, its sorted fields and `whenNotMatched` as well. Canonical: sorted by collection, one JSON array per line. Collections of which nothing was selected are left out, and the
 * plan's order does not count, because neither changes what is written.
 */
export function selectionDigest(collections: readonly DigestedFields[]): string {
  const lines = collections
    .filter(({ count }) => count > 0)
    .map(({ collection, into, whenMatched, count, sha256, merge }) => {
      const merged = merge === undefined ? [] : [[...merge.fields].sort(), merge.whenNotMatched];
      return JSON.stringify([collection, into, whenMatched, count, sha256, ...merged]);
    })
    .sort();
  return createHash('sha256')
    .update(`restore-plan selection 1\n${lines.join('\n')}`)
    .digest('hex');
}
