/**
 * How V8 shall run the program.
 *
 * Every byte read passes through buffers outside the heap, and V8 answers that pressure by starting to mark the whole heap every
 * 20 MB. Without incremental marking it frees the buffers in its small collections: half the processor time of reading from S3
 * (0.95 → 0.48 s for 700 MB), a third less for a dry-run of 600,000 documents (7.2 → 4.6 s), and the same peak memory.
 */
export const V8_FLAGS = '--no-incremental-marking';
