/**
 * The digest of a plan: what it would do, without who may do it and what happens afterwards. Reason, comments, URIs,
 * gate, follow-ups, masks and what reports tell may change without changing it.
 */
import { createHash } from 'node:crypto';
import { dirname } from 'node:path';
import { kindOf } from './follow-ups/kinds.ts';
import type { DependentPlan, Plan, RestoredCollection } from './plan.ts';
import { oplogDigest } from './sources/oplog.ts';
import { sourceKindOf } from './sources/sources.ts';
import { windowsDigest } from './windows.ts';

type DigestInput = Pick<Plan, 'name' | 'source' | 'collections' | 'targets'>;

/** sha256, hex, of the plan as canonical JSON. */
export function planDigest(plan: DigestInput): string {
  return digestOf(plan, settledAtApply);
}

/**
 * The same without what apply alone looks at: by it a kept selection is found, so that accepting something does not read the backup
 * again. Of a plan that has none of that it is the plan's digest.
 */
export function selectsDigest(plan: DigestInput): string {
  return digestOf(plan, () => ({}));
}

type FurtherParts = (entry: RestoredCollection) => Record<string, unknown>;

function digestOf({ name, source, collections, targets }: DigestInput, further: FurtherParts): string {
  const canonical = {
    version: 1,
    name,
    source: {
      at: source.at?.ts === undefined ? source.at?.epochMs : [source.at.ts.seconds, source.at.ts.ordinal],
      database: source.database,
      maxAge: source.maxAgeMs,
      integrity: source.integrity,
      maxDecompressionRatio: source.maxDecompressionRatio,
      location: sourceKindOf(source.location).digest(source.location),
      oplog: oplogDigest(source.oplog),
    },
    collections: collections.map((root) => ({
      ...collectionParts(root, further),
      query: hex(root.query),
      ids: root.ids?.digest,
      ...windowsDigest(root),
    })),
    targets: { staging: targets.staging.database, production: targets.production?.database },
  };
  return createHash('sha256').update(canonicalJson(canonical)).digest('hex');
}

/** Each is absent where the plan does not say it: plans of before these keys keep their digest. */
function settledAtApply(entry: RestoredCollection | DependentPlan): Record<string, unknown> {
  const { skipIndexes, exceptions } = entry;
  return {
    indexes: skipIndexes.length === 0 ? undefined : { skip: [...skipIndexes].sort() },
    exceptions:
      exceptions.length === 0
        ? undefined
        : exceptions.map(({ ids, class: ofClass, reason, on }) => ({
            ids: ids?.digest,
            class: ofClass,
            do: 'skip',
            reason,
            on,
          })),
    orphans: 'orphans' in entry && entry.orphans === 'insert' ? entry.orphans : undefined,
    proposes: 'proposesDependents' in entry ? 'dependents' : undefined,
  };
}

function collectionParts(entry: RestoredCollection, further: FurtherParts): Record<string, unknown> {
  return {
    collection: entry.collection,
    into: entry.into,
    whenMatched: entry.whenMatched,
    merge: entry.merge,
    updatedAt: entry.updatedAt,
    softDelete: hex(entry.softDelete),
    references: entry.references,
    ...further(entry),
    dependents: entry.dependents.map((dependent: DependentPlan) => ({
      ...collectionParts(dependent, further),
      foreignKey: dependent.foreignKey,
      localKey: dependent.localKey,
      query: hex(dependent.query),
    })),
  };
}

function hex(query: Buffer | undefined): string | undefined {
  return query?.toString('hex');
}

/** sha256, hex, of what a plan says beside its selection of documents and indexes that are left out, as it writes it. */
export function exceptionsDigest({ collections }: Pick<Plan, 'collections'>): string {
  const ofEntry = (entry: RestoredCollection): unknown => ({
    collection: entry.collection,
    ...settledAtApply(entry),
    dependents: entry.dependents.map(ofEntry),
  });
  return sha256(collections.map(ofEntry));
}

/** The same of what its follow-ups run: which commands, with what, and where; the folder as seen from the plan's. */
export function commandsDigest({ followUps, file }: Pick<Plan, 'followUps' | 'file'>): string {
  const commands = followUps.flatMap(({ name, on, when, needs, action }) => {
    const value = kindOf(action).approved?.value(action, dirname(file));
    return value === undefined ? [] : [{ name, on, when, needs, ...value }];
  });
  return sha256(commands);
}

function sha256(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}

/** JSON with sorted keys and without keys whose value is undefined. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
