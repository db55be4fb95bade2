/** Words of command lines that an operator can copy. */
import { neutral } from './neutral.ts';

/** As a POSIX shell reads it back: in single quotes where it has to be. Control characters stay visible, not copyable. */
export function shellWord(text: string): string {
  const safe = neutral(text);
  return /^[\w@%+=:,./~-]+$/.test(safe) ? safe : `'${safe.replaceAll("'", String.raw`'\''`)}'`;
}
