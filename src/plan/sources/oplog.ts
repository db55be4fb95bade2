/** `source.oplog`: what rolls the documents of a backup forward. */
import { hostsOf } from '../../mongo/connection-string.ts';
import type { Secret } from '../../secret.ts';
import { faultAt, type PlanFault } from '../fault.ts';
import { type Instant, parseInstant } from '../instant.ts';
import {
  givenSecret,
  givenText,
  type MapNode,
  nodeAt,
  type PathPart,
  type PlanNode,
  pathText,
  placeAt,
  textAt,
} from '../nodes.ts';
import { exactlyOne } from '../rules/structure.ts';
import { hasWindows, momentOfPlan } from '../rules/window-rules.ts';
import type { SourceKind, StoreKind, Templated } from './source-kind.ts';
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

/** The oplog of one replica set. */
export type SetOplog = OplogLocation & {
  /** When a dump that does not say it was begun, or earlier. */
  readonly begins: Instant | undefined;
};

/** Those of the shards of a cluster, each for a folder of its backup. */
export interface ShardOplogs {
  readonly kind: 'shards';
  /** At least one; `folder`: its name, or the last parts of its path. */
  readonly shards: readonly { readonly folder: string; readonly oplog: SetOplog }[];
}

export type OplogPlan = SetOplog | ShardOplogs;

/** The oplogs of a plan, of whatever it is; `folder` for shards alone. */
export function setOplogs(
  oplog: OplogPlan,
): readonly { readonly folder?: string | undefined; readonly oplog: SetOplog }[] {
  return oplog.kind === 'shards' ? oplog.shards : [{ oplog }];
}

/** Whether the documents become those of the end of the dump, and not of `source.at`. */
export function endsWithDump(oplog: OplogPlan): boolean {
  return setOplogs(oplog).every((one) => one.oplog.kind === 'backup');
}

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

/** An oplog by itself: no backup has the documents as they were before it. */
export interface AloneLocation {
  readonly kind: 'oplog';
  readonly oplog: OplogLocation;
}

/** The kinds that may stand by themselves; the others lie in a backup. */
const ALONE: readonly string[] = ['mongodb', 'path', 's3'];

export const OPLOG_ALONE: SourceKind<AloneLocation> = {
  uri: ['oplog', 'mongodb', 'uri'],
  build: (parent, zone) => ({ kind: 'oplog', oplog: buildOne(nodeAt(parent, 'oplog') as PlanNode, zone) }),
  digest: ({ kind }) => ({ kind }),
  recorded: ({ oplog }) =>
    oplog.kind === 'stored'
      ? `oplog of ${storeOf(oplog.from).recorded(oplog.from)}`
      : `oplog of mongodb://${hostsOf(oplog.kind === 'mongodb' ? oplog.uri : undefined).join(',')}`,
  explain: (database, _at, { oplog }) =>
    `${whichOplog(oplog)}, by itself and without a backup: of the database ${database}, documents that it holds from their insert on. One that is wanted and was inserted before is refused by its _id, and a query is answered only of a collection whose creation it holds.`,
};

/** The source of a plan is its oplog: it names no location, and an oplog that lies in none. */
export function isOplogAlone(source: PlanNode | undefined, locations: readonly string[]): boolean {
  return (
    source !== undefined &&
    locations.every((key) => nodeAt(source, key) === undefined) &&
    ALONE.some((key) => nodeAt(source, 'oplog', key) !== undefined)
  );
}

/** Where an oplog stands in a plan. */
const OPLOG = ['source', 'oplog'] as const;
const SHARDS = [...OPLOG, 'shards'] as const;

/** The maps of a plan in which exactly one kind of oplog must be named. */
export function oplogMaps(
  root: PlanNode,
): readonly { readonly path: readonly string[]; readonly keys: readonly string[] }[] {
  const shards = nodeAt(root, ...SHARDS);
  const folders = shards?.kind === 'map' ? [...shards.entries.keys()] : [];
  return [OPLOG, ...folders.map((folder) => [...SHARDS, folder])].map((path) => ({
    path,
    keys: oplogKeysAt(path),
  }));
}

/** The keys of the kinds that a map at this path must name one of; none where it is no such map. */
export function oplogKeysAt(path: readonly PathPart[]): readonly string[] {
  const isBelow = (parent: readonly string[], more: number): boolean =>
    path.length === parent.length + more && parent.every((part, i) => part === path[i]);
  if (isBelow(OPLOG, 0)) return [...Object.keys(KINDS), 'shards'];
  return isBelow(SHARDS, 1) ? Object.keys(KINDS) : [];
}

/** Undefined where the plan restores what the backup holds. */
export function buildOplog(source: PlanNode, zone: string | undefined): OplogPlan | undefined {
  const oplog = nodeAt(source, 'oplog');
  if (oplog === undefined) return undefined;
  const shards = nodeAt(oplog, 'shards');
  if (shards?.kind !== 'map') return buildOne(oplog, zone);
  return {
    kind: 'shards',
    shards: [...shards.entries].map(([folder, { value }]) => ({ folder, oplog: buildOne(value, zone) })),
  };
}

function buildOne(oplog: PlanNode, zone: string | undefined): SetOplog {
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
  const until = endsWithDump(oplog) ? 'end of the dump' : 'at';
  if (oplog.kind !== 'shards') return { until, begins: oplog.begins?.epochMs };
  const begins = oplog.shards.map(({ folder, oplog: one }) => [folder, one.begins?.epochMs ?? null] as const);
  return { until, shards: Object.fromEntries(begins) };
}

export function oplogSecrets(oplog: OplogPlan | undefined): readonly (Secret | undefined)[] {
  if (oplog === undefined) return [];
  return setOplogs(oplog).map(({ oplog: one }) => (one.kind === 'mongodb' ? one.uri : undefined));
}

/** In a sentence or two. `moment`: to which its documents are rolled forward. */
export function explainOplog(oplog: OplogPlan, moment: string): string {
  if (oplog.kind === 'shards') return explainShards(oplog, moment);
  if (oplog.kind === 'backup')
    return 'Its own oplog (mongodump --oplog) is applied: the documents are as they were when the dump ended.';
  const begins =
    oplog.begins === undefined ? '' : ` The dump was begun no earlier than ${oplog.begins.text}.`;
  return `${whichOplog(oplog)} rolls its documents forward to ${moment}.${begins}`;
}

function explainShards(oplog: ShardOplogs, moment: string): string {
  const folders = oplog.shards.map(({ folder }) => folder).join(', ');
  const until = endsWithDump(oplog) ? 'the end of the dump that ended first' : moment;
  const begun = oplog.shards.flatMap(({ folder, oplog: { begins } }) =>
    begins === undefined ? [] : ` The dump of ${folder} was begun no earlier than ${begins.text}.`,
  );
  return `The oplogs of the shards ${folders} roll the documents of each forward, all to one moment: ${until}.${begun.join('')}`;
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
  const maps = oplogMaps(root);
  const sets = nodeAt(root, ...SHARDS) === undefined ? maps : maps.slice(1);
  const own = sets.filter(({ path }) => nodeAt(root, ...path, 'backup') !== undefined);
  const endsWithIt = sets.length > 0 && own.length === sets.length;
  if (ts !== undefined && !isSnapshot && (oplog === undefined || endsWithIt)) {
    const message = 'source.at names a timestamp, which only an oplog up to source.at can find';
    return [faultAt(ts.place, 'time', { message, expected: 'an instant such as 2016-09-13T09:00:00-04:00' })];
  }
  if (oplog?.kind !== 'map') return [];
  const faults = maps.flatMap(({ path, keys }) => exactlyOne(root, path, { keys, what: 'kind of oplog' }));
  for (const key of ['mongodb', 'jsonl']) {
    if (nodeAt(root, 'source', key) === undefined) continue;
    const message = `source.${key} cannot be rolled forward: nothing says at which moment each document was read`;
    faults.push(
      faultAt(placeAt(root, 'source', 'oplog'), 'source', { message, expected: 'a dump of mongodump' }),
    );
  }
  if (!endsWithIt && nodeAt(root, 'source', 'at') === undefined && !hasWindows(root)) {
    const message = 'source.oplog rolls the documents forward, but nothing says to which moment';
    const expected = 'source.at, an instant with its offset such as 2016-09-13T09:00:00-04:00';
    faults.push(faultAt(placeAt(root, 'source', 'oplog'), 'missing-key', { message, expected }));
  }
  if (own.length > 0 && !endsWithIt)
    for (const { path } of own) {
      const message = `${pathText(path)} goes up to the end of its dump, the others up to source.at`;
      const expected = '`backup: true` for every shard, or for none';
      faults.push(faultAt(placeAt(root, ...path, 'backup'), 'source', { message, expected }));
    }
  return [...faults, ...maps.flatMap(({ path }) => beginsRules(root, [...path, 'begins']))];
}

/** What a schema cannot say of an oplog that is the source by itself. */
export function aloneRules(root: MapNode): PlanFault[] {
  const begins = nodeAt(root, ...OPLOG, 'begins');
  if (begins === undefined) return [];
  const message = 'source.oplog.begins has no effect: no dump is named that it could be the beginning of';
  const expected = 'no begins; or the dump, in source.path or source.s3';
  return [faultAt(begins.place, 'time', { message, expected })];
}

function beginsRules(root: MapNode, path: readonly string[]): PlanFault[] {
  const begins = textAt(root, ...path);
  if (begins === undefined) return [];
  const place = nodeAt(root, ...path)?.place ?? placeAt(root, ...path);
  const beside = path.slice(0, -1);
  if (nodeAt(root, ...beside, 'shards') !== undefined) {
    const message = `${pathText(path)} has no effect: the dump of each shard has a beginning of its own`;
    const expected = `begins in each of ${pathText([...beside, 'shards'])}`;
    return [faultAt(place, 'time', { message, expected })];
  }
  if (nodeAt(root, ...beside, 'backup') !== undefined) {
    const message = `${pathText(path)} has no effect: the oplog that a dump took along says itself where it begins`;
    return [faultAt(place, 'time', { message, expected: 'no begins' })];
  }
  const reading = parseInstant(begins);
  if (!('instant' in reading)) return [faultAt(place, 'time', reading)];
  const at = momentOfPlan(root);
  if (at === undefined || reading.instant.epochMs < at.epochMs) return [];
  const message = 'the dump was begun before the moment that its documents are rolled forward to';
  const moment = nodeAt(root, 'source', 'at') === undefined ? at.text : `source.at, ${at.text}`;
  return [faultAt(place, 'time', { message, expected: `an instant before ${moment}` })];
}
