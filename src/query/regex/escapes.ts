/** What a backslash means in PCRE2, inside and outside a class. */
import {
  type CharacterSet,
  complement,
  DIGIT,
  HORIZONTAL_SPACE,
  SPACE,
  VERTICAL_SPACE,
  WORD,
} from './character-set.ts';
import { PatternFault, type PatternText } from './pattern-text.ts';

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
