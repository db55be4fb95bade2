/**
 * Chunks whose memory nobody else will look at again. Whoever got such a chunk last may hand its memory to another
 * thread; all others are lent, and their memory is used again.
 */
const givenAway = new WeakSet<Buffer>();

/** Marks a chunk that fills its memory and that its source keeps no hold of. */
export function giveAway(chunk: Buffer): Buffer {
  if (chunk.length === chunk.buffer.byteLength) givenAway.add(chunk);
  return chunk;
}

export function isGivenAway(chunk: Buffer): boolean {
  return givenAway.has(chunk);
}
