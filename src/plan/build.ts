/**
 * Makes the checked plan from the tree of its file. Called only when no fault was found, so what the schema requires
 * is there; defaults are filled in here and nowhere else.
 */
import { EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import { parseQuery } from '../query/parse-query.ts';
import { planDigest, selectsDigest } from './digest.ts';
import { whereIs } from './fault.ts';
import { buildAction } from './follow-ups/kinds.ts';
import { exceptedIds, type IdList } from './id-list.ts';
import { durationAt, type Instant } from './instant.ts';
import type { UnsetVariable } from './interpolate.ts';
import {
  givenSecret,
  givenText,
  givenValue,
  headOf,
  holdsUnjudged,
  itemsAt,
  type MapNode,
  nodeAt,
  orderedValue,
  type PlanNode,
  textsAt,
} from './nodes.ts';
import type {
  ApprovalsBy,
  CollectionPlan,
  DependentPlan,
  DocumentsTold,
  ExceptedClass,
  FollowUpPlan,
  MergeRules,
  Plan,
  PlanException,
  RestoredCollection,
  Source,
  TargetPlan,
  WhenMatched,
} from './plan.ts';
import { buildWindows, fieldsPath, momentOfPlan, proposesDependents } from './rules/window-rules.ts';
import { buildOplog } from './sources/oplog.ts';
import { buildLocation } from './sources/sources.ts';

/** What the files that `ids` names hold, by the node that names each. */
export type IdLists = ReadonlyMap<PlanNode, IdList>;

interface Around {
  readonly unsetVariables: readonly UnsetVariable[];
  readonly lists: IdLists;
  /** Absolute paths of all that was read. */
  readonly files: readonly string[];
}

export function buildPlan(root: MapNode, { unsetVariables, lists, files }: Around): Plan {
  const name = givenText(root, 'name') as string;
  const source = buildSource(nodeAt(root, 'source')!, momentOfPlan(root));
  const collections = itemsAt(root, 'collections').map((entry) => buildCollection(entry, lists));
  const production = nodeAt(root, 'targets', 'production');
  const targets = {
    staging: buildTarget(nodeAt(root, 'targets', 'staging')!),
    ...(production === undefined ? {} : { production: buildTarget(production) }),
  };
  const digested = { name, source, collections, targets };
  // Only when asked for: hashing loads what `plan validate` needs for nothing else.
  const digests: { whole?: string; selects?: string } = {};
  return {
    name,
    reason: givenText(root, 'reason'),
    file: root.place.text.absolutePath,
    files,
    source,
    collections,
    targets,
    followUps: itemsAt(root, 'followUps').map(buildFollowUp),
    mask: textsAt(root, 'mask'),
    report: { documents: (givenText(root, 'report', 'documents') ?? 'whole') as DocumentsTold },
    unsetVariables,
    get digest() {
      digests.whole ??= planDigest(digested);
      return digests.whole;
    },
    get selectsDigest() {
      digests.selects ??= selectsDigest(digested);
      return digests.selects;
    },
  };
}

function buildSource(source: PlanNode, at: Instant | undefined): Source {
  const zone = givenText(source, 'timezone');
  const oplog = buildOplog(source, zone);
  return {
    at,
    database: givenText(source, 'database') as string,
    maxAgeMs: durationAt(source, 'maxAge'),
    integrity: (givenText(source, 'integrity') ?? 'whole') as Source['integrity'],
    maxDecompressionRatio: givenValue(source, 'maxDecompressionRatio') as number | undefined,
    location: buildLocation(source, zone),
    ...(oplog !== undefined && { oplog }),
  };
}

function buildRestored(entry: PlanNode): RestoredCollection {
  const collection = givenText(entry, 'collection') as string;
  return {
    collection,
    into: givenText(entry, 'into') ?? collection,
    ...buildMatched(entry),
    updatedAt: givenText(entry, 'updatedAt'),
    softDelete: query(entry, 'softDelete'),
    references: itemsAt(entry, 'references').map((reference) => ({
      field: givenText(reference, 'field') as string,
      collection: givenText(reference, 'collection') as string,
    })),
    skipIndexes: textsAt(entry, 'indexes', 'skip'),
    exceptions: itemsAt(entry, 'exceptions').map(buildException),
    dependents: itemsAt(entry, 'dependents').map(buildDependent),
    where: whereIs(headOf(entry)),
  };
}

function buildMatched(entry: PlanNode): Pick<RestoredCollection, 'whenMatched' | 'merge'> {
  const whenMatched = (givenText(entry, 'whenMatched') ?? 'keepExisting') as WhenMatched;
  if (whenMatched !== 'merge') return { whenMatched };
  const whenNotMatched = (givenText(entry, 'whenNotMatched') ?? 'insert') as MergeRules['whenNotMatched'];
  const fields = textsAt(entry, ...fieldsPath(entry));
  return { whenMatched, merge: { fields: [...fields].sort(), whenNotMatched } };
}

function buildCollection(entry: PlanNode, lists: IdLists): CollectionPlan {
  const named = nodeAt(entry, 'ids');
  const ids = named === undefined ? undefined : lists.get(named);
  const chosen = query(entry, 'query') ?? EMPTY_DOCUMENT;
  return {
    ...buildRestored(entry),
    query: chosen,
    ...(ids !== undefined && { ids }),
    ...buildWindows(entry),
    ...(proposesDependents(entry) && { proposesDependents: true as const }),
  };
}

function buildDependent(entry: PlanNode): DependentPlan {
  return {
    ...buildRestored(entry),
    foreignKey: givenText(entry, 'foreignKey') as string,
    localKey: givenText(entry, 'localKey') ?? '_id',
    query: query(entry, 'query'),
    orphans: (givenText(entry, 'orphans') ?? 'holdBack') as DependentPlan['orphans'],
  };
}

function buildException(entry: PlanNode): PlanException {
  const about = {
    reason: givenText(entry, 'reason') as string,
    on: givenText(entry, 'on') as PlanException['on'],
    where: whereIs(headOf(entry)),
  };
  return nodeAt(entry, 'ids') === undefined
    ? { ...about, class: givenText(entry, 'class') as ExceptedClass }
    : { ...about, ids: exceptedIds(entry).list };
}

function buildTarget(target: PlanNode): TargetPlan {
  const approvalsBy = givenText(target, 'gate', 'approvalsBy') as ApprovalsBy | undefined;
  return {
    uri: givenSecret(target, 'uri'),
    database: givenText(target, 'database') as string,
    ...(givenValue(target, 'create') === true ? { create: true } : {}),
    gate: {
      soakMs: durationAt(target, 'gate', 'soak') ?? 0,
      approvals: (givenValue(target, 'gate', 'approvals') ?? 0) as number,
      ...(approvalsBy !== undefined && { approvalsBy }),
      ...(givenValue(target, 'gate', 'acceptKept') === true && { acceptKept: true }),
    },
  };
}

function buildFollowUp(entry: PlanNode): FollowUpPlan {
  return {
    name: givenText(entry, 'name') as string,
    on: givenText(entry, 'on') as FollowUpPlan['on'],
    when: (givenText(entry, 'when') ?? 'inserted') as FollowUpPlan['when'],
    needs: textsAt(entry, 'needs'),
    action: buildAction(entry),
  };
}

/** `{ _id: { $in: [] } }`: stands for a query with an unset variable, so that it can never select too much. */
const NOTHING = new Map([['_id', new Map([['$in', []]])]]);

function query(root: PlanNode, key: string): Buffer | undefined {
  const node = nodeAt(root, key);
  if (node === undefined) return undefined;
  return parseQuery(holdsUnjudged(node) ? NOTHING : orderedValue(node));
}
