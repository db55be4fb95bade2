/** Every kind of source that a plan may have, by its key. */
import { nodeAt, type PlanNode } from '../nodes.ts';
import { JSONL, type JsonlLocation } from './jsonl.ts';
import {
  MONGODB,
  type MongodbLocation,
  PRE_IMAGES,
  type PreImagesLocation,
  SNAPSHOT,
  type SnapshotLocation,
} from './mongodb.ts';
import { type AloneLocation, OPLOG_ALONE } from './oplog.ts';
import type { SourceKind } from './source-kind.ts';
import { STORES, type StoreLocation, storeOf } from './stores.ts';

export type Location = StoreLocation | JsonlLocation | LiveLocation | AloneLocation;

/** A running server. */
type LiveLocation = MongodbLocation | SnapshotLocation | PreImagesLocation;

/** One that lies in a store. */
export type StoredLocation = Exclude<Location, LiveLocation | AloneLocation>;

/** Those that are a location of a source; one without any is its oplog by itself. */
const LOCATIONS = {
  ...STORES,
  mongodb: MONGODB,
  snapshot: SNAPSHOT,
  preImages: PRE_IMAGES,
  jsonl: JSONL,
};

export const SOURCES = { ...LOCATIONS, oplog: OPLOG_ALONE } satisfies Record<Location['kind'], unknown>;

/** The maps in which exactly one kind must be named, with the keys of the kinds, as messages list them. */
export const ALTERNATIVES = [
  { path: ['source'], keys: Object.keys(LOCATIONS) },
  { path: ['source', 'jsonl'], keys: Object.keys(STORES).sort() },
] as const;

export function sourceKindOf<L extends Location>({ kind }: L): SourceKind<L> {
  return SOURCES[kind] as SourceKind<L>;
}

/** Of the source of a plan without faults. */
export function buildLocation(source: PlanNode, zone: string | undefined): Location {
  const [kind = OPLOG_ALONE] = Object.entries(LOCATIONS).flatMap(
    ([key, kind]): { build(parent: PlanNode, zone: string | undefined): Location }[] =>
      nodeAt(source, key) === undefined ? [] : [kind],
  );
  return kind.build(source, zone);
}

const WITHOUT_STORE: ReadonlySet<Location['kind']> = new Set(['mongodb', 'snapshot', 'preImages', 'oplog']);

export function isStored(location: Location): location is StoredLocation {
  return !WITHOUT_STORE.has(location.kind);
}

/** The store in which a source lies. */
export function storeLocation(location: StoredLocation): StoreLocation {
  return location.kind === 'jsonl' ? location.from : location;
}

/** Whether numbers without their types are restored as they are read. */
export function acceptsRelaxed(location: Location): boolean {
  return location.kind === 'jsonl' && location.relaxed === 'accept';
}

/** The key of the plan that says where the backups are: `source.jsonl.s3.key`. */
export function settingOf(location: Location): string {
  if (!isStored(location)) return `source.${location.kind}`;
  const place = storeLocation(location);
  const parent = location.kind === 'jsonl' ? ['source', 'jsonl'] : ['source'];
  return [...parent, ...storeOf(place).template].join('.');
}
