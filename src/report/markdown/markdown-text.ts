/**
 * Text inside GitHub's Markdown, where data could become a mention, an issue reference, a link, mathematics, HTML, a table
 * cell or the end of a fence. Everything that comes from a plan, a backup or a target passes through here.
 */

/** Text as code, on one line, also inside a table cell. */
export function code(text: string): string {
  const isPlain = /^[^`|\s](?:[^`|]*[^`|\s])?$/.test(text);
  return isPlain ? `\`${text}\`` : htmlCode(text);
}

/** The same where Markdown is not read, as in a `<summary>`. */
export function htmlCode(text: string): string {
  return `<code>${entities(text)}</code>`;
}

/** Everything that Markdown could read a meaning into, as numeric entities. */
function entities(text: string): string {
  return text.replace(/[^\p{L}\p{N} ,/-]/gu, (character) => `&#${character.codePointAt(0)};`);
}

/** Running text of people: words stay words, anything with a sign that GitHub may act on becomes code. */
export function prose(text: string): string {
  return text
    .split(/\s+/)
    .filter((word) => word !== '')
    .map((word) => (isHarmless(word) ? word : code(word)))
    .join(' ');
}

function isHarmless(word: string): boolean {
  return (
    /^[\p{L}\p{N}.,;:'"()%?/_+-]+$/u.test(word) &&
    /[\p{L}\p{N}]/u.test(word) &&
    !/(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/u.test(word) &&
    !/\/\/|^[('"]*(?:www\.|gh-\d|\p{L}+:\S)/iu.test(word)
  );
}

/** A fenced block; the fence is longer than any run of backticks in it. */
export function fenced(language: string, lines: readonly string[]): string {
  const fence = fenceFor(lines);
  return `${fence}${language}\n${lines.join('\n')}\n${fence}\n`;
}

function fenceFor(lines: readonly string[]): string {
  const runs = lines.flatMap((line) => line.match(/`+/g) ?? []);
  return '`'.repeat(Math.max(3, ...runs.map((run) => run.length + 1)));
}

/** A collapsed part. Its summary is HTML; its body is Markdown. */
export function details(summary: string, body: string): string {
  return `<details>\n<summary>${summary}</summary>\n\n${body.trimEnd()}\n\n</details>\n\n`;
}
