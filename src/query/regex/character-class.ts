/** `[…]` in PCRE2: ranges, escapes, `\\Q…\\E` and POSIX classes such as `[:alpha:]`. */
import { type CharacterSet, codeOf, complement, POSIX, withOtherCases } from './character-set.ts';
import { classEscape, literalEscape } from './escapes.ts';
import { PatternFault, type PatternText } from './pattern-text.ts';

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
