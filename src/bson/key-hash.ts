/** Hashes for tables of keys. Not for anything an adversary must not steer. */

/** 32-bit hash of the 12 bytes of an ObjectId, given as three words. Another `seed` gives an independent hash. */
export function hashObjectId(a: number, b: number, c: number, seed: number): number {
  return finish(mix(mix(mix(seed, a), b), c));
}

/** 32-bit hash of `bytes[start, end)`. Another `seed` gives an independent hash. */
export function hashBytes(
  bytes: Buffer,
  { start, end }: { start: number; end: number },
  seed: number,
): number {
  let hash = seed ^ (end - start);
  let at = start;
  for (; at + 4 <= end; at += 4) hash = mix(hash, wordAt(bytes, at));
  let last = 0;
  for (; at < end; at++) last = (last << 8) | (bytes[at] as number);
  return finish(mix(hash, last));
}

/** The little-endian word at `at`, as a signed 32-bit integer; faster than readInt32LE, which checks its bounds again. */
export function wordAt(bytes: Buffer, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}

/** One round and the finish of MurmurHash3 (Austin Appleby, public domain). */
function mix(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  const h = hash ^ Math.imul(k, 0x1b873593);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
