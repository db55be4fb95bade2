/**
 * What the driver has against a connection string.
 *
 * Alone because: it loads the driver, and nothing else of this program, for a plan that is only checked.
 */
import { MongoClient } from 'mongodb';
import type { ConnectionString } from './connection-url.ts';

/** Settings whose values nobody is to read. */
const PRIVATE = /password|properties|token/i;

/** In the driver's words, without credentials; undefined where it takes it. Connects to nothing. */
export function refusalOf(parsed: ConnectionString): string | undefined {
  try {
    new MongoClient(parsed.toString());
    return undefined;
  } catch (error) {
    const message = (error as Error).message;
    const { username, password } = parsed;
    const hidden = [...parsed.searchParams]
      .flatMap(([name, value]) => (PRIVATE.test(name) ? [value] : []))
      .concat(username, decodeURIComponent(username), password, decodeURIComponent(password))
      .filter((text) => text !== '');
    return hidden.some((text) => message.includes(text))
      ? 'it has a setting that the driver refuses'
      : message;
  }
}
