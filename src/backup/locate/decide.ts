/**
 * The one decision between backups, for `plan backups` and for every command that reads one: of the newest that have the
 * same time by their names, which is taken, and why.
 */
import { RestorePlanError } from '../../errors.ts';
import { settingOf } from '../../plan/sources/sources.ts';
import { showInstant } from './backup-time.ts';
import { type Candidate, earliest } from './candidates.ts';
import type { Inspected, Search } from './inspect.ts';
import { isPattern } from './search-template.ts';

export type Decision =
  /** `because`: what decided between several of one time. */
  | { readonly kind: 'taken'; readonly one: Inspected; readonly because: string | undefined }
  | { readonly kind: 'refused'; readonly error: RestorePlanError }
  /** None of them can serve, and none stands in the way: the next older ones are looked at. */
  | { readonly kind: 'none' };

/** Candidates of one time that are opened; every one costs some requests. */
export const OPENED_OF_ONE_TIME = 40;

/** Candidates, newest first, in groups that have the same time by their names; without a time, all are one group. */
export function sameTimes<T extends Candidate>(candidates: readonly T[]): T[][] {
  const groups: T[][] = [];
  for (const candidate of candidates) {
    const last = groups.at(-1);
    if (last?.[0] !== undefined && earliest(last[0]) === earliest(candidate)) last.push(candidate);
    else groups.push([candidate]);
  }
  return groups;
}

/** `same` have one time by their names. `areMore`: there are more of it than were looked into. */
export function decide(same: readonly Inspected[], search: Search, areMore: boolean): Decision {
  const there = same.filter(({ inspection }) => inspection.kind !== 'absent');
  const [first] = there;
  if (first === undefined) return { kind: 'none' };
  const { template } = search.backups;
  if (isPattern(template) && template.fields.length === 0 && there.length > 1)
    return refused(there, search, 'and nothing says which to take', areMore);
  const serving: Inspected[] = [];
  for (const one of there) {
    const { kind } = one.inspection;
    // A backup named in full is the one that is meant; what it lacks shows when it is read.
    if (isPattern(template) && (kind === 'lacks' || kind === 'foreign')) continue;
    if ('error' in one.inspection) return { kind: 'refused', error: one.inspection.error };
    serving.push(one);
  }
  const [only] = serving;
  if (only === undefined) return { kind: 'none' };
  if (areMore) return refused(serving, search, 'and there are too many', true);
  return serving.length === 1 ? { kind: 'taken', one: only, because: undefined } : byFinish(serving, search);
}

const HOUR = 3_600_000;
/** Milliseconds that the finest field of a name leaves open. */
const OPEN = {
  year: 8784 * HOUR,
  month: 744 * HOUR,
  day: 24 * HOUR,
  hour: HOUR,
  minute: 60_000,
  second: 1000,
};
/** A backup is finished and stored within a day. */
const LONGEST_RUN = 24 * HOUR;
/** Copies of several backups, made one after the other, are nearer to each other than backups. */
const APART = 60_000;

/** The last to be finished at or before `at`, where the times of the files can be those of the backups. */
function byFinish(same: readonly Inspected[], search: Search): Decision {
  const { source } = search;
  const { template, timezone } = search.backups;
  const open = OPEN[template.fields.at(-1) ?? 'second'];
  const finished = same.map((one) => ({ one, at: finishOf(one) })).sort((a, b) => b.at - a.at);
  const isSound = finished.every(({ one, at }, i) => {
    const start = earliest(one.candidate);
    const newer = finished[i - 1]?.at ?? Number.POSITIVE_INFINITY;
    return at >= start && at <= start + open + LONGEST_RUN && newer - at >= APART;
  });
  if (!isSound) {
    return refused(same, search, 'and when they were finished does not tell which is the newest');
  }
  const moment = source.at?.epochMs ?? Number.POSITIVE_INFINITY;
  const last = finished.find(({ at }) => at <= moment);
  if (last === undefined) {
    return refused(same, search, 'and none of them was finished at or before source.at');
  }
  const others = finished.filter((other) => other !== last).map(({ one }) => one.location);
  const because = `of the same time by its name as ${others.join(', ')}, and the last that was finished at or before source.at, at ${showInstant(last.at, timezone)}`;
  return { kind: 'taken', one: last.one, because };
}

/** UTC milliseconds; NaN where nobody knows. */
function finishOf({ inspection }: Inspected): number {
  const modified = 'backup' in inspection ? inspection.backup.identity.modified : undefined;
  return modified ?? Number.NaN;
}

/** Backups that a refusal lists. */
const NAMED = 5;

function refused(
  same: readonly Inspected[],
  { source, backups }: Search,
  why: string,
  areMore = false,
): Decision {
  const { template, timezone } = backups;
  const shown = same.slice(0, NAMED).map((one) => {
    const at = finishOf(one);
    return Number.isNaN(at) ? one.location : `${one.location} (finished ${showInstant(at, timezone)})`;
  });
  const more = same.length > NAMED ? ', …' : '';
  const match = template.fields.length === 0 ? 'match' : 'have the same time by their names';
  const one = `${settingOf(source.location)}: ${JSON.stringify(same[0]?.candidate.path)}`;
  const error = new RestorePlanError(
    'BACKUP',
    `${areMore ? 'More than ' : ''}${same.length} backups ${match}, ${why}: ${shown.join(', ')}${more}.`,
    {
      hint: `Name one of them in full, as in ${one}; or let the template say more of the name, with a {time:…} that tells them apart.`,
      facts: { backups: same.map(({ location }) => location) },
    },
  );
  return { kind: 'refused', error };
}
