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
import type { SourceKind } from './source-kind.ts';
import { STORES, type StoreLocation, storeOf } from './stores.ts';

export type Location = StoreLocation | JsonlLocation | LiveLocation;

/** A running server. */
type LiveLocation = MongodbLocation | SnapshotLocation | PreImagesLocation;

/** One that lies in a store. */
export type StoredLocation = Exclude<Location, LiveLocation>;

export const SOURCES = {
  ...STORES,
  mongodb: MONGODB,
  snapshot: SNAPSHOT,
  preImages: PRE_IMAGES,
  jsonl: JSONL,
} satisfies Record<Location['kind'], unknown>;

/** The maps in which exactly one kind must be named, with the keys of the kinds, as messages list them. */
export const ALTERNATIVES = [
  { path: ['source'], keys: Object.keys(SOURCES) },
  { path: ['source', 'jsonl'], keys: Object.keys(STORES).sort() },
] as const;

export function sourceKindOf<L extends Location>({ kind }: L): SourceKind<L> {
  return SOURCES[kind] as SourceKind<L>;
}

/** Of the source of a plan without faults. */
export function buildLocation(source: PlanNode, zone: string | undefined): Location {
  const [kind] = Object.entries(SOURCES).flatMap(([key, kind]) =>
    nodeAt(source, key) === undefined ? [] : [kind],
  );
  return kind!.build(source, zone);
}

export function isStored(location: Location): location is StoredLocation {
  return location.kind !== 'mongodb' && location.kind !== 'snapshot' && location.kind !== 'preImages';
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
