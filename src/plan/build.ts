/**
 * Makes the checked plan from the tree of its file. Called only when no fault was found, so what the schema requires
 * is there; defaults are filled in here and nowhere else.
 */
import { dirname, resolve } from 'node:path';
import { EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import { parseQuery } from '../query/parse-query.ts';
import { Secret } from '../secret.ts';
import { planDigest, selectsDigest } from './digest.ts';
import { whereIs } from './fault.ts';
import { exceptedIds, type IdList } from './id-list.ts';
import { parseDuration, parseInstant } from './instant.ts';
import {
  headOf,
  holdsUnjudged,
  itemsAt,
  type MapNode,
  nodeAt,
  orderedValue,
  type PathPart,
  type PlanNode,
} from './nodes.ts';
import type {
  ApprovalsBy,
  CollectionPlan,
  DependentPlan,
  DocumentsTold,
  ExceptedClass,
  FollowUpAction,
  FollowUpPlan,
  Location,
  PathLocation,
  Plan,
  PlanException,
  RestoredCollection,
  S3Location,
  Source,
  TargetPlan,
  UnsetVariable,
  WhenMatched,
} from './plan.ts';

/** What the files that `ids` names hold, by the node that names each. */
export type IdLists = ReadonlyMap<PlanNode, IdList>;

interface Around {
  readonly unsetVariables: readonly UnsetVariable[];
  readonly lists: IdLists;
}

export function buildPlan(root: MapNode, file: string, { unsetVariables, lists }: Around): Plan {
  const name = text(root, 'name') as string;
  const source = buildSource(nodeAt(root, 'source')!);
  const collections = itemsAt(root, 'collections').map((entry) => buildCollection(entry, lists));
  const production = nodeAt(root, 'targets', 'production');
  const targets = {
    staging: buildTarget(nodeAt(root, 'targets', 'staging')!),
    ...(production === undefined ? {} : { production: buildTarget(production) }),
  };
  const digested = { name, source, collections, targets };
  return {
    name,
    reason: text(root, 'reason'),
    file: resolve(file),
    source,
    collections,
    targets,
    followUps: itemsAt(root, 'followUps').map(buildFollowUp),
    mask: texts(root, 'mask'),
    report: { documents: (text(root, 'report', 'documents') ?? 'whole') as DocumentsTold },
    digest: planDigest(digested),
    selectsDigest: selectsDigest(digested),
    unsetVariables,
  };
}

function buildSource(source: PlanNode): Source {
  const at = text(source, 'at');
  const reading = at === undefined ? undefined : parseInstant(at);
  return {
    // An instant from a variable that is not set has no value yet.
    at: reading !== undefined && 'instant' in reading ? reading.instant : undefined,
    database: text(source, 'database') as string,
    maxAgeMs: duration(source, 'maxAge'),
    integrity: (text(source, 'integrity') ?? 'whole') as Source['integrity'],
    maxDecompressionRatio: scalar(source, 'maxDecompressionRatio') as number | undefined,
    location: buildLocation(source),
  };
}

function buildLocation(source: PlanNode): Location {
  const zone = text(source, 'timezone');
  const s3 = nodeAt(source, 's3');
  if (s3 !== undefined) return buildS3(s3, zone);
  if (nodeAt(source, 'mongodb') !== undefined)
    return { kind: 'mongodb', uri: secret(source, 'mongodb', 'uri') };
  const jsonl = nodeAt(source, 'jsonl');
  if (jsonl === undefined) return buildPath(source, zone);
  const inS3 = nodeAt(jsonl, 's3');
  return {
    kind: 'jsonl',
    from: inS3 === undefined ? buildPath(jsonl, zone) : buildS3(inS3, zone),
    ...(text(jsonl, 'relaxed') === 'accept' && { relaxed: 'accept' }),
  };
}

function buildS3(s3: PlanNode, zone: string | undefined): S3Location {
  return {
    kind: 's3',
    bucket: text(s3, 'bucket') as string,
    key: text(s3, 'key') as string,
    timezone: text(s3, 'timezone') ?? zone,
    region: text(s3, 'region'),
    profile: text(s3, 'profile'),
    endpoint: text(s3, 'endpoint'),
    forcePathStyle: scalar(s3, 'forcePathStyle') as boolean | undefined,
    requestPayer: scalar(s3, 'requestPayer') as 'requester' | undefined,
  };
}

function buildPath(parent: PlanNode, zone: string | undefined): PathLocation {
  const node = nodeAt(parent, 'path')!;
  // Relative to the file that names it: a base may lie in another folder than the plan.
  const folder = dirname(node.place.text.absolutePath);
  const path = text(parent, 'path') as string;
  const absolute = resolve(folder, path);
  return {
    kind: 'path',
    path: path.endsWith('/') ? `${absolute}/` : absolute,
    written: path,
    timezone: zone,
  };
}

function buildRestored(entry: PlanNode): RestoredCollection {
  const collection = text(entry, 'collection') as string;
  return {
    collection,
    into: text(entry, 'into') ?? collection,
    whenMatched: (text(entry, 'whenMatched') ?? 'keepExisting') as WhenMatched,
    updatedAt: text(entry, 'updatedAt'),
    softDelete: query(entry, 'softDelete'),
    references: itemsAt(entry, 'references').map((reference) => ({
      field: text(reference, 'field') as string,
      collection: text(reference, 'collection') as string,
    })),
    skipIndexes: texts(entry, 'indexes', 'skip'),
    exceptions: itemsAt(entry, 'exceptions').map(buildException),
    dependents: itemsAt(entry, 'dependents').map(buildDependent),
    where: whereIs(headOf(entry)),
  };
}

function buildCollection(entry: PlanNode, lists: IdLists): CollectionPlan {
  const named = nodeAt(entry, 'ids');
  const ids = named === undefined ? undefined : lists.get(named);
  const chosen = query(entry, 'query') ?? EMPTY_DOCUMENT;
  return { ...buildRestored(entry), query: chosen, ...(ids !== undefined && { ids }) };
}

function buildDependent(entry: PlanNode): DependentPlan {
  return {
    ...buildRestored(entry),
    foreignKey: text(entry, 'foreignKey') as string,
    localKey: text(entry, 'localKey') ?? '_id',
    query: query(entry, 'query'),
    orphans: (text(entry, 'orphans') ?? 'holdBack') as DependentPlan['orphans'],
  };
}

function buildException(entry: PlanNode): PlanException {
  const about = {
    reason: text(entry, 'reason') as string,
    on: text(entry, 'on') as PlanException['on'],
    where: whereIs(headOf(entry)),
  };
  return nodeAt(entry, 'ids') === undefined
    ? { ...about, class: text(entry, 'class') as ExceptedClass }
    : { ...about, ids: exceptedIds(entry).list };
}

function buildTarget(target: PlanNode): TargetPlan {
  const approvalsBy = text(target, 'gate', 'approvalsBy') as ApprovalsBy | undefined;
  return {
    uri: secret(target, 'uri'),
    database: text(target, 'database') as string,
    ...(scalar(target, 'create') === true ? { create: true } : {}),
    gate: {
      soakMs: duration(target, 'gate', 'soak') ?? 0,
      approvals: (scalar(target, 'gate', 'approvals') ?? 0) as number,
      ...(approvalsBy !== undefined && { approvalsBy }),
      ...(scalar(target, 'gate', 'acceptKept') === true && { acceptKept: true }),
    },
  };
}

const MINUTE = 60_000;

function buildFollowUp(entry: PlanNode): FollowUpPlan {
  return {
    name: text(entry, 'name') as string,
    on: text(entry, 'on') as FollowUpPlan['on'],
    when: (text(entry, 'when') ?? 'inserted') as FollowUpPlan['when'],
    needs: texts(entry, 'needs'),
    action: buildAction(entry),
  };
}

function buildAction(entry: PlanNode): FollowUpAction {
  const manual = text(entry, 'manual');
  if (manual !== undefined) return { kind: 'manual', text: manual };
  const run = nodeAt(entry, 'run');
  if (run !== undefined) {
    return {
      kind: 'run',
      command: texts(entry, 'run'),
      directory: dirname(run.place.text.absolutePath),
      timeoutMs: duration(entry, 'timeout') ?? 5 * MINUTE,
      passUri: scalar(entry, 'passUri') === true,
      env: texts(entry, 'env'),
    };
  }
  return {
    kind: 'webhook',
    url: secret(entry, 'webhook', 'url'),
    secret: secret(entry, 'webhook', 'secret'),
    timeoutMs: duration(entry, 'timeout') ?? MINUTE / 2,
    text: text(entry, 'webhook', 'text'),
  };
}

function scalar(root: PlanNode, ...path: readonly PathPart[]) {
  const node = nodeAt(root, ...path);
  return node?.kind === 'scalar' ? node.value : undefined;
}

/** A text with an unset variable in it is given as written. */
function text(root: PlanNode, ...path: readonly PathPart[]): string | undefined {
  const value = scalar(root, ...path);
  return typeof value === 'string' ? value : undefined;
}

function texts(root: PlanNode, ...path: readonly PathPart[]): string[] {
  return itemsAt(root, ...path).map((_, i) => text(root, ...path, i) as string);
}

function duration(root: PlanNode, ...path: readonly PathPart[]): number | undefined {
  const value = text(root, ...path);
  return value === undefined ? undefined : parseDuration(value);
}

function secret(root: PlanNode, ...path: readonly PathPart[]): Secret | undefined {
  const node = nodeAt(root, ...path);
  return node?.kind !== 'scalar' || node.unjudged ? undefined : new Secret(String(node.value));
}

/** `{ _id: { $in: [] } }`: stands for a query with an unset variable, so that it can never select too much. */
const NOTHING = new Map([['_id', new Map([['$in', []]])]]);

function query(root: PlanNode, key: string): Buffer | undefined {
  const node = nodeAt(root, key);
  if (node === undefined) return undefined;
  return parseQuery(holdsUnjudged(node) ? NOTHING : orderedValue(node));
}
