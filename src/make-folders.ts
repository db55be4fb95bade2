/**
 * Makes a folder and those above it, level by level. Node.js does not make them so (`recursive`): where a folder cannot be made and the answer is
 * that there is no such one (/proc), it asks for ever, and on a read-only disk it says that of the last level alone. Light, for the start of the program.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/** What is there already is left as it is. Throws what the operating system says of the first that cannot be made. */
export function makeFolders(path: string, mode: number): void {
  if (isMade(path, mode)) return;
  const above = dirname(path);
  if (above !== path) makeFolders(above, mode);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    // Another run may have been quicker.
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

/** Whether it is there, now at the latest; not: one above it is missing. */
function isMade(path: string, mode: number): boolean {
  try {
    mkdirSync(path, { mode });
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return true;
    if (codeOf(error) !== 'ENOENT') throw error;
    return false;
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
