/** One word for each outcome, and the sum in one line: the same wherever it is read. */
import * as assert from 'uvu/assert';
import { COMPARED, keysOf, OUTCOMES, type OutcomeWords, REVERTED, VERIFIED } from '../../src/outcomes.ts';
import { foretold } from '../../src/report/document-classes.ts';
import { type Sum, sumLines } from '../../src/report/sum.ts';
import { columnsOf, paintWith } from '../../src/text/terminal.ts';
import { test } from '../harness.ts';

const paint = paintWith(false);
const backup = {
  location: 's3://backups/db.tar',
  time: Date.UTC(2026, 10, 28, 7, 15),
  localTime: '2026-11-28 02:15:00 America/New_York',
};
const sum: Sum = {
  target: 'production',
  database: 'shop',
  outcomes: { inserted: 1_285, identical: 3, kept: 4, conflict: 1, heldBack: 2 },
  backup,
  warnings: 1,
  now: Date.UTC(2026, 10, 29),
};

const TEXT =
  'production shop: +1,285 inserts, =3 there already, ≠4 kept, !1 conflict, ↳2 held back · backup of 28 Nov 02:15 New York · 1 warning';

test('the sum is one line where there is room', () => {
  assert.equal([...sumLines(sum, { paint, columns: 200 })], [TEXT]);
});

test('on a narrow terminal it is broken between its parts, never within one', () => {
  assert.equal(sumLines(sum, { paint, columns: 80 }), [
    'production shop: +1,285 inserts, =3 there already, ≠4 kept, !1 conflict,',
    '  ↳2 held back · backup of 28 Nov 02:15 New York · 1 warning',
  ]);
  assert.equal(sumLines(sum, { paint, columns: 40 }), [
    'production shop: +1,285 inserts,',
    '  =3 there already, ≠4 kept,',
    '  !1 conflict, ↳2 held back ·',
    '  backup of 28 Nov 02:15 New York ·',
    '  1 warning',
  ]);
});

test('what does not occur is not shown, but nothing to insert is; a backup of another year says so', () => {
  const nothing = { ...sum, outcomes: { identical: 2, doubtful: 0 }, warnings: 0, now: Date.UTC(2027, 0, 1) };
  assert.equal(sumLines(nothing, { paint, columns: 120 }), [
    'production shop: +0 inserts, =2 there already · backup of 28 Nov 2026 02:15 New York',
  ]);
  const untimed = {
    ...nothing,
    backup: { location: '/backups/dump', time: undefined, localTime: undefined },
  };
  assert.match(sumLines(untimed, { paint, columns: 120 }).join(), / · from \/backups\/dump$/);
  const utc = { ...nothing, backup: { ...backup, localTime: undefined } };
  assert.match(sumLines(utc, { paint, columns: 120 }).join(), / · backup of 28 Nov 2026 07:15 UTC$/);
});

test('a database cannot break out of the sum', () => {
  const hostile = { ...sum, database: 'shop\u001b[31m\n::error::x' };
  for (const line of sumLines(hostile, { paint, columns: 40 })) {
    // An escaped first character makes a line a little longer.
    assert.ok(columnsOf(line) <= 40 + 5, line);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must be gone
    assert.not.match(line, /[\u0000-\u001f]|^\s*::/);
  }
});

test('no two outcomes of one table look alike, and one word means one thing in all of them', () => {
  const tables: Readonly<Record<string, OutcomeWords>>[] = [OUTCOMES, COMPARED, VERIFIED, REVERTED];
  for (const table of tables) {
    const words = keysOf(table).map((key) => table[key]?.one);
    assert.is(new Set(words).size, words.length, String(words));
    for (const key of keysOf(table)) assert.is(columnsOf(table[key]?.symbol ?? ''), 1, key);
  }
  const symbols = keysOf(OUTCOMES).map((key) => OUTCOMES[key].symbol);
  assert.is(new Set(symbols).size, symbols.length);
  for (const table of tables.slice(1)) {
    for (const key of keysOf(table)) {
      const same = keysOf(OUTCOMES).find((each) => OUTCOMES[each].one === table[key]?.one);
      if (same !== undefined) assert.is(table[key]?.symbol, OUTCOMES[same].symbol, key);
    }
  }
});

test('what becomes of documents of other content is what the plan says', () => {
  const counts = {
    insert: 1,
    absent: 0,
    identical: 2,
    different: 3,
    stale: 4,
    softDeleted: 5,
    conflict: 6,
    refused: 7,
  };
  const same = { inserted: 1, identical: 2, conflict: 6, refused: 7 };
  for (const [whenMatched, outcome] of [
    ['keepExisting', 'kept'],
    ['replace', 'replaced'],
    ['fail', 'stopped'],
  ] as const) {
    assert.equal(foretold([{ counts, whenMatched }]), { ...same, [outcome]: 12 });
  }
});

test.run();
