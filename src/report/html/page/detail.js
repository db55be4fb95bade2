/** One document, opened: why it is where it is, the fields that differ, and both sides of it. */

/** @param {Row} row */
function detailOf(row) {
  const [, , documentClass, id, reason, differences, backup, , leftOut] = row;
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
  if (leftOut > 0) parts.push(element('p', 'quiet', `${showCount(leftOut)} more fields differ.`));
  parts.push(
    backup === null
      ? element(
          'p',
          'empty',
          'The content of this document was left out, to keep the page small enough to open.',
        )
      : sidesOf(row),
  );
  return parts;
}

/** @param {Difference[]} differences */
function differenceTable(differences) {
  const head = element('tr', '');
  for (const title of ['Field', 'In the target now', 'In the backup']) {
    const cell = element('th', '', title);
    cell.setAttribute('scope', 'col');
    head.append(cell);
  }
  const body = element('tbody', '');
  for (const [path, backup, target, backupType, targetType] of differences) {
    const name = element('th', '', path);
    name.setAttribute('scope', 'row');
    body.append(element('tr', '', name, valueCell(target, targetType), valueCell(backup, backupType)));
  }
  return element('div', 'scroll', element('table', 'fields', element('thead', '', head), body));
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
  const title = (/** @type {string} */ text) => element('div', 'title', text);
  const sides = element('div', 'sides', title('In the target now'), title('In the backup'));
  for (const { left, right, same } of sideBySide(layOut(target), after)) {
    sides.append(sideLine(left, same ? 'same' : 'gone'), sideLine(right, same ? 'same' : 'come'));
  }
  return sides;
}

/**
 * @param {string | undefined} text
 * @param {'same' | 'gone' | 'come'} change
 */
function sideLine(text, change) {
  if (text === undefined) return element('div', 'line void');
  return element('div', `line ${change}`, text);
}
