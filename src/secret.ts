/**
 * A value that must never be shown: a connection string, a webhook key.
 *
 * It prints as `[redacted]` whichever way it is turned into text. Every revealed form is also registered, so that the
 * process edge can strike it out of any byte that leaves the program (the last line of defence, not the first).
 */
import { inspect } from 'node:util';

const registered = new Set<string>();
const REDACTED = '[redacted]';
/** Anything shorter would blank out ordinary words. */
const LEAST_CHARACTERS = 6;
/** A part of an address as long as this is a key, not a word. */
const KEY_CHARACTERS = 16;

export class Secret {
  readonly #value: string;
  /** The environment variable that held it, where that is known. */
  readonly variable: string | undefined;

  constructor(value: string, variable?: string) {
    this.#value = value;
    this.variable = variable;
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
 * Registers a value (at least 6 characters) to be struck from all output, and of an address what makes it secret: the password
 * of a connection string, as it is written and decoded, the path of a webhook and the keys in it.
 */
export function registerSecret(value: string): void {
  if (value.length < LEAST_CHARACTERS) return;
  registered.add(value);
  const path = /^https?:\/\/[^/]+(\/.{5,})$/is.exec(value)?.[1];
  if (path !== undefined) {
    registered.add(path);
    for (const part of path.split(/[/?&=]/)) if (part.length >= KEY_CHARACTERS) registered.add(part);
  }
  const password = /^[a-z0-9+.-]+:\/\/[^/@]*?:([^@/]+)@/i.exec(value)?.[1];
  if (password === undefined) return;
  for (const form of [password, decoded(password)]) if (form.length >= LEAST_CHARACTERS) registered.add(form);
}

function decoded(password: string): string {
  try {
    return decodeURIComponent(password);
  } catch {
    // Not percent-encoded: as it is written is the only form.
    return password;
  }
}

/** Strikes every registered secret, and the credentials of any MongoDB connection string, out of a text. */
export function redact(text: string): string {
  let out = text;
  for (const secret of [...registered].sort((a, b) => b.length - a.length))
    out = out.replaceAll(secret, REDACTED);
  return out.replace(/(mongodb(?:\+srv)?:\/\/)[^\s@/]+@/g, `$1${REDACTED}@`);
}
