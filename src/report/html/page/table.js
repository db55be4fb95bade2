/**
 * The list of documents. Only the rows on the screen exist as elements: 100,000 of them would take seconds to lay out.
 * Rows have one height; at most one is open, and what it shows pushes the rows below it down.
 */

/** Pixels; the same as in page.css. */
const ROW_HEIGHT = 34;
/** Rows kept above and below the screen, so that a short scroll shows no gap. */
const MARGIN_ROWS = 8;

class DocumentTable {
  #documents;
  #grid = byId('grid');
  #rows = byId('rows');
  /** @type {Uint32Array} Indexes of the documents shown. */
  #shown = new Uint32Array();
  /** Position among those shown. */
  #active = 0;
  /** @type {number | undefined} Position of the open row. */
  #open;
  /** @type {HTMLElement | undefined} */
  #detail;
  /** @type {Map<number, HTMLElement>} Rows that exist, by position. */
  #made = new Map();
  #isDrawn = true;

  /** @param {Documents} documents */
  constructor(documents) {
    this.#documents = documents;
    this.#grid.addEventListener('scroll', () => this.#redraw(), { passive: true });
    this.#grid.addEventListener('keydown', (event) => this.#onKey(event));
    this.#rows.addEventListener('click', (event) => this.#onClick(event));
    new ResizeObserver(() => this.#redraw()).observe(this.#grid);
  }

  /** @param {Uint32Array} shown */
  show(shown) {
    this.#close();
    this.#shown = shown;
    this.#active = 0;
    for (const row of this.#made.values()) row.remove();
    this.#made.clear();
    this.#grid.scrollTop = 0;
    this.#grid.hidden = shown.length === 0;
    this.#grid.setAttribute('aria-rowcount', String(shown.length + 1));
    this.#draw();
  }

  focus() {
    this.#grid.focus();
  }

  #redraw() {
    if (!this.#isDrawn) return;
    this.#isDrawn = false;
    requestAnimationFrame(() => {
      this.#isDrawn = true;
      this.#draw();
    });
  }

  #draw() {
    const detailHeight = this.#detail?.offsetHeight ?? 0;
    this.#rows.style.height = `${this.#shown.length * ROW_HEIGHT + detailHeight}px`;
    const top = this.#grid.scrollTop;
    const first = Math.max(0, this.#positionAt(top) - MARGIN_ROWS);
    const last = Math.min(
      this.#shown.length - 1,
      this.#positionAt(top + this.#grid.clientHeight) + MARGIN_ROWS,
    );
    for (const [position, row] of this.#made) {
      if (position < first || position > last) {
        row.remove();
        this.#made.delete(position);
      }
    }
    for (let position = first; position <= last; position++) {
      const row = this.#made.get(position) ?? this.#make(position);
      row.style.transform = `translateY(${this.#topOf(position)}px)`;
      row.classList.toggle('active', position === this.#active);
      row.classList.toggle('open', position === this.#open);
      row.setAttribute('aria-expanded', String(position === this.#open));
      row.setAttribute('aria-selected', String(position === this.#active));
    }
    if (this.#detail !== undefined && this.#open !== undefined) {
      this.#detail.style.transform = `translateY(${this.#topOf(this.#open) + ROW_HEIGHT}px)`;
    }
    if (this.#made.has(this.#active)) this.#grid.setAttribute('aria-activedescendant', `row-${this.#active}`);
    else this.#grid.removeAttribute('aria-activedescendant');
  }

  /** @param {number} position */
  #topOf(position) {
    const isBelow = this.#open !== undefined && position > this.#open;
    return position * ROW_HEIGHT + (isBelow ? (this.#detail?.offsetHeight ?? 0) : 0);
  }

  /**
   * The row at a height in pixels; the open one for the whole height of what it shows.
   * @param {number} top
   */
  #positionAt(top) {
    const plain = Math.floor(top / ROW_HEIGHT);
    if (this.#open === undefined || plain <= this.#open) return plain;
    return Math.max(this.#open, Math.floor((top - (this.#detail?.offsetHeight ?? 0)) / ROW_HEIGHT));
  }

  /** @param {number} position */
  #make(position) {
    const row = this.#documents.row(/** @type {number} */ (this.#shown[position]));
    const [target, collection, documentClass, id] = row;
    const words = /** @type {ClassWords} */ (HEAD.classes[documentClass]);
    const made = element(
      'div',
      'row',
      cell('', element('span', `symbol ${words.id}`, words.symbol), element('span', 'name', words.name)),
      cell('', HEAD.targets[target] ?? ''),
      cell('mono', HEAD.collections[target]?.[collection] ?? ''),
      cell('mono', shortId(id)),
      cell('what', whatOf(row)),
    );
    made.id = `row-${position}`;
    made.setAttribute('role', 'row');
    made.setAttribute('aria-rowindex', String(position + 2));
    made.dataset['position'] = String(position);
    this.#made.set(position, made);
    // Kept in order, for those who read the page rather than see it.
    const next = this.#made.get(position + 1);
    this.#rows.insertBefore(made, next ?? null);
    return made;
  }

  /** @param {number} position */
  #toggle(position) {
    const isOpen = this.#open === position;
    this.#close();
    this.#active = position;
    if (!isOpen) {
      const index = /** @type {number} */ (this.#shown[position]);
      const detail = element('div', 'detail', ...detailOf(this.#documents.row(index)));
      detail.setAttribute('role', 'row');
      detail.setAttribute('aria-label', 'The document');
      detail.tabIndex = 0;
      this.#detail = detail;
      this.#open = position;
      this.#rows.append(detail);
      new ResizeObserver(() => this.#redraw()).observe(detail);
    }
    this.#draw();
    if (!isOpen) this.#reveal(position, this.#detail?.offsetHeight ?? 0);
  }

  #close() {
    this.#detail?.remove();
    this.#detail = undefined;
    this.#open = undefined;
  }

  /**
   * Scrolls as little as needed to show a row and `below` pixels under it.
   * @param {number} position
   * @param {number} below
   */
  #reveal(position, below = 0) {
    const head = ROW_HEIGHT;
    const top = this.#topOf(position);
    const bottom = top + ROW_HEIGHT + below;
    const height = this.#grid.clientHeight - head;
    if (bottom > this.#grid.scrollTop + height) this.#grid.scrollTop = Math.min(top, bottom - height);
    if (top < this.#grid.scrollTop) this.#grid.scrollTop = top;
  }

  /** @param {number} position */
  #move(position) {
    this.#active = Math.max(0, Math.min(this.#shown.length - 1, position));
    this.#reveal(this.#active);
    this.#draw();
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const isInDetail = event.target !== this.#grid;
    if (event.key === 'Escape' && this.#open !== undefined) {
      this.#close();
      this.#draw();
      this.#grid.focus();
    } else if (isInDetail || event.ctrlKey || event.metaKey || event.altKey) return;
    else if (event.key === 'Enter' || event.key === ' ') this.#toggle(this.#active);
    else {
      const page = Math.max(1, Math.floor(this.#grid.clientHeight / ROW_HEIGHT) - 2);
      /** @type {Record<string, number>} */
      const moves = {
        ArrowDown: this.#active + 1,
        ArrowUp: this.#active - 1,
        PageDown: this.#active + page,
        PageUp: this.#active - page,
        Home: 0,
        End: this.#shown.length - 1,
      };
      const position = moves[event.key];
      if (position === undefined) return;
      this.#move(position);
    }
    event.preventDefault();
  }

  /** @param {MouseEvent} event */
  #onClick(event) {
    const row = event.target instanceof Element ? event.target.closest('.row') : null;
    const position = row instanceof HTMLElement ? Number(row.dataset['position']) : undefined;
    if (position === undefined) return;
    this.#toggle(position);
    this.#grid.focus();
  }
}

/**
 * @param {string} className
 * @param {(string | Node)[]} children
 */
function cell(className, ...children) {
  const made = element('span', className, ...children);
  made.setAttribute('role', 'gridcell');
  return made;
}

/**
 * An ObjectId without its wrapping: the column is narrow, and the opened row shows all of it.
 * @param {string} id
 */
function shortId(id) {
  return /^\{"\$oid":"([0-9a-f]{24})"\}$/.exec(id)?.[1] ?? id;
}

/**
 * The reason, or the fields that differ, or the document's plain values.
 * @param {Row} row
 */
function whatOf([, , , , reason, differences, backup, , , changes = []]) {
  if (reason !== '') return reason;
  const fields = [...differences, ...changes];
  if (fields.length > 0) return fields.map(([path]) => path).join(', ');
  return plainValues(backup ?? '');
}

/** @param {string} text */
function plainValues(text) {
  try {
    return Object.entries(JSON.parse(text))
      .filter(([key, value]) => key !== '_id' && value !== null && typeof value !== 'object')
      .map(([key, value]) => `${key}: ${value}`)
      .join(' · ')
      .slice(0, 300);
  } catch {
    // The text was cut because the document is large.
    return text.slice(0, 300);
  }
}
