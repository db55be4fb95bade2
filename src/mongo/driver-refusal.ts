/**
 * What the driver has against a connection string.
 *
 * Alone because: it loads the driver, and nothing else of this program, for a plan that is only checked.
 */
import { MongoClient } from 'mongodb';
import type { ConnectionString } from './connection-url.ts';

/** Settings whose values nobody is to read. */
const PRIVATE = /password|properties|token/i;

/** In the driver's words, unless they may hold something secret; undefined where it takes it. Connects to nothing. */
export function refusalOf(parsed: ConnectionString): string | undefined {
  try {
    new MongoClient(parsed.toString());
    return undefined;
  } catch (error) {
    const message = (error as Error).message;
    const { password, searchParams } = parsed;
    // Of a secret that was not escaped, a part may have become a setting; and the driver writes names in lower case.
    const tells =
      [...searchParams.keys()].some((name) => PRIVATE.test(name)) ||
      [password, decodeURIComponent(password)].some(
        (text) => text !== '' && message.toLowerCase().includes(text.toLowerCase()),
      );
    return tells ? 'it has a setting that the driver refuses' : message;
  }
}
