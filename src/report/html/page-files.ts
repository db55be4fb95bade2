/** The page's own files, plain HTML, CSS and JavaScript in page/ beside this file; the package carries them from there. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { packageFile } from '../../package-file.ts';

const FOLDER = packageFile('src/report/html/page/');

/** Put together in this order into one style sheet and one classic script. */
const STYLES = ['colours.css', 'page.css', 'summary.css', 'documents.css', 'detail.css', 'print.css'];
const SCRIPTS = ['data.js', 'filter.js', 'difference.js', 'detail.js', 'table.js', 'print.js', 'main.js'];

export interface PageFiles {
  /** With `{{name}}` where the report's own parts go. */
  readonly template: string;
  readonly style: string;
  readonly script: string;
}

export function readPageFiles(): PageFiles {
  return {
    template: read('page.html'),
    style: `\n${STYLES.map(read).join('\n')}`,
    script: `\n${SCRIPTS.map(read).join('\n')}`,
  };
}

function read(file: string): string {
  return readFileSync(new URL(file, FOLDER), 'utf8');
}

/** For a Content-Security-Policy; of the exact text between an inline element's tags. */
export function sourceHash(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}
