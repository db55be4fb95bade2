/** The result objects of `--json`. Pure; schemas/ describes them. */
import type { ApplyResult } from '../apply/apply-selection.ts';
import type { ComparedCollection, ComparedDocument, TargetComparison } from '../comparison/comparison.ts';
import type { TargetName } from '../events.ts';
import { reasonText } from './document-classes.ts';
import type { DryRun } from './dry-run/page.ts';
import { documentSides } from './json-text.ts';
import { oplogTold } from './oplog-told.ts';

/** The last object but one of `dry-run --json`. */
export function dryRunObject({ plan, manifest, comparisons, notCompared, suggestions = [] }: DryRun) {
  const { backup, digest, collections } = manifest;
  const oplog = oplogTold(manifest);
  return {
    type: 'dry-run',
    plan: { name: plan.name, digest: plan.digest },
    backup: {
      location: backup.location,
      time: backup.time === undefined ? null : new Date(backup.time).toISOString(),
      identity: backup.fingerprint,
      ...(oplog !== undefined && { oplog }),
    },
    selection: {
      digest,
      collections: collections.map(({ collection, into, count, bytes, sha256 }) => ({
        collection,
        into,
        selected: count,
        bytes,
        sha256,
      })),
    },
    targets: Object.fromEntries(
      comparisons.map((comparison) => [comparison.target, targetObject(comparison)]),
    ),
    notCompared: notCompared.map(({ target, reason }) => ({ target, reason })),
    suggestions,
  } as const;
}

function targetObject({ database, collections }: TargetComparison) {
  return { database, collections: collections.map(collectionObject) };
}

function collectionObject(collection: ComparedCollection) {
  const { insert, identical, different, softDeleted, stale, conflict, refused } = collection.counts;
  return {
    collection: collection.collection,
    insert,
    identical,
    different,
    softDeleted,
    stale,
    conflict,
    refused,
    ...(collection.leftOut && { leftOut: collection.leftOut }),
    danglingReferences: collection.danglingReferences,
    wouldCreate: collection.wouldCreate !== undefined,
  };
}

/** One compared document; `dry-run --json` writes those that a page would show, with `--full` all. */
export function documentObject(target: TargetName, collection: string, document: ComparedDocument) {
  const { class: documentClass, id, index, differences, differencesLeftOut = 0, canonical } = document;
  const reason = reasonText(document);
  const head = { type: 'document', target, collection, class: documentClass, id, reason, index } as const;
  if (canonical === undefined) return { ...head, differences, differencesLeftOut };
  const { target: existing, leftOut, ...rest } = documentSides(canonical, true);
  const counts = leftOut && { leftOut: { backup: leftOut.backup, existing: leftOut.target } };
  return { ...head, differences, differencesLeftOut, ...rest, ...counts, existing };
}

/** The last object but one of `apply --json`. */
export function applyObject({ target, digest, collections, verified, notices, sinceDryRun }: ApplyResult) {
  return {
    type: 'apply',
    target,
    selection: { digest },
    collections: collections.map(
      ({
        collection,
        inserted,
        identical,
        replaced,
        kept,
        conflict,
        refused,
        heldBack,
        excepted,
        doubtful,
      }) => ({
        collection,
        inserted,
        identical,
        replaced,
        kept,
        conflict,
        refused,
        heldBack,
        excepted,
        doubtful,
      }),
    ),
    verified,
    notices,
    changedSinceDryRun: sinceDryRun?.changes ?? [],
  } as const;
}
