/** How a whole selection is looked up in a target: batch by batch, a few of them on their way. */
import type { BatchLimits } from '../selection/file-batches.ts';

export const LOOKUPS_IN_FLIGHT = 3;

export const LOOKUP_BATCH: BatchLimits = {
  maxBytes: 4 * 1024 * 1024,
  maxDocuments: 4_000,
  held: LOOKUPS_IN_FLIGHT,
};
