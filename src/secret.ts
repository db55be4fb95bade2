/**
 * A value that must never be shown: a connection string, a webhook key.
 *
 * It prints as `[redacted]` whichever way it is turned into text. Every revealed form is also registered, so that the
 * process edge can strike it out of any byte that leaves the program (the last line of defence, not the first).
 */
import { inspect } from 'node:util';

const registered = new Set<string>();
const REDACTED = '[redacted]';
/** A part of an address as long as this is a key, not a word. */
const KEY_CHARACTERS = 16;

export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
    registerSecret(value);
  }

  /** The clear value; hand it to the driver and to nothing else. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspect.custom](): string {
    return REDACTED;
  }
}

/**
 * Registers a value (at least 6 characters, shorter ones would blank out ordinary words) to be struck from all output, and of an
 * address what makes it secret: the password of a connection string, the path of a webhook and the keys in it.
 */
export function registerSecret(value: string): void {
  if (value.length < 6) return;
  registered.add(value);
  const path = /^https?:\/\/[^/]+(\/.{5,})$/is.exec(value)?.[1];
  if (path !== undefined) {
    registered.add(path);
    for (const part of path.split(/[/?&=]/)) if (part.length >= KEY_CHARACTERS) registered.add(part);
  }
  const password = /^[a-z0-9+.-]+:\/\/[^/@]*?:([^@/]+)@/i.exec(value)?.[1];
  if (password !== undefined && password.length >= 6) {
    registered.add(password);
    try {
      registered.add(decodeURIComponent(password));
    } catch {
      // Not percent-encoded: the raw form above is the only form.
    }
  }
}

/** Strikes every registered secret, and the credentials of any MongoDB connection string, out of a text. */
export function redact(text: string): string {
  let out = text;
  for (const secret of [...registered].sort((a, b) => b.length - a.length))
    out = out.replaceAll(secret, REDACTED);
  return out.replace(/(mongodb(?:\+srv)?:\/\/)[^\s@/]+@/g, `$1${REDACTED}@`);
}
