/** Opens one candidate and says whether it can serve the plan; and if not, why not. */
import { advice } from '../../advice.ts';
import { RestorePlanError } from '../../errors.ts';
import type { Source } from '../../plan/plan.ts';
import { showDuration } from '../../text/quantities.ts';
import type { StoredBackup } from '../backup.ts';
import type { BackupStore } from '../backup-store.ts';
import { isOfOtherDatabases } from '../readers/refusals.ts';
import type { Candidate, Unplaced } from './candidates.ts';
import { showFields, showInstant, showLocal } from './search-template.ts';

export type Inspection =
  /** `unknown`: only reading all of it would tell whether it holds these. */
  | { readonly kind: 'usable'; readonly backup: StoredBackup; readonly unknown: readonly string[] }
  | { readonly kind: 'lacks'; readonly backup: StoredBackup; readonly missing: readonly string[] }
  /** Its name's time happened twice or never: nobody can say whether it is the right one. */
  | { readonly kind: 'undecided'; readonly error: RestorePlanError }
  | { readonly kind: 'too old'; readonly error: RestorePlanError }
  /** It is a backup of other databases. */
  | { readonly kind: 'foreign'; readonly error: RestorePlanError }
  /** A folder matched, but what should lie in it does not. */
  | { readonly kind: 'absent' }
  /** It is there and cannot be used: cut off, damaged, not readable. */
  | { readonly kind: 'unfit'; readonly error: RestorePlanError };

export interface Inspected {
  readonly candidate: Candidate;
  /** How messages name it. */
  readonly location: string;
  readonly inspection: Inspection;
}

/** Where is looked, for which plan. */
export interface Search {
  readonly backups: BackupStore;
  readonly source: Source;
  readonly wanted: ReadonlySet<string>;
}

async function inspect(candidate: Candidate, { backups, source, wanted }: Search): Promise<Inspection> {
  const { timezone } = backups;
  const { time, path } = candidate;
  const location = backups.store.describe(path);
  if (time !== undefined && time.kind !== 'once') {
    return { kind: 'undecided', error: undecided(location, time, timezone) };
  }
  const tooOld = time === undefined ? undefined : ageFault(location, time.epochMs, source);
  if (tooOld !== undefined) return { kind: 'too old', error: tooOld };
  try {
    const when = time && { time: time.epochMs, localTime: showLocal(time.epochMs, timezone) };
    const backup = await backups.open(candidate, when);
    if (backup === undefined) return { kind: 'absent' };
    const held = [...wanted].map((name) => [name, backup.holds(name)] as const);
    const missing = held.filter(([, holds]) => holds === false).map(([name]) => name);
    if (missing.length > 0) return { kind: 'lacks', backup, missing };
    return {
      kind: 'usable',
      backup,
      unknown: held.filter(([, holds]) => holds === undefined).map(([name]) => name),
    };
  } catch (error) {
    if (!(error instanceof RestorePlanError) || error.code !== 'BACKUP') throw error;
    return { kind: isOfOtherDatabases(error) ? 'foreign' : 'unfit', error };
  }
}

/** Looked at together; each takes several round trips to a bucket. */
const AT_ONCE = 4;

/** In the order of the candidates. */
export async function inspectAll(
  candidates: readonly Candidate[],
  search: Search,
): Promise<readonly Inspected[]> {
  const { store } = search.backups;
  const inspected: Inspected[] = [];
  const waiting = candidates.entries();
  const work = async (): Promise<void> => {
    for (const [i, candidate] of waiting) {
      const inspection = await inspect(candidate, search);
      inspected[i] = { candidate, location: store.describe(candidate.path), inspection };
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return inspected;
}

/** Why a name that tells no possible time cannot be placed. */
export function whyUnplaced({ fields }: Unplaced): string {
  return `there is no ${showFields(fields)} in any zone`;
}

function undecided(
  location: string,
  { kind, readings }: Exclude<NonNullable<Candidate['time']>, { kind: 'once' }>,
  timezone: string,
): RestorePlanError {
  const [earlier, later] = readings.map((reading) => showInstant(reading, timezone)) as [string, string];
  const why =
    kind === 'twice'
      ? `the clocks of ${timezone} went back, so the time in its name happened twice: ${earlier} and ${later}`
      : `the clocks of ${timezone} went forward, so the time in its name never happened: it may mean ${earlier} or ${later}`;
  return new RestorePlanError('BACKUP', `${location} cannot be placed in time: ${why}.`, {
    hint: 'Check source.timezone. To use this backup all the same, name it in full instead of by {time:…}; to pass it over, choose an earlier source.at.',
    facts: { readings: readings.map((reading) => new Date(reading).toISOString()) },
  });
}

function ageFault(location: string, time: number, { at, maxAgeMs }: Source): RestorePlanError | undefined {
  if (at === undefined || maxAgeMs === undefined || at.epochMs - time <= maxAgeMs) return undefined;
  const age = showDuration(at.epochMs - time);
  return new RestorePlanError(
    'BACKUP',
    `${location} was taken ${age} before source.at; source.maxAge allows ${showDuration(maxAgeMs)}.`,
    { hint: advice`Look with ${{ command: 'backups' }} why no newer one is there, or raise source.maxAge.` },
  );
}
