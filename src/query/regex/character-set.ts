/** Sets of characters as ranges of code points: union, complement, letter case, and JavaScript source. */
import type { TextUnit } from './pattern-text.ts';

export type Range = readonly [first: number, last: number];
export type CharacterSet = readonly Range[];

const LAST = 0x10ffff;

function setOf(...ranges: readonly (Range | string)[]): CharacterSet {
  return ranges.map((range) => (typeof range === 'string' ? [codeOf(range), codeOf(range)] : range));
}

export function complement(set: CharacterSet): CharacterSet {
  const result: Range[] = [];
  let from = 0;
  for (const [first, last] of normalized(set)) {
    if (first > from) result.push([from, first - 1]);
    from = last + 1;
  }
  if (from <= LAST) result.push([from, LAST]);
  return result;
}

/** The set and the other cases of all its letters. */
export function withOtherCases(set: CharacterSet, unit: TextUnit): CharacterSet {
  const lastLetter = unit === 'bytes' ? 0x7f : LAST;
  return [
    ...set,
    ...set.flatMap(([first, last]) =>
      otherCases(first, Math.min(last, lastLetter)).map((code): Range => [code, code]),
    ),
  ];
}

/** A JavaScript class (flag u) of the set, or its only character. */
export function sourceOf(set: CharacterSet): string {
  const ranges = normalized(set);
  const [only] = ranges;
  if (ranges.length === 1 && only !== undefined && only[0] === only[1]) return literal(only[0]);
  return `[${ranges.map(([first, last]) => (first === last ? literal(first) : `${literal(first)}-${literal(last)}`)).join('')}]`;
}

function normalized(set: CharacterSet): Range[] {
  const result: [number, number][] = [];
  for (const [first, last] of [...set].sort((a, b) => a[0] - b[0])) {
    const previous = result.at(-1);
    if (previous !== undefined && first <= previous[1] + 1) previous[1] = Math.max(previous[1], last);
    else result.push([first, last]);
  }
  return result;
}

function literal(code: number): string {
  const character = String.fromCodePoint(code);
  return /^[0-9A-Za-z]$/.test(character) ? character : `\\u{${code.toString(16)}}`;
}

export function codeOf(character: string): number {
  return character.codePointAt(0) as number;
}

const DIGITS: Range = [0x30, 0x39];
const UPPER: Range = [0x41, 0x5a];
const LOWER: Range = [0x61, 0x7a];

/** ASCII only, as in PCRE2 without Unicode properties. */
export const DIGIT = setOf(DIGITS);
export const WORD = setOf(DIGITS, UPPER, LOWER, '_');
export const SPACE = setOf([0x09, 0x0d], ' ');
export const NEWLINE = setOf('\n');
export const ANY: CharacterSet = [[0, LAST]];

export const HORIZONTAL_SPACE: CharacterSet = [
  ...setOf('\t', ' ', '\u00a0', '\u1680', '\u180e', '\u202f', '\u205f', '\u3000'),
  [0x2000, 0x200a],
];
export const VERTICAL_SPACE: CharacterSet = [[0x0a, 0x0d], ...setOf('\u0085'), [0x2028, 0x2029]];

/** `[:name:]`, also ASCII only. */
export const POSIX: Readonly<Record<string, CharacterSet>> = {
  alpha: setOf(UPPER, LOWER),
  alnum: setOf(DIGITS, UPPER, LOWER),
  ascii: setOf([0x00, 0x7f]),
  blank: setOf('\t', ' '),
  cntrl: setOf([0x00, 0x1f], [0x7f, 0x7f]),
  digit: DIGIT,
  graph: setOf([0x21, 0x7e]),
  lower: setOf(LOWER),
  print: setOf([0x20, 0x7e]),
  punct: setOf([0x21, 0x2f], [0x3a, 0x40], [0x5b, 0x60], [0x7b, 0x7e]),
  space: SPACE,
  upper: setOf(UPPER),
  word: WORD,
  xdigit: setOf(DIGITS, [0x41, 0x46], [0x61, 0x66]),
};

// Which letters differ only in case, by Unicode's simple case folding, which is what PCRE2 goes by.
//
// JavaScript knows folding only as a flag for a whole pattern, and then folds `\w` too; so the flag is never used and the
// letters are written out. test/query/regex/translate-pattern.test.ts asks a server about every letter there is.

const ASCII: Readonly<Record<number, readonly number[]>> = asciiCases();

/** The letters that differ from one of `first` … `last` only in case. */
export function otherCases(first: number, last: number): number[] {
  if (last < 0x80) return Array.from({ length: last - first + 1 }, (_, i) => ASCII[first + i] ?? []).flat();
  const cases = allCases();
  return Object.keys(cases)
    .map(Number)
    .filter((code) => code >= first && code <= last)
    .flatMap((code) => cases[code] as number[]);
}

function asciiCases(): Record<number, number[]> {
  const cases: Record<number, number[]> = {};
  for (let code = 0x61; code <= 0x7a; code++) {
    cases[code] = [code - 0x20];
    cases[code - 0x20] = [code];
  }
  // The Kelvin sign and the long s.
  for (const [code, other] of [
    [0x6b, 0x212a],
    [0x73, 0x17f],
  ] as const) {
    cases[code]?.push(other);
    cases[code - 0x20]?.push(other);
  }
  return cases;
}

let known: Readonly<Record<number, readonly number[]>> | undefined;

/** Made when a pattern first names a letter beyond ASCII; takes some 20 ms. */
function allCases(): Readonly<Record<number, readonly number[]>> {
  if (known !== undefined) return known;
  const groups = new Map<number, Set<number>>();
  for (let code = 0x41; code < LAST_LETTER; code++) {
    const character = String.fromCodePoint(code);
    for (const other of [character.toLowerCase(), character.toUpperCase()]) {
      if (other !== character && isOneCharacter(other)) join(groups, code, other.codePointAt(0) as number);
    }
  }
  known = Object.fromEntries(
    [...groups].map(([code, group]) => [code, [...group].filter((other) => other !== code)]),
  );
  return known;
}

/** Beyond the last letter that has case (Adlam, U+1E943). */
const LAST_LETTER = 0x1f000;
/**
 * Letters that have no other case for the server: dotted and dotless i, which fold to nothing, and the letters that came
 * with Unicode 16 and 17, which PCRE2 in MongoDB 8 does not know yet while newer JavaScript engines do.
 */
const ALONE: readonly (readonly [number, number])[] = [
  [0x130, 0x131],
  [0x1c89, 0x1c8a],
  [0xa7cb, 0xa7cf],
  [0xa7d2, 0xa7d5],
  [0xa7da, 0xa7dc],
  [0x10d50, 0x10d85],
  [0x16ea0, 0x16ed3],
];

function isAlone(code: number): boolean {
  return ALONE.some(([first, last]) => code >= first && code <= last);
}

function join(groups: Map<number, Set<number>>, a: number, b: number): void {
  if (isAlone(a) || isAlone(b)) return;
  const group = groups.get(a) ?? new Set([a]);
  for (const code of groups.get(b) ?? [b]) group.add(code);
  for (const code of group) groups.set(code, group);
}

function isOneCharacter(text: string): boolean {
  return [...text].length === 1;
}
