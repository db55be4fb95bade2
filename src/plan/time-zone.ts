/** Names of IANA time zones, as the runtime knows them. */
import { nearest } from './nearest.ts';

/** Short names that mean one zone to everybody. */
const CLEAR = /^(?:UTC|GMT|UCT|Zulu|Cuba|Eire|GB|Iran|NZ|PRC|ROC|ROK)$/i;

/** The runtime takes BST for Dhaka's time, EST for Panama's, which has no summer, and NST for Auckland's. */
export function isAbbreviation(name: string): boolean {
  return /^[a-z]{2,4}$/i.test(name) && !CLEAR.test(name);
}

/** Whether it names an IANA zone. A bare offset is none: it knows nothing of daylight saving. */
export function isTimeZone(name: string): boolean {
  if (/^[+-]|\d:\d/.test(name) || isAbbreviation(name)) return false;
  // The list costs 2 ms, the first formatter 20; but only the formatter knows zones by their former names.
  if (Intl.supportedValuesOf('timeZone').includes(name)) return true;
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** A zone that may have been meant: the nearest name, or the zone whose city was given. */
export function nearTimeZone(name: string): string | undefined {
  const zones = Intl.supportedValuesOf('timeZone');
  const city = name.toLowerCase().replace(/[\s-]+/g, '_');
  return zones.find((zone) => zone.toLowerCase().endsWith(`/${city}`)) ?? nearest(name, zones);
}
