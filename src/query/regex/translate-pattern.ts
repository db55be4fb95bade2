/**
 * Translates a regular expression from the server's dialect (PCRE2, UTF mode) to JavaScript's, so that both match the same strings.
 *
 * Only whether there is a match counts, so groups do not capture, and greedy and lazy repetition are equal. Written out are: `$`
 * before a last newline, `.` against newlines, `\s \d \w \b` (ASCII in PCRE2), `\h \v \A \Z \z`, POSIX classes, `x` mode,
 * `\Q…\E`, octal and hexadecimal escapes, inline options. Refused by name is what would need more than a regular language
 * (back-references, atomic groups, recursion) or where the two could differ.
 */
import { QueryFault } from '../query-fault.ts';
import {
  ANY,
  type CharacterSet,
  classEscape,
  codeOf,
  complement,
  literalEscape,
  NEWLINE,
  readClass,
  sourceOf,
  WORD,
  withOtherCases,
} from './character-set.ts';
import { PatternFault, PatternText, type TextUnit } from './pattern-text.ts';

/** The server takes no longer one. */
const MAX_PATTERN_BYTES = 16_384;
const MAX_GROUPS_DEEP = 100;

/** The pattern in JavaScript. Throws QueryFault when the pattern is wrong, or has no exact counterpart. */
export function translatePattern(
  pattern: string,
  {
    options,
    path,
    unit = 'characters',
  }: { readonly options: string; readonly path: string; readonly unit?: TextUnit },
): RegExp {
  try {
    return new Translator(pattern, options, unit).translate();
  } catch (fault) {
    if (!(fault instanceof PatternFault)) throw fault;
    throw new QueryFault(`regular expression: ${fault.message}`, path, fault);
  }
}

/** Options that can change inside a pattern. */
interface Modes {
  i: boolean;
  m: boolean;
  s: boolean;
  x: boolean;
}

/** How many characters a part matches at least, and whether that is always the number, in PCRE2's eyes. */
interface Width {
  readonly least: number;
  readonly fixed: boolean;
}

/** A translated part. */
interface Part {
  readonly source: string;
  readonly width: Width;
  /** Anchors and lookarounds cannot be repeated. */
  readonly repeatable: boolean;
}

const NOWHERE: Width = { least: 0, fixed: true };
/** What stands for nothing: a comment, a change of options. */
const NOTHING: Part = { source: '', width: NOWHERE, repeatable: false };

class Translator {
  private readonly text: PatternText;
  private modes: Modes;
  private readonly names = new Set<string>();
  private depth = 0;

  constructor(pattern: string, options: string, unit: TextUnit) {
    if (/[^imsxu]/.test(options))
      throw new PatternFault(`option "${options.replace(/[imsxu]/g, '')}" is not known`);
    if (pattern.includes('\0')) throw new PatternFault('a NUL character must be written \\x00');
    if (Buffer.byteLength(pattern) > MAX_PATTERN_BYTES) throw new PatternFault('pattern is too long');
    if (pattern.includes('\ufffd'))
      throw new PatternFault('U+FFFD stands for bytes that were no text; write \\x{fffd}');
    this.text = new PatternText(pattern, unit);
    const has = (letter: string): boolean => options.includes(letter);
    this.modes = { i: has('i'), m: has('m'), s: has('s'), x: has('x') };
  }

  translate(): RegExp {
    const { source, widths } = this.alternatives();
    if (!this.text.atEnd()) throw new PatternFault('unmatched closing parenthesis');
    const mayBeEmpty = widths.some(({ least }) => least === 0);
    // V8 looks for empty matches also between the two halves of a surrogate pair, where no character stands.
    return compiled(mayBeEmpty ? `(?=[^]|$)(?:${source})` : source);
  }

  /** Up to a closing parenthesis or the end. `widths` has one entry per alternative. */
  private alternatives(): { source: string; widths: Width[] } {
    const parts: { source: string; width: Width }[] = [];
    do parts.push(this.sequence());
    while (this.text.takes('|'));
    return { source: parts.map(({ source }) => source).join('|'), widths: parts.map(({ width }) => width) };
  }

  private sequence(): { source: string; width: Width } {
    let source = '';
    let width = NOWHERE;
    for (;;) {
      this.skipIgnored();
      const next = this.text.peek();
      if (next === undefined || next === '|' || next === ')') return { source, width };
      const part = this.repeated(this.atom());
      source += part.source;
      width = { least: width.least + part.width.least, fixed: width.fixed && part.width.fixed };
    }
  }

  private repeated(part: Part): Part {
    this.skipIgnored();
    const quantifier = readQuantifier(this.text);
    if (quantifier === undefined) return part;
    if (!part.repeatable) throw new PatternFault('a repetition must follow a character or a group');
    this.skipIgnored();
    if (/[*+?]/.test(this.text.peek() ?? '') || readQuantifier(this.text) !== undefined) {
      throw new PatternFault('possessive and doubled repetitions are not supported');
    }
    const least = part.width.least * quantifier.least;
    const fixed = part.width.fixed && quantifier.least === quantifier.most;
    return { source: part.source + quantifier.source, width: { least, fixed }, repeatable: true };
  }

  private atom(): Part {
    const character = this.text.next();
    switch (character) {
      case '(':
        return this.group();
      case '[':
        if (this.text.takes('[:<:]]')) return anchor(WORD_START);
        if (this.text.takes('[:>:]]')) return anchor(WORD_END);
        return oneOf(readClass(this.text, this.modes.i));
      case '.':
        return oneOf(this.modes.s ? ANY : complement(NEWLINE));
      case '^':
        return anchor(this.modes.m ? '(?:^|(?<=\\n)(?=[^]))' : '^');
      case '$':
        return anchor(this.modes.m ? '(?=\\n|$)' : '(?=\\n?$)');
      case '\\':
        return this.escape();
      case '*':
      case '+':
      case '?':
      case '{':
        this.text.back(1);
        if (readQuantifier(this.text) === undefined) return this.literal(this.text.next());
        throw new PatternFault('a repetition must follow a character or a group');
      default:
        return this.literal(character);
    }
  }

  private literal(character: string): Part {
    const set: CharacterSet = [[codeOf(character), codeOf(character)]];
    return oneOf(this.modes.i ? withOtherCases(set, this.text.unit) : set);
  }

  private escape(): Part {
    const { text } = this;
    if (text.takes('Q')) return this.quoted();
    if (text.takes('E')) return NOTHING;
    if (text.takes('A')) return anchor('^');
    if (text.takes('z')) return anchor('$');
    if (text.takes('Z')) return anchor('(?=\\n?$)');
    if (text.takes('b')) return anchor(`(?:${WORD_START}|${WORD_END})`);
    if (text.takes('B')) return anchor(`(?:(?<=${word})(?=${word})|(?<!${word})(?!${word}))`);
    if (text.takes('N')) {
      if (text.peek() === '{') throw new PatternFault('\\N{…} is not supported');
      return oneOf(complement(NEWLINE));
    }
    const set = classEscape(text);
    return set === undefined ? this.literal(literalEscape(text)) : oneOf(set);
  }

  /** `\Q…\E`: all characters stand for themselves; a repetition after it belongs to the last of them. */
  private quoted(): Part {
    const characters = [...this.text.takeQuoted()];
    const last = characters.pop();
    const before = characters.map((character) => this.literal(character).source).join('');
    if (last === undefined) return NOTHING;
    const part = this.literal(last);
    if (before === '') return part;
    const { source, width } = this.repeated(part);
    const { length } = characters;
    return {
      source: `(?:${before}${source})`,
      width: { least: length + width.least, fixed: width.fixed },
      repeatable: false,
    };
  }

  private group(): Part {
    const { text } = this;
    if (++this.depth > MAX_GROUPS_DEEP) throw new PatternFault('groups are nested too deep');
    if (text.peek() === '*') throw new PatternFault('verbs such as (*UTF) are not supported');
    const outer = { ...this.modes };
    const opening = text.takes('?') ? this.groupOpening() : '(?:';
    if (opening === undefined) {
      this.depth--;
      return NOTHING;
    }
    const { source, widths } = this.alternatives();
    if (!text.takes(')')) throw new PatternFault('missing closing parenthesis');
    this.modes = outer;
    this.depth--;
    if (opening !== '(?:') {
      if (opening.startsWith('(?<') && widths.some(({ fixed }) => !fixed)) {
        throw new PatternFault('what lookbehind matches must have a fixed length');
      }
      return anchor(`${opening}${source})`);
    }
    const least = Math.min(...widths.map((width) => width.least));
    const fixed = widths.every((width) => width.fixed && width.least === least);
    return { source: `(?:${source})`, width: { least, fixed }, repeatable: true };
  }

  /** What follows `(?`, as JavaScript writes it; undefined for a comment and for options that hold for what follows. */
  private groupOpening(): '(?:' | '(?=' | '(?!' | '(?<=' | '(?<!' | undefined {
    const { text } = this;
    if (text.takes('#')) {
      if (text.takeUntil(')') === undefined) throw new PatternFault('a comment has no end');
      return undefined;
    }
    if (text.takes(':')) return '(?:';
    if (text.takes('=')) return '(?=';
    if (text.takes('!')) return '(?!';
    if (text.takes('<=')) return '(?<=';
    if (text.takes('<!')) return '(?<!';
    if (text.takes('P<') || text.takes('<')) return this.name('>');
    if (text.takes("'")) return this.name("'");
    return this.inlineOptions();
  }

  private name(end: string): '(?:' {
    const name = this.text.takeUntil(end) ?? '';
    if (!/^[A-Za-z_]\w{0,31}$/.test(name)) throw new PatternFault('a group has a bad name');
    if (this.names.has(name)) throw new PatternFault(`two groups are named "${name}"`);
    this.names.add(name);
    return '(?:';
  }

  /** `(?i)` and `(?i-s:…)`. */
  private inlineOptions(): '(?:' | undefined {
    const letters = this.text.takeMatching(/[a-zA-Z^-]/);
    // Doubled, x is an option of its own: white space means nothing in a class either.
    const match = /^(?!.*xx)([imsx]*)(?:-([imsx]*))?$/.exec(letters);
    const end = this.text.next();
    if (match === null || (end !== ')' && end !== ':') || (letters === '' && end === ')')) {
      throw new PatternFault(`a group that starts with "(?${letters}${end}" is not supported`);
    }
    for (const letter of match[1] as string) this.modes[letter as keyof Modes] = true;
    for (const letter of match[2] ?? '') this.modes[letter as keyof Modes] = false;
    return end === ':' ? '(?:' : undefined;
  }

  /** In x mode: white space and comments up to the end of the line. */
  private skipIgnored(): void {
    if (!this.modes.x) return;
    for (;;) {
      this.text.takeMatching(/[\t-\r ]/);
      if (/[\u0085\u200e\u200f\u2028\u2029]/.test(this.text.peek() ?? '')) {
        throw new PatternFault('option x with white space beyond ASCII is not supported');
      }
      if (!this.text.takes('#')) return;
      this.text.takeUntil('\n') ?? this.text.takeRest();
    }
  }
}

const word = sourceOf(WORD);
const WORD_START = `(?<!${word})(?=${word})`;
const WORD_END = `(?<=${word})(?!${word})`;

function oneOf(set: CharacterSet): Part {
  return { source: sourceOf(set), width: { least: 1, fixed: true }, repeatable: true };
}

function anchor(source: string): Part {
  return { source, width: NOWHERE, repeatable: false };
}

function compiled(source: string): RegExp {
  try {
    const pattern = new RegExp(source, 'u');
    // V8 compiles at the first use, and only then finds a pattern too large.
    pattern.test('');
    return pattern;
  } catch (cause) {
    throw new PatternFault(`JavaScript cannot run it: ${(cause as Error).message}`);
  }
}

/** `* + ?` and `{n}`, `{n,}`, `{n,m}`, each lazy with a `?` behind it. */
interface Quantifier {
  readonly source: string;
  readonly least: number;
  readonly most: number;
}

const LARGEST = 65_535;

/** Reads a quantifier when one comes next. A `{` that starts none is a plain character, and left. */
function readQuantifier(text: PatternText): Quantifier | undefined {
  const quantifier = readGreedy(text);
  if (quantifier === undefined) return undefined;
  return text.takes('?') ? { ...quantifier, source: `${quantifier.source}?` } : quantifier;
}

function readGreedy(text: PatternText): Quantifier | undefined {
  if (text.takes('*')) return { source: '*', least: 0, most: Number.POSITIVE_INFINITY };
  if (text.takes('+')) return { source: '+', least: 1, most: Number.POSITIVE_INFINITY };
  if (text.takes('?')) return { source: '?', least: 0, most: 1 };
  if (!text.takes('{')) return undefined;
  const inside = text.takeMatching(/[0-9, \t]/);
  const match = /^(\d+)(,(\d*))?$/.exec(inside);
  if (text.peek() !== '}' || match === null) {
    if (text.peek() === '}' && /\d/.test(inside)) {
      throw new PatternFault(`{${inside}} means a repetition to some versions of PCRE2 and itself to others`);
    }
    text.back(inside.length + 1);
    return undefined;
  }
  text.next();
  const least = Number(match[1]);
  const most = match[2] === undefined ? least : match[3] === '' ? Number.POSITIVE_INFINITY : Number(match[3]);
  if (least > LARGEST || (most > LARGEST && most !== Number.POSITIVE_INFINITY) || least > most) {
    throw new PatternFault(`{${inside}} is no possible repetition`);
  }
  return { source: `{${inside}}`, least, most };
}
