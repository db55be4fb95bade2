import { unicodeEscape } from '../../bson/show.ts';

/** HTML and SVG text. What is put between the parts of a template is escaped; only what came out of a template is not. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Part = Html | string | number | undefined | false | readonly Part[];

/** undefined and false become nothing, so that a part can be left out by a condition. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(
    strings.map((text, index) => (index === 0 ? '' : textOf(parts[index - 1])) + text).join(''),
  );
}

function textOf(part: Part): string {
  if (part === undefined || part === false) return '';
  if (part instanceof Html) return part.text;
  if (typeof part === 'object') return part.map(textOf).join('');
  return escaped(String(part));
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/**
 * JSON for a script element: a `<` could end the element or open a comment, and needs no bare place in JSON. In plain
 * ASCII: browsers keep such text in one byte a character, which makes a large page open and search twice as fast.
 */
export function scriptJson(value: unknown): string {
  return JSON.stringify(value).replace(/[<\u007f-\uffff]/g, unicodeEscape);
}
