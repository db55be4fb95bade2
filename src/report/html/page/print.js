/** On paper there is nothing to scroll: the first documents of the current filter are written out. */

const PRINTED = 500;

/**
 * @param {Documents} documents
 * @param {() => Uint32Array} shown
 */
function printDocuments(documents, shown) {
  const place = byId('print');
  const fill = () => {
    const indexes = shown();
    const articles = [...indexes.subarray(0, PRINTED)].map((index) => printedDocument(documents.row(index)));
    const left = indexes.length - articles.length;
    const note =
      left > 0 ? [element('p', 'quiet', `${showCount(left)} more documents are not printed.`)] : [];
    place.replaceChildren(...articles, ...note);
  };
  /** @type {HTMLDetailsElement[]} */
  let opened = [];
  const prepare = () => {
    fill();
    for (const details of document.querySelectorAll('details')) {
      if (details.open) continue;
      details.open = true;
      opened.push(details);
    }
  };
  const tidy = () => {
    place.replaceChildren();
    for (const details of opened) details.open = false;
    opened = [];
  };
  const paper = matchMedia('print');
  paper.addEventListener('change', () => (paper.matches ? prepare() : tidy()));
  addEventListener('beforeprint', prepare);
  addEventListener('afterprint', tidy);
}

/** @param {Row} row */
function printedDocument(row) {
  const [target, collection, documentClass, id, reason, differences, , , , changes = []] = row;
  const words = /** @type {ClassWords} */ (HEAD.classes[documentClass]);
  const place = `${HEAD.targets[target]}, ${HEAD.collections[target]?.[collection]} `;
  const article = element(
    'article',
    '',
    element('span', `symbol ${words.id}`, words.symbol),
    element('strong', '', `${words.name} `),
    place,
    element('code', '', id),
  );
  if (reason !== '') article.append(element('div', 'quiet', reason));
  if (differences.length > 0) article.append(differenceTable(differences));
  if (changes.length > 0) article.append(changeTable(changes));
  return article;
}
