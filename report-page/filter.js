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
  const needle = needleOf(filter.text);
  const haystacks = needle === '' ? [] : documents.lowerCase;
  const count = before?.length ?? documents.count;
  const found = new Uint32Array(count);
  let size = 0;
  for (let position = 0; position < count; position++) {
    const index = before === undefined ? position : /** @type {number} */ (before[position]);
    if (!wanted[classes[index] ?? 0]) continue;
    if (!isWantedCollection[targets[index] ?? 0]?.[collections[index] ?? 0]) continue;
    if (needle !== '' && !haystacks[index]?.includes(needle)) continue;
    found[size++] = index;
  }
  return found.subarray(0, size);
}

/**
 * A text as it stands in a line of JSON.
 * @param {string} text
 */
function needleOf(text) {
  return JSON.stringify(text.trim().toLowerCase()).slice(1, -1).replaceAll('<', '\\u003c');
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
    needleOf(narrow.text).includes(needleOf(wide.text))
  );
}
