/** Sets of characters as ranges of code points: union, complement, letter case, and JavaScript source. */
import { otherCases } from './letter-case.ts';
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
