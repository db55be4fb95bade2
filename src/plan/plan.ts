/**
 * The checked plan: what every later step works on. Made only by `readPlan`; its raw form stays inside this folder.
 */

import type { TargetName } from '../events.ts';
import type { Secret } from '../secret.ts';
import type { FollowUpAction } from './follow-ups/kinds.ts';
import type { IdList } from './id-list.ts';
import type { Instant, TimeWindow } from './instant.ts';
import type { UnsetVariable } from './interpolate.ts';
import type { OplogPlan } from './sources/oplog.ts';
import type { Location } from './sources/sources.ts';

export interface Plan {
  readonly name: string;
  readonly reason: string | undefined;
  /** Absolute path of the plan file, for messages and relative paths. */
  readonly file: string;
  /** Absolute paths of all that it was read from: its own, those it extends, those of ids. */
  readonly files: readonly string[];
  readonly source: Source;
  readonly collections: readonly CollectionPlan[];
  readonly targets: { readonly staging: TargetPlan; readonly production?: TargetPlan };
  readonly followUps: readonly FollowUpPlan[];
  /** Dotted field paths whose values reports hide. */
  readonly mask: readonly string[];
  /** The most that written reports tell of documents. */
  readonly report: { readonly documents: DocumentsTold };
  /** sha256, hex, of the canonical plan: without reason, comments, URIs, gate, follow-ups, mask and report. */
  readonly digest: string;
  /** The same of what says which documents are selected: without exceptions, `orphans` and skipped indexes. */
  readonly selectsDigest: string;
  /**
   * `${VAR}`s the plan names that were not set; their text stands in the plan as written, and a query that holds one
   * matches nothing. Commands that connect refuse when it is not empty.
   */
  readonly unsetVariables: readonly UnsetVariable[];
}

/** From the least to the most: only counts; `_id`, class and reason; the names of fields as well; values, except those of `mask`. */
export const DOCUMENTS_TOLD = ['none', 'ids', 'masked', 'whole'] as const;
export type DocumentsTold = (typeof DOCUMENTS_TOLD)[number];

export interface Source {
  readonly at: Instant | undefined;
  /** Database inside the backup. */
  readonly database: string;
  readonly maxAgeMs: number | undefined;
  /** whole: a truncated or damaged archive is refused; needed: reading may stop after the last needed member. */
  readonly integrity: 'whole' | 'needed';
  /** Largest inflated size over compressed size that is believed; undefined = the reader's default. */
  readonly maxDecompressionRatio: number | undefined;
  readonly location: Location;
  /** Rolls the documents forward from the backup; undefined: they are as the backup has them. */
  readonly oplog?: OplogPlan;
}

export type WhenMatched = 'keepExisting' | 'replace' | 'merge' | 'fail';

/** What `whenMatched: merge` restores: these fields of a document, and nothing else of it. */
export interface MergeRules {
  /** Dotted paths, sorted. */
  readonly fields: readonly string[];
  /** What becomes of a document that the target lacks. */
  readonly whenNotMatched: 'insert' | 'discard';
}

/** Whether a document that the target holds with other content is changed, whole or in part. */
export function overwrites({ whenMatched }: { readonly whenMatched: WhenMatched }): boolean {
  return whenMatched === 'replace' || whenMatched === 'merge';
}

/** What a root collection and a dependent have in common. */
export interface RestoredCollection {
  /** Name inside the backup. */
  readonly collection: string;
  /** Name in the target. */
  readonly into: string;
  readonly whenMatched: WhenMatched;
  /** With `merge` alone. */
  readonly merge?: MergeRules;
  /** Dotted path of a date; lets the comparison call a document stale. */
  readonly updatedAt: string | undefined;
  /** Raw BSON query; target documents that match count as soft-deleted. */
  readonly softDelete: Buffer | undefined;
  readonly references: readonly Reference[];
  /** Names of indexes of the backup that are left out where apply creates the collection. */
  readonly skipIndexes: readonly string[];
  readonly exceptions: readonly PlanException[];
  readonly dependents: readonly DependentPlan[];
  /** `file:line:col` of the entry. */
  readonly where: string;
}

export interface ChangedWindow extends TimeWindow {
  /** Dotted paths; what changes one of them, a parent or a child of it counts. None: every change does. */
  readonly fields: readonly string[];
}

export interface CollectionPlan extends RestoredCollection {
  /** Raw BSON query document; `{}` (5 bytes) is every document: of the collection, of `ids`, or of what was deleted or changed. */
  readonly query: Buffer;
  /** Only documents with these `_id`s. */
  readonly ids?: IdList;
  /** Only documents that somebody deleted then, each as it was just before. */
  readonly deleted?: TimeWindow;
  /** Only documents that were updated or replaced then, each as it was just before. Beside `deleted`: these as well. */
  readonly changed?: ChangedWindow;
  /** `dependents: auto`: what other collections lost in the same run as `deleted` is proposed, and nothing of it restored. */
  readonly proposesDependents?: true;
}

export interface DependentPlan extends RestoredCollection {
  /** Dotted path in the dependent that holds the parent's key. */
  readonly foreignKey: string;
  /** Dotted path in the parent; `_id` unless the plan says otherwise. */
  readonly localKey: string;
  /** Further filter, raw BSON; undefined = all children. */
  readonly query: Buffer | undefined;
  /** What becomes of a document whose parents cannot be written and are not in the target. */
  readonly orphans: 'holdBack' | 'insert';
}

/** The classes of documents that may be left out. different: stale and soft-deleted ones as well. */
export const EXCEPTED_CLASSES = ['conflict', 'refused', 'different'] as const;
export type ExceptedClass = (typeof EXCEPTED_CLASSES)[number];

/** Documents of a collection that are left out by decision: some by their `_id`s, or all of a class. */
export type PlanException = {
  readonly reason: string;
  /** The target in which it holds; undefined = both. */
  readonly on: TargetName | undefined;
  /** `file:line:col` of the entry. */
  readonly where: string;
} & (
  | { readonly ids: IdList; readonly class?: undefined }
  | { readonly class: ExceptedClass; readonly ids?: undefined }
);

/** `field` of the restored document holds the `_id` of a document of `collection` that must exist. */
export interface Reference {
  readonly field: string;
  readonly collection: string;
}

export interface TargetPlan {
  /** Undefined when its variable is not set. */
  readonly uri: Secret | undefined;
  readonly database: string;
  /** The database is to be made where it is missing. */
  readonly create?: boolean;
  readonly gate: GatePlan;
}

/** server-user: as the server authenticated somebody. os-user: as their operating system says, which proves nothing. */
export const APPROVALS_BY = ['server-user', 'os-user'] as const;
export type ApprovalsBy = (typeof APPROVALS_BY)[number];

/** What production's gate asks beyond that staging holds the selection. */
export interface GatePlan {
  readonly soakMs: number;
  readonly approvals: number;
  /** How people are told apart; by the server's users unless said otherwise. */
  readonly approvalsBy?: ApprovalsBy;
  /** A staging run that kept what it met of every document, and so has verified none, counts all the same. */
  readonly acceptKept?: boolean;
}

export interface FollowUpPlan {
  readonly name: string;
  readonly on: TargetName | 'both';
  readonly when: 'inserted' | 'always';
  readonly needs: readonly string[];
  readonly action: FollowUpAction;
}

/** Each entry of the plan, its dependents after it. A collection reached by several routes comes several times. */
export function restoredCollections({ collections }: Pick<Plan, 'collections'>): RestoredCollection[] {
  return collections.flatMap(withDependents);
}

/** Their names in the backup. */
export function collectionNames(plan: Pick<Plan, 'collections'>): Set<string> {
  return new Set(restoredCollections(plan).map(({ collection }) => collection));
}

const byName = new WeakMap<Plan['collections'], Map<string, RestoredCollection[]>>();

/** The entries for one collection, by its name in the backup. Gone through once for each plan: it is asked for every collection of it. */
export function entriesOf(
  plan: Pick<Plan, 'collections'>,
  collection: string,
): readonly RestoredCollection[] {
  let entries = byName.get(plan.collections);
  if (entries === undefined) {
    entries = new Map();
    for (const entry of restoredCollections(plan)) {
      const found = entries.get(entry.collection);
      if (found === undefined) entries.set(entry.collection, [entry]);
      else found.push(entry);
    }
    byName.set(plan.collections, entries);
  }
  return entries.get(collection) ?? [];
}

/** What the plan says about one collection, by whichever route documents of it are reached. */
interface CollectionSettings {
  readonly updatedAt: string | undefined;
  readonly softDelete: Buffer | undefined;
  readonly references: readonly Reference[];
  /** Names of indexes that are not created with the collection. */
  readonly skipIndexes: ReadonlySet<string>;
}

/** A collection reached by several routes has the first `updatedAt` and `softDelete` given, and all references and skipped indexes. */
export function settingsOf(plan: Pick<Plan, 'collections'>, collection: string): CollectionSettings {
  const entries = entriesOf(plan, collection);
  const references = new Map(
    entries.flatMap((entry) => entry.references).map((each) => [`${each.field}\0${each.collection}`, each]),
  );
  return {
    updatedAt: entries.find((entry) => entry.updatedAt !== undefined)?.updatedAt,
    softDelete: entries.find((entry) => entry.softDelete !== undefined)?.softDelete,
    references: [...references.values()],
    skipIndexes: new Set(entries.flatMap((entry) => entry.skipIndexes)),
  };
}

function withDependents(entry: RestoredCollection): RestoredCollection[] {
  return [entry, ...entry.dependents.flatMap(withDependents)];
}
