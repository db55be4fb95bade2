/** Sets of characters as ranges of code points: union, complement, letter case, and JavaScript source. */
import { PatternFault, type PatternText, type TextUnit } from './pattern-text.ts';

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

// `[…]` in PCRE2: ranges, escapes, `\\Q…\\E` and POSIX classes such as `[:alpha:]`.

/** Reads a class; its opening bracket has been read. `caseless`: the option i holds here. */
export function readClass(text: PatternText, caseless: boolean): CharacterSet {
  return new ClassReader(text, caseless).read();
}

/** What PCRE2 takes for `[:name:]`, whether it knows the name or not; the opening bracket has been read. */
const POSIX_FORM = /^([:.=])(?:\\[\\\]]|(?!\[\1|\1\]|\]).)*\1\]/s;

class ClassReader {
  private readonly text: PatternText;
  private readonly caseless: boolean;
  private set: CharacterSet = [];
  private hasNegatedSet = false;

  constructor(text: PatternText, caseless: boolean) {
    this.text = text;
    this.caseless = caseless;
  }

  read(): CharacterSet {
    const { text } = this;
    if (text.lookingAt(POSIX_FORM)) throw new PatternFault('[:name:] has a meaning only inside a class');
    const negated = text.takes('^');
    if (text.lookingAt(/^\\[QE]/)) throw new PatternFault('\\Q and \\E cannot start a class here');
    // A closing bracket in the first place stands for itself.
    if (text.takes(']')) this.rangeFrom(']');
    while (!text.takes(']')) this.item();
    return negated ? complement(this.set) : this.set;
  }

  private item(): void {
    const { text } = this;
    if (text.peek() === '[' && text.lookingAt(POSIX_FORM, 1)) {
      this.posix();
    } else if (text.takes('\\Q')) {
      for (const character of text.takeQuoted()) this.addRange(character, character);
    } else if (text.takes('\\E')) {
      throw new PatternFault('\\E without \\Q in a class is not supported');
    } else {
      const character = this.character();
      if (character !== undefined) this.rangeFrom(character);
    }
  }

  /** One character, or undefined when an escape added a whole set. */
  private character(): string | undefined {
    const { text } = this;
    if (!text.takes('\\')) return text.next();
    if (text.takes('b')) return '\b';
    if (/[DSW]/.test(text.peek() ?? '')) this.hasNegatedSet = true;
    const set = classEscape(text);
    if (set === undefined) return literalEscape(text);
    this.addSet(set);
    return undefined;
  }

  /** Adds the character, or the range that it starts. */
  private rangeFrom(first: string): void {
    const { text } = this;
    if (!this.atRange()) {
      this.addRange(first, first);
      return;
    }
    text.next();
    if (text.lookingAt(/^(?:\[[:.=]|\\[QE])/)) throw unclearHyphen();
    const last = this.character();
    if (last === undefined) throw unclearHyphen();
    if (codeOf(last) < codeOf(first)) throw new PatternFault('a range in a class is out of order');
    this.addRange(first, last);
  }

  private posix(): void {
    const { text } = this;
    text.takes('[');
    const kind = text.next();
    const negated = text.takes('^');
    const name = text.takeMatching(/[a-z]/);
    if (!text.takes(':]') || kind !== ':' || !Object.hasOwn(POSIX, name))
      throw new PatternFault(`[${kind}${name}${kind}] is not supported`);
    // The PCRE2 of mongod 8.2 then forgets that the negated set takes in all characters from U+0100 on.
    if (this.hasNegatedSet && !negated)
      throw new PatternFault(`[:${name}:] behind a negated set is not supported; write it first`);
    this.hasNegatedSet = negated;
    // Without regard to case, upper and lower both mean any letter.
    const set = POSIX[
      this.caseless && (name === 'upper' || name === 'lower') ? 'alpha' : name
    ] as CharacterSet;
    this.addSet(negated ? complement(set) : set);
  }

  private addRange(first: string, last: string): void {
    const range: CharacterSet = [[codeOf(first), codeOf(last)]];
    this.set = [...this.set, ...(this.caseless ? withOtherCases(range, this.text.unit) : range)];
  }

  /** A built-in set, which the option i leaves alone. After it a hyphen is an error in PCRE2, unless it ends the class. */
  private addSet(set: CharacterSet): void {
    this.set = [...this.set, ...set];
    if (this.atRange()) throw unclearHyphen();
  }

  private atRange(): boolean {
    return this.text.peek() === '-' && this.text.peek(1) !== ']' && this.text.peek(1) !== undefined;
  }
}

function unclearHyphen(): PatternFault {
  return new PatternFault('a hyphen beside a set in a class must be escaped');
}

// What a backslash means in PCRE2, inside and outside a class.

/** The sets that a letter stands for; the capital letter stands for the rest. */
const SETS: Readonly<Record<string, CharacterSet>> = {
  d: DIGIT,
  w: WORD,
  s: SPACE,
  h: HORIZONTAL_SPACE,
  v: VERTICAL_SPACE,
};

const CONTROL: Readonly<Record<string, string>> = {
  a: '\x07',
  e: '\x1b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/** A set such as `\d`, when the letter after the backslash names one. */
export function classEscape(text: PatternText): CharacterSet | undefined {
  const letter = text.peek() ?? '';
  const lower = letter.toLowerCase();
  if (!Object.hasOwn(SETS, lower)) return undefined;
  text.next();
  const set = SETS[lower] as CharacterSet;
  return letter === lower ? set : complement(set);
}

/** The one character that an escape stands for; the backslash has been read. */
export function literalEscape(text: PatternText): string {
  const letter = text.next();
  if (Object.hasOwn(CONTROL, letter)) return CONTROL[letter] as string;
  if (letter === 'x') return hexadecimal(text);
  if (letter === 'o' && text.takes('{')) return fromDigits(text, text.takeUntil('}'), 8);
  if (letter === '0') return fromDigits(text, `0${octalDigits(text, 2)}`, 8);
  if (letter === 'c') return controlCharacter(text);
  if (/[1-9]/.test(letter)) throw new PatternFault('back-references are not supported');
  if (/[0-9A-Za-z]/.test(letter)) throw new PatternFault(`\\${letter} is not supported`);
  return letter;
}

/** `\x`, `\x7`, `\x7f` or `\x{7f}`. */
function hexadecimal(text: PatternText): string {
  if (text.takes('{')) return fromDigits(text, text.takeUntil('}'), 16);
  let digits = '';
  while (digits.length < 2 && /[0-9a-fA-F]/.test(text.peek() ?? '')) digits += text.next();
  return fromDigits(text, digits === '' ? '0' : digits, 16);
}

function octalDigits(text: PatternText, most: number): string {
  let digits = '';
  while (digits.length < most && /[0-7]/.test(text.peek() ?? '')) digits += text.next();
  return digits;
}

function fromDigits({ unit }: PatternText, digits: string | undefined, base: 8 | 16): string {
  const valid = base === 8 ? /^[0-7]{1,8}$/ : /^[0-9a-fA-F]{1,8}$/;
  if (digits === undefined || !valid.test(digits))
    throw new PatternFault('a character number is not well written');
  const point = Number.parseInt(digits, base);
  if (point > (unit === 'bytes' ? 0xff : 0x10ffff) || (point >= 0xd800 && point <= 0xdfff))
    throw new PatternFault('a character number is too large');
  return String.fromCodePoint(point);
}

function controlCharacter(text: PatternText): string {
  const letter = text.next();
  if (!/[ -~]/.test(letter)) throw new PatternFault('\\c must be followed by a printable ASCII character');
  return String.fromCharCode(letter.toUpperCase().charCodeAt(0) ^ 0x40);
}
