/**
 * The page's script is one classic script made of the files of this folder, in the order of src/report/html/page-files.ts;
 * they share their top-level names. This one gives the documents: text lines, parsed one by one when they are shown.
 */

/** @typedef {{ id: string, symbol: string, name: string, meaning: string }} ClassWords */
/**
 * `compared`: how many documents were compared; the page may list fewer. `heldBack`: what the report does not tell of them, on purpose.
 * @typedef {{ targets: string[], collections: string[][], classes: ClassWords[], heldBack: string | null, compared: number }} Head
 */
/** @typedef {[path: string, backup: string | null, target: string | null, backupType: string | null, targetType: string | null]} Difference */
/** @typedef {[path: string, before: string | null, after: string | null, now: string | null, beforeType: string | null, afterType: string | null, nowType: string | null]} Change */
/**
 * As src/report/html/html-report.ts writes it. `backup` null: left out of the page; `target` null: absent, or left out;
 * true: the same text as in the backup. `changes`, of a document that was changed, stand in the place of `differences`.
 * @typedef {[target: number, collection: number, documentClass: number, id: string, reason: string, differences: Difference[], backup: string | null, target: string | true | null, differencesLeftOut: number, changes?: Change[], changesLeftOut?: number]} Row
 */

/** @param {string} id */
function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** @type {Head} */
const HEAD = JSON.parse(byId('head').textContent ?? '');

class Documents {
  /** @type {string[]} One line of JSON for each document. */
  lines = [];
  /** @type {Uint8Array} */
  targets = new Uint8Array();
  /** @type {Uint32Array} */
  collections = new Uint32Array();
  /** @type {Uint8Array} */
  classes = new Uint8Array();

  /** @param {string[]} texts Lines, each ended by a newline. */
  constructor(texts) {
    for (const text of texts) {
      let start = text.indexOf('[');
      for (let end = text.indexOf('\n', start); start >= 0 && end > 0; end = text.indexOf('\n', start)) {
        this.lines.push(text.slice(start, end));
        start = end + 1;
      }
    }
    const count = this.lines.length;
    this.targets = new Uint8Array(count);
    this.collections = new Uint32Array(count);
    this.classes = new Uint8Array(count);
    for (let index = 0; index < count; index++) this.#index(index, this.lines[index] ?? '');
  }

  /**
   * The three numbers at the start of a line; parsing the rest of 100,000 lines would take most of a second.
   * @param {number} index
   * @param {string} line
   */
  #index(index, line) {
    const first = line.indexOf(',');
    const second = line.indexOf(',', first + 1);
    const third = line.indexOf(',', second + 1);
    this.targets[index] = Number(line.slice(1, first));
    this.collections[index] = Number(line.slice(first + 1, second));
    this.classes[index] = Number(line.slice(second + 1, third));
  }

  get count() {
    return this.lines.length;
  }

  /**
   * @param {number} index
   * @returns {Row}
   */
  row(index) {
    return JSON.parse(this.lines[index] ?? '');
  }
}

function readDocuments() {
  const elements = document.querySelectorAll('script.documents');
  return new Documents([...elements].map((element) => element.textContent ?? ''));
}

/**
 * @param {string} tag
 * @param {string} className
 * @param {(string | Node)[]} children
 */
function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className !== '') made.className = className;
  made.append(...children);
  return made;
}

/** @param {number} count */
function showCount(count) {
  return count.toLocaleString('en-US');
}
