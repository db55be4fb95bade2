/** How a whole selection is read to look at its `_id`s, batch by batch. */
import type { BatchLimits } from '../selection/file-batches.ts';

export const LOOKUP_BATCH: BatchLimits = { maxBytes: 4 * 1024 * 1024, maxDocuments: 4_000, held: 1 };
