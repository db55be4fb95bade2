/**
 * How V8 and the C library shall treat the memory of the program's process.
 *
 * Alone because: start.ts runs the program when it is imported, and tests and measures are run under the same settings.
 */

/**
 * How V8 shall run the program.
 *
 * Every byte read passes through buffers outside the heap, and V8 answers that pressure by starting to mark the whole heap every
 * 20 MB. Without incremental marking it frees the buffers in its small collections: half the processor time of reading from S3
 * (0.95 → 0.48 s for 700 MB), a third less for a dry-run of 600,000 documents (7.2 → 4.6 s), and the same peak memory.
 *
 * To be set by start.ts alone, while the heap is small: set while V8 marks, it ends the process with a fatal error.
 *
 * The growth factor is V8's own; it is named because `limitYoungSpace` changes it, and code is kept under the flags of the start.
 */
export const V8_FLAGS = '--no-incremental-marking --semi-space-growth-factor=2';

/** glibc's largest threshold is 32 MiB. Of 8 MiB a selection from S3 took as long as of none, of 32 as of 16, which hold less. */
const GIVEN_BACK_BYTES = 16 * 1024 * 1024 - 64 * 1024;

/**
 * Has the C library keep memory that was freed instead of giving it back to the system, which has to clear each page of it again.
 *
 * glibc takes blocks of 128 KiB and more from the system one by one, and gives back what lies free at the end of its heap from 128 KiB on. Both
 * limits follow the largest block that was freed so far (mallopt(3), M_MMAP_THRESHOLD: the second is twice the first). Node.js copies what it receives by HTTP into
 * a new block for each piece. For 700 MB from S3 that were 30,000 to 115,000 pages, now 21,000; the median time went from 2.4 to 1.9 s and the longest from 3.4 to 2.3, of a
 * .tar.gz from 2.6 to 2.3 s.
 *
 * The block is freed by V8's first collection. Nothing of it is ever written to, so that it takes no memory; other C libraries just free it.
 */
export function keepFreedMemory(): void {
  Buffer.allocUnsafeSlow(GIVEN_BACK_BYTES);
}
