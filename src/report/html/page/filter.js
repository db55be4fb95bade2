/** Which documents are shown: by target, collection, class and text. */

/**
 * `target` and `collection` are undefined for all; a collection is one of a target when a target is given, else a name.
 * @typedef {{ target: number | undefined, collection: string | undefined, classes: Set<number>, text: string }} Filter
 */

/** @returns {Filter} */
function emptyFilter() {
  return { target: undefined, collection: undefined, classes: new Set(), text: '' };
}

/** @param {Filter} filter */
function isEmptyFilter({ target, collection, classes, text }) {
  return target === undefined && collection === undefined && classes.size === 0 && text === '';
}

/**
 * Indexes of the documents that pass, in order. `before` may be the result of a filter that let more through.
 * @param {Documents} documents
 * @param {Filter} filter
 * @param {Uint32Array | undefined} before
 */
function matching(documents, filter, before) {
  const { classes, targets, collections } = documents;
  const wanted = HEAD.classes.map((_, index) => filter.classes.size === 0 || filter.classes.has(index));
  const isWantedCollection = HEAD.collections.map((names, target) =>
    names.map(
      (name) =>
        (filter.target === undefined || filter.target === target) &&
        (filter.collection === undefined || filter.collection === name),
    ),
  );
  const holds = searchFor(filter.text);
  const count = before?.length ?? documents.count;
  const found = new Uint32Array(count);
  let size = 0;
  for (let position = 0; position < count; position++) {
    const index = before === undefined ? position : /** @type {number} */ (before[position]);
    if (!wanted[classes[index] ?? 0]) continue;
    if (!isWantedCollection[targets[index] ?? 0]?.[collections[index] ?? 0]) continue;
    if (holds !== undefined && !holds(documents.lines[index] ?? '')) continue;
    found[size++] = index;
  }
  return found.subarray(0, size);
}

/**
 * Tells whether a line of JSON holds a text, in either case. Lines are plain ASCII: of other letters, which are escaped there, both
 * cases are looked for. An expression that ignores case reads 77 MB in 40 ms, so no copy in lower case is kept. Undefined for an
 * empty text.
 * @param {string} text
 * @returns {((line: string) => boolean) | undefined}
 */
function searchFor(text) {
  const wanted = JSON.stringify(text.trim().toLowerCase()).slice(1, -1);
  if (wanted === '') return undefined;
  const pattern = wanted.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&').replace(/[<\u007f-\uffff]/g, (character) => {
    const cases = new Set([character, character.toUpperCase()].filter((each) => each.length === 1));
    return `(?:${[...cases].map(escapedInLine).join('|')})`;
  });
  const expression = new RegExp(pattern, 'i');
  return (line) => expression.test(line);
}

/**
 * A pattern for a character as src/report/html/html.ts escapes it.
 * @param {string} character
 */
function escapedInLine(character) {
  return `\\\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/**
 * Whether everything that passes `narrow` passes `wide`: then only what passed `wide` has to be looked at.
 * @param {Filter} narrow
 * @param {Filter} wide
 */
function isNarrower(narrow, wide) {
  const fewerClasses =
    wide.classes.size === 0 ||
    (narrow.classes.size > 0 && [...narrow.classes].every((each) => wide.classes.has(each)));
  return (
    fewerClasses &&
    (wide.target === undefined || wide.target === narrow.target) &&
    (wide.collection === undefined || wide.collection === narrow.collection) &&
    narrow.text.toLowerCase().includes(wide.text.toLowerCase())
  );
}
