/** How a store of each kind is opened; what a plan says of each is in plan/sources/. */
import type { StoreLocation } from '../plan/sources/stores.ts';
import type { Run } from '../run.ts';
import { DiskStore } from './disk/disk-store.ts';
import type { RemotePatience } from './remote/patience.ts';
import type { Reading, Store, WritableStore } from './storage/store.ts';

type OpenStore<L> = (
  run: Run,
  location: L,
  patience: RemotePatience,
  reading?: Reading,
) => Promise<WritableStore>;

const STORES: { readonly [K in StoreLocation['kind']]: OpenStore<Extract<StoreLocation, { kind: K }>> } = {
  path: async (_run, _location, _patience, reading) => new DiskStore(reading),
  s3: async (run, location, patience, reading) =>
    (await import('./s3/s3-store.ts')).openS3(run, location, patience, reading),
};

export function openStore(
  run: Run,
  location: StoreLocation,
  patience: RemotePatience,
  reading?: Reading,
): Promise<Store> {
  return openWritableStore(run, location, patience, reading);
}

/** The same, to be written to as well. Never for what a plan names as its backup. */
export const openWritableStore: OpenStore<StoreLocation> = (run, location, patience, reading) =>
  (STORES[location.kind] as OpenStore<StoreLocation>)(run, location, patience, reading);
