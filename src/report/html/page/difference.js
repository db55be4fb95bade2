/** Extended JSON text as lines, and two such texts side by side. */

/**
 * Lays a text out, one field a line, two spaces a level. The text may be cut anywhere: what is there is laid out. Values that Extended
 * JSON wraps in an object (`{"$oid":"…"}`) stay on one line.
 * @param {string} text
 * @returns {string[]}
 */
function layOut(text) {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"?|[{}[\],:]|[^"{}[\],:\s]+/g) ?? [];
  /** @type {string[]} */
  const lines = [];
  let line = '';
  let depth = 0;
  // Objects that are kept on one line: inside one, `inline` counts the brackets still open.
  let inline = 0;
  const breakLine = () => {
    if (line.trim() !== '') lines.push(line);
    line = '  '.repeat(depth);
  };
  tokens.forEach((token, index) => {
    const next = tokens[index + 1];
    if (token === '{' || token === '[') {
      line += token;
      const isWrapper = token === '{' && next?.startsWith('"$');
      if (inline > 0 || isWrapper || next === '}' || next === ']') inline++;
      else {
        depth++;
        breakLine();
      }
    } else if (token === '}' || token === ']') {
      if (inline > 0) inline--;
      else {
        depth = Math.max(0, depth - 1);
        breakLine();
      }
      line += token;
    } else if (token === ',') {
      line += inline > 0 ? ', ' : ',';
      if (inline === 0) breakLine();
    } else line += token === ':' ? ': ' : token;
  });
  if (line.trim() !== '') lines.push(line);
  return lines;
}

/** @typedef {{ left: string | undefined, right: string | undefined, same: boolean }} Pair */

/** Comparing n with m lines takes n × m steps; beyond this many, lines are only paired by position. */
const LARGEST_COMPARISON = 4_000_000;

/**
 * @param {string[]} left
 * @param {string[]} right
 * @returns {Pair[]}
 */
function sideBySide(left, right) {
  let from = 0;
  while (from < left.length && from < right.length && left[from] === right[from]) from++;
  let after = 0;
  while (
    after < left.length - from &&
    after < right.length - from &&
    left[left.length - 1 - after] === right[right.length - 1 - after]
  ) {
    after++;
  }
  const leftMiddle = left.slice(from, left.length - after);
  const rightMiddle = right.slice(from, right.length - after);
  const equal = (/** @type {string} */ line) => ({ left: line, right: line, same: true });
  return [
    ...left.slice(0, from).map(equal),
    ...pairChanged(leftMiddle, rightMiddle),
    ...left.slice(left.length - after).map(equal),
  ];
}

/**
 * The longest common subsequence of lines stands still; what is between two of its lines is paired in order.
 * @param {string[]} left
 * @param {string[]} right
 * @returns {Pair[]}
 */
function pairChanged(left, right) {
  const common = left.length * right.length > LARGEST_COMPARISON ? [] : commonLines(left, right);
  /** @type {Pair[]} */
  const pairs = [];
  let i = 0;
  let j = 0;
  for (const [nextI, nextJ] of [...common, /** @type {const} */ ([left.length, right.length])]) {
    while (i < nextI || j < nextJ) {
      pairs.push({
        left: i < nextI ? left[i++] : undefined,
        right: j < nextJ ? right[j++] : undefined,
        same: false,
      });
    }
    if (i < left.length && j < right.length) pairs.push({ left: left[i++], right: right[j++], same: true });
  }
  return pairs;
}

/**
 * Positions of the lines of a longest common subsequence.
 * @param {string[]} left
 * @param {string[]} right
 * @returns {(readonly [number, number])[]}
 */
function commonLines(left, right) {
  const width = right.length + 1;
  // lengths[i * width + j]: the longest common subsequence of what is left from i and from j.
  const lengths = new Uint32Array((left.length + 1) * width);
  for (let i = left.length - 1; i >= 0; i--) {
    for (let j = right.length - 1; j >= 0; j--) {
      lengths[i * width + j] =
        left[i] === right[j]
          ? (lengths[(i + 1) * width + j + 1] ?? 0) + 1
          : Math.max(lengths[(i + 1) * width + j] ?? 0, lengths[i * width + j + 1] ?? 0);
    }
  }
  /** @type {(readonly [number, number])[]} */
  const common = [];
  let i = 0;
  let j = 0;
  while (i < left.length && j < right.length) {
    if (left[i] === right[j]) common.push([i++, j++]);
    else if ((lengths[(i + 1) * width + j] ?? 0) >= (lengths[i * width + j + 1] ?? 0)) i++;
    else j++;
  }
  return common;
}
