/** One document, opened: why it is where it is, the fields that differ, and both sides of it. */

/** @param {Row} row */
function detailOf(row) {
  const [
    ,
    ,
    documentClass,
    id,
    reason,
    differences,
    backup,
    ,
    differencesLeftOut,
    changes = [],
    changesLeftOut = 0,
  ] = row;
  const leftOut = differencesLeftOut + changesLeftOut;
  const isTable = differences.length > 0 || changes.length > 0;
  const words = /** @type {ClassWords} */ (HEAD.classes[documentClass]);
  const detail = element(
    'div',
    'why',
    element('span', `symbol ${words.id}`, words.symbol),
    element('strong', words.id, words.name),
    `: ${reason === '' ? words.meaning : reason}`,
    element('br', ''),
    element('code', '', id),
  );
  const parts = [detail];
  if (differences.length > 0) parts.push(differenceTable(differences));
  if (changes.length > 0) parts.push(changeTable(changes));
  if (leftOut > 0) {
    const more = isTable ? 'more ' : '';
    parts.push(
      element(
        'p',
        'quiet',
        `${showCount(leftOut)} ${more}${leftOut === 1 ? 'field differs' : 'fields differ'}.`,
      ),
    );
  }
  parts.push(
    backup === null
      ? element(
          'p',
          'empty',
          HEAD.heldBack ??
            'The content of this document was left out, to keep the page small enough to open.',
        )
      : sidesOf(row),
  );
  return parts;
}

/** @param {Difference[]} differences */
function differenceTable(differences) {
  const rows = differences.map(([path, backup, target, backupType, targetType]) => ({
    path,
    cells: [valueCell(target, targetType), valueCell(backup, backupType)],
  }));
  return fieldTable(['In the target now', 'In the backup'], rows);
}

/** @param {Change[]} changes */
function changeTable(changes) {
  const rows = changes.map(([path, before, after, now, beforeType, afterType, nowType]) => ({
    path,
    cells: [valueCell(before, beforeType), valueCell(after, afterType), valueCell(now, nowType)],
  }));
  return fieldTable(['Before the change', 'Right after it', 'In the target now'], rows);
}

/**
 * @param {string[]} titles Of the values.
 * @param {{ path: string, cells: HTMLElement[] }[]} rows
 */
function fieldTable(titles, rows) {
  const head = element('tr', '');
  for (const title of ['Field', ...titles]) {
    const cell = element('th', '', title);
    cell.setAttribute('scope', 'col');
    head.append(cell);
  }
  const body = element('tbody', '');
  for (const { path, cells } of rows) {
    const name = element('th', '', path);
    name.setAttribute('scope', 'row');
    // On a narrow screen the cells stand below each other, each with its title.
    for (const [index, cell] of cells.entries()) cell.setAttribute('data-title', titles[index] ?? '');
    body.append(element('tr', '', name, ...cells));
  }
  const kind = titles.length > 2 ? 'fields three' : 'fields';
  return element('div', 'scroll', element('table', kind, element('thead', '', head), body));
}

/**
 * @param {string | null} value
 * @param {string | null} type
 */
function valueCell(value, type) {
  if (value === null) return element('td', '', element('span', 'absent-value', 'absent'));
  return element('td', '', value, ...(type === null ? [] : [' ', element('span', 'type', type)]));
}

/** @param {Row} row */
function sidesOf(row) {
  const [, , , , , , backup, target] = row;
  const after = layOut(backup ?? '');
  if (target === null || target === true) {
    const sides = element('div', 'sides one', element('div', 'title', target ? 'In both' : 'In the backup'));
    sides.append(...after.map((line) => element('div', 'line', line)));
    return sides;
  }
  const sides = element(
    'div',
    'sides',
    element('div', 'title', 'In the target now'),
    element('div', 'title right', 'In the backup'),
  );
  for (const { pairs, isFar } of runsOf(sideBySide(layOut(target), after))) {
    const lines = pairs.flatMap(({ left, right, same }) => [
      sideLine(left, '', same ? 'same' : 'gone'),
      sideLine(right, 'right', same ? 'same' : 'come'),
    ]);
    sides.append(...(isFar && pairs.length >= FOLDED ? [foldedLines(lines)] : lines));
  }
  return sides;
}

/** Lines around a change that are always shown, and how many equal ones away from it are worth a click. */
const AROUND = 3;
const FOLDED = 4;

/** @typedef {{ pairs: Pair[], isFar: boolean }} Run */

/**
 * The lines near a change and those far from any, in turn.
 * @param {Pair[]} pairs
 * @returns {Run[]}
 */
function runsOf(pairs) {
  /** @type {Run[]} */
  const runs = [];
  pairs.forEach((pair, index) => {
    const around = pairs.slice(Math.max(0, index - AROUND), index + AROUND + 1);
    const isFar = around.every(({ same }) => same);
    const run = runs.at(-1);
    if (run?.isFar === isFar) run.pairs.push(pair);
    else runs.push({ pairs: [pair], isFar });
  });
  return runs;
}

/**
 * A button in the place of lines, which it brings back.
 * @param {HTMLElement[]} lines
 */
function foldedLines(lines) {
  const button = element('button', 'fold', `⋯ ${lines.length / 2} equal lines`);
  button.setAttribute('type', 'button');
  button.addEventListener('click', () => button.replaceWith(...lines));
  return button;
}

/**
 * @param {string | undefined} text
 * @param {'' | 'right'} side
 * @param {'same' | 'gone' | 'come'} change
 */
function sideLine(text, side, change) {
  return element('div', `line ${side} ${text === undefined ? 'void' : change}`, text ?? '');
}
