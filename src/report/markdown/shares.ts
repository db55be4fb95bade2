/**
 * Divides room among sections: each gets what it wants if that is no more than an equal part of what is left, and the
 * large ones divide the rest equally. Sizes and result in the same unit; the sum of the result is at most `room`.
 */
export function shares(sizes: readonly number[], room: number): number[] {
  const result = sizes.map(() => 0);
  const smallestFirst = sizes.map((size, index) => ({ size, index })).sort((a, b) => a.size - b.size);
  let left = Math.max(0, room);
  for (const [done, { size, index }] of smallestFirst.entries()) {
    const share = Math.min(size, Math.floor(left / (sizes.length - done)));
    result[index] = share;
    left -= share;
  }
  return result;
}
