/** Keeps V8 from holding more memory than the program needs. */
import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Node 20's own limit, bytes. A smaller space holds less, but what outlives two collections then waits for a collection of the whole heap. */
const YOUNG_SPACE_BYTES = 16 * 1024 * 1024;

/**
 * Keeps the space for new objects from growing beyond Node 20's limit of 16 MiB, twice in memory. Newer versions let it grow to several
 * times that, for nothing: the new objects of this program are few, and small beside the bytes they point to.
 */
export async function limitYoungSpace(): Promise<void> {
  const { PerformanceObserver } = await import('node:perf_hooks');
  const observer = new PerformanceObserver(() => {
    const young = getHeapSpaceStatistics().find((space) => space.space_name === 'new_space');
    if (young !== undefined && young.space_size < YOUNG_SPACE_BYTES) return;
    setFlagsFromString('--semi-space-growth-factor=1');
    observer.disconnect();
  });
  observer.observe({ entryTypes: ['gc'] });
}

/** Below this much in the heap and in buffers outside of it, V8 is left to itself. */
const MUCH_BYTES = 100 * 1024 * 1024;
/** So much is to have outlived small collections before what many small things left behind is freed. */
const LEFTOVER_BYTES = 24 * 1024 * 1024;
let collect: (() => void) | undefined;
/** The least that was in use since the last time, bytes, without the space for new objects. */
let leastInUse = 0;

/**
 * Frees buffers and texts that nobody uses any longer, where there are many. To be called after something of many megabytes is done with:
 * V8 counts such buffers, but those that outlived two small collections it lets lie until there are hundreds of megabytes of them.
 * Costs some 20 ms, which is little beside a document of 16 MB.
 */
export function freeMemory(): void {
  const { external_memory: outside, used_heap_size: inside } = getHeapStatistics();
  if (outside + inside < MUCH_BYTES) return;
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
  leastInUse = bytesOfOld();
}

/**
 * The same, to be called after each of many things that may be small, as a collection: V8 lets the leftovers of 10,000 lie until they are
 * several times what is in use. Costs nothing worth counting until they are many.
 */
export function freeLeftovers(): void {
  const old = bytesOfOld();
  leastInUse = Math.min(leastInUse, old);
  if (old >= leastInUse + LEFTOVER_BYTES) freeMemory();
}

/** Of the heap and of buffers outside of it, without the space for new objects. */
function bytesOfOld(): number {
  const { external_memory: outside, used_heap_size: inside } = getHeapStatistics();
  const young = getHeapSpaceStatistics().find((space) => space.space_name === 'new_space');
  return outside + inside - (young?.space_used_size ?? 0);
}
