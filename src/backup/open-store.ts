/** How a store of each kind is opened; what a plan says of each is in plan/sources/. */
import type { StoreLocation } from '../plan/sources/stores.ts';
import type { Run } from '../run.ts';
import { DiskStore } from './disk/disk-store.ts';
import type { RemotePatience } from './remote/patience.ts';
import type { Store, WritableStore } from './storage/store.ts';

type OpenStore<L> = (run: Run, location: L, patience: RemotePatience) => Promise<WritableStore>;

const STORES: { readonly [K in StoreLocation['kind']]: OpenStore<Extract<StoreLocation, { kind: K }>> } = {
  path: async () => new DiskStore(),
  s3: async (...given) => (await import('./s3/s3-store.ts')).openS3(...given),
};

export function openStore(run: Run, location: StoreLocation, patience: RemotePatience): Promise<Store> {
  return openWritableStore(run, location, patience);
}

/** The same, to be written to as well. Never for what a plan names as its backup. */
export const openWritableStore: OpenStore<StoreLocation> = (run, location, patience) =>
  (STORES[location.kind] as OpenStore<StoreLocation>)(run, location, patience);
