/** `source.oplog`: what rolls the documents of a backup forward. */
import type { Secret } from '../../secret.ts';
import { faultAt, type PlanFault } from '../fault.ts';
import { type Instant, momentIn, parseInstant } from '../instant.ts';
import {
  givenSecret,
  givenText,
  type MapNode,
  nodeAt,
  type PlanNode,
  pathText,
  placeAt,
  textAt,
} from '../nodes.ts';
import { exactlyOne } from '../rules/structure.ts';
import type { StoreKind, Templated } from './source-kind.ts';
import { type DraftLocation, STORES, type StoreLocation, storeOf } from './stores.ts';

/** One kind of oplog, as a plan names it. */
export type OplogLocation =
  /** What the dump took along, up to its end. */
  | { readonly kind: 'backup' }
  /** That of a running replica set, up to `source.at`. */
  | { readonly kind: 'mongodb'; readonly uri: Secret | undefined }
  /** The slices in a Percona backup and beside it, up to `source.at`. */
  | { readonly kind: 'pbm' }
  /** Files of entries, up to `source.at`. */
  | { readonly kind: 'stored'; readonly from: StoreLocation };

export type OplogPlan = OplogLocation & {
  /** When a dump that does not say it was begun, or earlier. */
  readonly begins: Instant | undefined;
};

interface OplogKind {
  /** From the node that its key stands in. `zone`: what `source.timezone` says. */
  build(parent: PlanNode, zone: string | undefined): OplogLocation;
}

const stored = ({ build }: Pick<StoreKind<StoreLocation, DraftLocation>, 'build'>): OplogKind => ({
  build: (parent, zone) => ({ kind: 'stored', from: build(parent, zone) }),
});

/** Every kind, by its key. */
const KINDS = {
  backup: { build: () => ({ kind: 'backup' }) },
  mongodb: { build: (parent) => ({ kind: 'mongodb', uri: givenSecret(parent, 'mongodb', 'uri') }) },
  pbm: { build: () => ({ kind: 'pbm' }) },
  path: stored(STORES.path),
  s3: stored(STORES.s3),
} satisfies Readonly<Record<string, OplogKind>>;

/** The map in which exactly one kind must be named. */
export const OPLOG_KINDS_IN_A_PLAN = {
  path: ['source', 'oplog'],
  keys: Object.keys(KINDS) as readonly string[],
};

/** Undefined where the plan restores what the backup holds. */
export function buildOplog(source: PlanNode, zone: string | undefined): OplogPlan | undefined {
  const oplog = nodeAt(source, 'oplog');
  if (oplog === undefined) return undefined;
  const begins = givenText(oplog, 'begins');
  const reading = begins === undefined ? undefined : parseInstant(begins);
  const [kind] = Object.entries(KINDS).flatMap(([key, kind]): OplogKind[] =>
    nodeAt(oplog, key) === undefined ? [] : [kind],
  );
  return {
    ...(kind as OplogKind).build(oplog, zone),
    begins: reading !== undefined && 'instant' in reading ? reading.instant : undefined,
  };
}

/** What tells one moment from another; not where the oplog lies, for its entries are the same everywhere. */
export function oplogDigest(oplog: OplogPlan | undefined): unknown {
  if (oplog === undefined) return undefined;
  return { until: oplog.kind === 'backup' ? 'end of the dump' : 'at', begins: oplog.begins?.epochMs };
}

export function oplogSecrets(oplog: OplogPlan | undefined): readonly (Secret | undefined)[] {
  return oplog?.kind === 'mongodb' ? [oplog.uri] : [];
}

/** In a sentence or two. */
export function explainOplog(oplog: OplogPlan, at: Instant | undefined): string {
  if (oplog.kind === 'backup')
    return 'Its own oplog (mongodump --oplog) is applied: the documents are as they were when the dump ended.';
  const begins =
    oplog.begins === undefined ? '' : ` The dump was begun no earlier than ${oplog.begins.text}.`;
  return `${whichOplog(oplog)} rolls its documents forward to ${at?.text ?? 'source.at'}.${begins}`;
}

function whichOplog(oplog: OplogLocation): string {
  if (oplog.kind === 'stored') return `The oplog in ${storeOf(oplog.from).describe(oplog.from)}`;
  return oplog.kind === 'pbm'
    ? 'The oplog of which Percona Backup for MongoDB keeps slices in the backup and beside it'
    : 'The oplog of a running replica set';
}

/** What holds for the name of files of entries. */
export function oplogFileRules({ path, node, template }: Templated): PlanFault[] {
  if (!template.parts.some(({ kind }) => kind === 'collection')) return [];
  const message = `${pathText(path)} cannot have a {collection}: an oplog is of a whole replica set`;
  return [
    faultAt(node.place, 'source', { message, expected: 'the name of a file or folder, with {time:…} or *' }),
  ];
}

/** What a schema cannot say. */
export function oplogRules(root: MapNode): PlanFault[] {
  const oplog = nodeAt(root, 'source', 'oplog');
  const ts = nodeAt(root, 'source', 'at', 'ts');
  const isSnapshot = nodeAt(root, 'source', 'snapshot') !== undefined;
  if (ts !== undefined && !isSnapshot && (oplog === undefined || nodeAt(oplog, 'backup') !== undefined)) {
    const message = 'source.at names a timestamp, which only an oplog up to source.at can find';
    return [faultAt(ts.place, 'time', { message, expected: 'an instant such as 2016-09-13T09:00:00-04:00' })];
  }
  if (oplog?.kind !== 'map') return [];
  const { path, keys } = OPLOG_KINDS_IN_A_PLAN;
  const faults = exactlyOne(root, path, { keys, what: 'kind of oplog' });
  for (const key of ['mongodb', 'jsonl']) {
    if (nodeAt(root, 'source', key) === undefined) continue;
    const message = `source.${key} cannot be rolled forward: nothing says at which moment each document was read`;
    faults.push(
      faultAt(placeAt(root, 'source', 'oplog'), 'source', { message, expected: 'a dump of mongodump' }),
    );
  }
  if (nodeAt(root, 'source', 'oplog', 'backup') === undefined && nodeAt(root, 'source', 'at') === undefined) {
    const message = 'source.oplog rolls the documents forward, but nothing says to which moment';
    const expected = 'source.at, an instant with its offset such as 2016-09-13T09:00:00-04:00';
    faults.push(faultAt(placeAt(root, 'source', 'oplog'), 'missing-key', { message, expected }));
  }
  return [...faults, ...beginsRules(root)];
}

function beginsRules(root: MapNode): PlanFault[] {
  const path = ['source', 'oplog', 'begins'];
  const begins = textAt(root, ...path);
  if (begins === undefined) return [];
  const place = nodeAt(root, ...path)?.place ?? placeAt(root, ...path);
  if (nodeAt(root, 'source', 'oplog', 'backup') !== undefined) {
    const message =
      'source.oplog.begins has no effect: the oplog that a dump took along says itself where it begins';
    return [faultAt(place, 'time', { message, expected: 'no begins' })];
  }
  const reading = parseInstant(begins);
  if (!('instant' in reading)) return [faultAt(place, 'time', reading)];
  const at = momentIn(nodeAt(root, 'source'));
  if (at === undefined || reading.instant.epochMs < at.epochMs) return [];
  const message = 'the dump was begun before the moment that its documents are rolled forward to';
  return [faultAt(place, 'time', { message, expected: `an instant before source.at, ${at.text}` })];
}
