/** A pattern being read, character by character (code points, not UTF-16 units) or byte by byte. */

/** A pattern that is wrong, or has no exact counterpart in JavaScript. */
export class PatternFault extends Error {
  override readonly name = 'PatternFault';
}

/**
 * What one step of a pattern, and of the text it is matched with, stands for. bytes: those of the UTF-8, each as the character
 * U+0000 … U+00FF; only ASCII letters have case.
 */
export type TextUnit = 'characters' | 'bytes';

export class PatternText {
  readonly unit: TextUnit;
  private readonly characters: readonly string[];
  private at = 0;

  constructor(pattern: string, unit: TextUnit) {
    this.unit = unit;
    this.characters = [...(unit === 'bytes' ? Buffer.from(pattern).toString('latin1') : pattern)];
  }

  atEnd(): boolean {
    return this.at >= this.characters.length;
  }

  peek(ahead = 0): string | undefined {
    return this.characters[this.at + ahead];
  }

  next(): string {
    const character = this.characters[this.at++];
    if (character === undefined) throw new PatternFault('pattern ends too early');
    return character;
  }

  /** Whether the text from here on (or so many characters later) matches; only 100 characters are looked at. */
  lookingAt(pattern: RegExp, ahead = 0): boolean {
    const from = this.at + ahead;
    return pattern.test(this.characters.slice(from, from + 100).join(''));
  }

  /** Moves past `text` (ASCII) when it comes next. */
  takes(text: string): boolean {
    for (let i = 0; i < text.length; i++) if (this.characters[this.at + i] !== text[i]) return false;
    this.at += text.length;
    return true;
  }

  /** All characters from here that match the class. */
  takeMatching(oneCharacter: RegExp): string {
    const start = this.at;
    while (this.at < this.characters.length && oneCharacter.test(this.characters[this.at] as string))
      this.at++;
    return this.characters.slice(start, this.at).join('');
  }

  /** What stands before `end` (one character), and moves past it; undefined and no move when it does not come. */
  takeUntil(end: string): string | undefined {
    const found = this.characters.indexOf(end, this.at);
    if (found < 0) return undefined;
    const text = this.characters.slice(this.at, found).join('');
    this.at = found + 1;
    return text;
  }

  takeRest(): string {
    const rest = this.characters.slice(this.at).join('');
    this.at = this.characters.length;
    return rest;
  }

  /** The text after `\Q` up to `\E` or the end. */
  takeQuoted(): string {
    let text = '';
    while (!this.atEnd() && !this.takes('\\E')) text += this.next();
    return text;
  }

  /** Goes back by this many characters. */
  back(characters: number): void {
    this.at -= characters;
  }
}
