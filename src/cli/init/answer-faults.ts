/** What is wrong with an answer to `plan init`; undefined when it can be used. */
import { isAbbreviation, isTimeZone, nearTimeZone, parseInstant } from '../../plan/instant.ts';
import { parseLocationTemplate } from '../../plan/location-template.ts';
import type { StoreKind } from '../../plan/sources/source-kind.ts';
import { type DraftLocation, STORES, type StoreLocation, storeTyped } from '../../plan/sources/stores.ts';
import { compileQuery } from '../../query/compile-query.ts';
import { parseQuery } from '../../query/parse-query.ts';
import { QueryFault } from '../../query/query-fault.ts';

export function nameFault(name: string): string | undefined {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name)) return undefined;
  return 'not a name: expected letters, digits, dots, dashes and underscores, at most 100';
}

export function sourceFault(source: string): string | undefined {
  const known = Object.values(STORES).map((store: StoreKind<StoreLocation, DraftLocation>) =>
    store.typedFault?.(source),
  );
  const fault = known.find((each) => each !== undefined);
  if (fault !== undefined) return fault;
  const template = parseLocationTemplate(storeTyped(source).typedTemplate(source) ?? source);
  return 'fault' in template ? `${template.fault.message}; expected ${template.fault.expected}` : undefined;
}

export function zoneFault(zone: string): string | undefined {
  if (isTimeZone(zone)) return undefined;
  if (isAbbreviation(zone))
    return 'an abbreviation can mean several time zones; it is a name such as America/New_York';
  const near = nearTimeZone(zone);
  return `there is no such time zone${near === undefined ? '; it is a name such as America/New_York' : `; did you mean ${near}?`}`;
}

export function instantFault(text: string): string | undefined {
  const reading = parseInstant(text);
  return 'instant' in reading ? undefined : `${reading.message}; expected ${reading.expected}`;
}

export function queryFault(text: string): string | undefined {
  try {
    compileQuery(parseQuery(text));
    return undefined;
  } catch (error) {
    if (error instanceof QueryFault) return error.message;
    throw error;
  }
}
