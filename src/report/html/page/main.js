/** Connects filters, table and the counts of the summary. */

function startPage() {
  const documents = readDocuments();
  const table = new DocumentTable(documents);
  const search = /** @type {HTMLInputElement} */ (byId('search'));
  const target = /** @type {HTMLSelectElement} */ (byId('target'));
  const collection = /** @type {HTMLSelectElement} */ (byId('collection'));
  let filter = emptyFilter();
  /** @type {Uint32Array} */
  let shown = matching(documents, filter, undefined);

  /** @param {Filter} wanted */
  const apply = (wanted) => {
    shown = matching(documents, wanted, isNarrower(wanted, filter) ? shown : undefined);
    filter = wanted;
    table.show(shown);
    showFilter();
  };

  const listed = () => {
    const { count } = documents;
    if (HEAD.compared <= count) return `${showCount(count)} documents`;
    const all = showCount(HEAD.compared);
    return `${showCount(count)} of ${all} documents are listed, the first of each class and collection; plan dry-run --full lists more`;
  };

  const showFilter = () => {
    const total = documents.count;
    const isAll = isEmptyFilter(filter);
    byId('shown').textContent =
      total === 0
        ? (HEAD.heldBack ?? 'There are no documents to show.')
        : shown.length === 0
          ? 'No document matches these filters.'
          : isAll
            ? listed()
            : `${showCount(shown.length)} of ${showCount(total)} listed documents`;
    byId('shown').classList.toggle('empty', shown.length === 0);
    byId('clear').hidden = isAll;
    if (search.value.trim() !== filter.text) search.value = filter.text;
    target.value = filter.target === undefined ? '' : String(filter.target);
    collection.value = filter.collection ?? '';
    for (const [index, chip] of chips) chip.setAttribute('aria-pressed', String(filter.classes.has(index)));
  };

  const chips = classChips(documents, (index) => {
    const classes = new Set(filter.classes);
    if (!classes.delete(index)) classes.add(index);
    apply({ ...filter, classes });
  });
  target.append(...HEAD.targets.map((name, index) => new Option(name, String(index))));
  collection.append(...[...new Set(HEAD.collections.flat())].map((name) => new Option(name, name)));

  search.addEventListener('input', () => apply({ ...filter, text: search.value.trim() }));
  search.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') {
      event.preventDefault();
      if (search.value !== '') apply({ ...filter, text: '' });
    } else if (event.key === 'ArrowDown' || event.key === 'Enter') {
      event.preventDefault();
      table.focus();
    }
  });
  target.addEventListener('change', () =>
    apply({ ...filter, target: target.value === '' ? undefined : Number(target.value) }),
  );
  collection.addEventListener('change', () =>
    apply({ ...filter, collection: collection.value === '' ? undefined : collection.value }),
  );
  byId('clear').addEventListener('click', () => {
    apply(emptyFilter());
    search.focus();
  });
  byId('filters').addEventListener('submit', (event) => event.preventDefault());

  document.addEventListener('click', (event) => {
    const button = event.target instanceof Element ? event.target.closest('[data-filter]') : null;
    if (!(button instanceof HTMLElement)) return;
    apply(filterOf(button));
    byId('documents').scrollIntoView({ block: 'start' });
    table.focus();
  });
  document.addEventListener('keydown', (event) => {
    if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement) return;
    event.preventDefault();
    search.focus();
    search.select();
  });

  byId('filters').hidden = documents.count === 0;
  byId('keys').hidden = documents.count === 0;
  table.show(shown);
  showFilter();
  printDocuments(documents, () => shown);
}

/**
 * What a count of the summary stands for.
 * @param {HTMLElement} button
 * @returns {Filter}
 */
function filterOf(button) {
  const target = Number(button.dataset['target']);
  const collection = button.dataset['collection'];
  return {
    target,
    collection: collection === undefined ? undefined : HEAD.collections[target]?.[Number(collection)],
    classes: new Set([Number(button.dataset['class'])]),
    text: '',
  };
}

/**
 * A button for each class that occurs.
 * @param {Documents} documents
 * @param {(index: number) => void} onToggle
 * @returns {Map<number, HTMLElement>}
 */
function classChips(documents, onToggle) {
  const counts = HEAD.classes.map(() => 0);
  for (const documentClass of documents.classes) counts[documentClass] = (counts[documentClass] ?? 0) + 1;
  /** @type {Map<number, HTMLElement>} */
  const chips = new Map();
  for (const [index, { id, symbol, name, meaning }] of HEAD.classes.entries()) {
    if (counts[index] === 0) continue;
    const chip = element(
      'button',
      '',
      element('span', `symbol ${id}`, symbol),
      `${name} ${showCount(counts[index] ?? 0)}`,
    );
    chip.title = meaning;
    chip.setAttribute('type', 'button');
    chip.addEventListener('click', () => onToggle(index));
    chips.set(index, chip);
  }
  byId('classes').append(...chips.values());
  return chips;
}

startPage();
