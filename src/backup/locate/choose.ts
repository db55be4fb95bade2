/**
 * Which backup serves the plan: the newest at or before `at` that holds every wanted collection.
 *
 * A candidate that merely lacks collections is passed over, and that is said. Anything else that is wrong with one
 * stops the search: silently taking an older backup instead of a damaged one would restore older data.
 */
import { advice } from '../../advice.ts';
import { RestorePlanError } from '../../errors.ts';
import type { LocationTemplate } from '../../plan/location-template.ts';
import { nearest } from '../../plan/nearest.ts';
import type { Source } from '../../plan/plan.ts';
import { settingOf } from '../../plan/sources/sources.ts';
import { STORE_KEYS } from '../../plan/sources/stores.ts';
import type { Run } from '../../run.ts';
import { showCounted } from '../../text/quantities.ts';
import type { StoredBackup } from '../backup.ts';
import { type Candidate, type Candidates, earliest, findCandidates } from './candidates.ts';
import { type Inspected, type Inspection, inspectAll, type Search, whyUnplaced } from './inspect.ts';
import { fixedFolder, isPattern, showInstant } from './search-template.ts';

/** Candidates that are opened before the search is given up; every one costs some requests. */
const OPENED_AT_MOST = 40;

export async function chooseBackup(run: Run, search: Search): Promise<StoredBackup> {
  const { backups, source } = search;
  const { emit } = run;
  const found = await findCandidates(backups.store, { ...backups, at: source.at?.epochMs });
  warnOfUnplaced(found, run, search);
  const passedOver: PassedOver[] = [];
  let opened = 0;
  for (const group of sameTimes(found.before)) {
    if (opened >= OPENED_AT_MOST) break;
    const same = await inspectAll(group.slice(0, OPENED_OF_ONE_TIME), search);
    opened += same.length;
    const decision = decide(same, search, group.length > same.length);
    if (decision.kind === 'refused')
      throw passedOver.length === 0 ? decision.error : await noneServes(passedOver, decision.error);
    for (const { location, inspection } of same)
      if (inspection.kind === 'lacks' || inspection.kind === 'foreign')
        passedOver.push({ location, inspection });
    if (decision.kind === 'none') continue;
    const { one, because } = decision;
    if (!('backup' in one.inspection)) continue;
    for (const each of passedOver)
      if (each.inspection !== one.inspection) emit({ type: 'warning', message: whyPassedOver(each, source) });
    if (because !== undefined) emit({ type: 'warning', message: `${one.location} was taken: ${because}.` });
    const { backup } = one.inspection;
    warnIfFinishedLate(backup, found.before[found.before.indexOf(one.candidate) + 1], run, search);
    return backup;
  }
  if (passedOver.length > 0) throw await noneServes(passedOver);
  throw await noBackup(found, search);
}

/** One of them may be the one that is meant: an older one is not taken without a word. */
function warnOfUnplaced({ unplaced }: Candidates, { emit }: Run, { backups: { store } }: Search): void {
  if (unplaced.length === 0) return;
  const named = unplaced.slice(0, NAMED).map((one) => `${store.describe(one.path)} (${whyUnplaced(one)})`);
  const more = unplaced.length > NAMED ? ', …' : '';
  const were = unplaced.length === 1 ? 'was' : 'were';
  emit({
    type: 'warning',
    message: `${showCounted(unplaced.length, 'backup')} cannot be placed in time and ${were} passed over: ${named.join(', ')}${more}. To use one all the same, name it in full instead of by {time:…}.`,
  });
}

/** A backup without what the plan needs. */
interface PassedOver {
  readonly location: string;
  readonly inspection: Extract<Inspection, { readonly kind: 'lacks' | 'foreign' }>;
}

function whyPassedOver({ location, inspection }: PassedOver, { database }: Source): string {
  const what = inspection.kind === 'lacks' ? inspection.missing.join(', ') : `the database ${database}`;
  return `${location} was passed over: it does not hold ${what}.`;
}

/** The dump may have read a collection after the last good moment, although it began before it. */
function warnIfFinishedLate(
  { identity }: StoredBackup,
  older: Candidate | undefined,
  { emit }: Run,
  { source, backups }: Search,
): void {
  const { at } = source;
  const { store, timezone } = backups;
  if (at === undefined || identity.modified === undefined || identity.modified <= at.epochMs) return;
  const next =
    older === undefined ? 'There is no older one.' : `The next older one is ${store.describe(older.path)}.`;
  emit({
    type: 'warning',
    message: `${identity.location} was finished at ${showInstant(identity.modified, timezone)}, after source.at: it may have read a collection after the loss. ${next}`,
  });
}

/**
 * Says what the newest of them lacks: the others were looked at only because of that, and so was the older one that ended the search
 * with `end`.
 */
async function noneServes(
  passedOver: readonly PassedOver[],
  end?: RestorePlanError,
): Promise<RestorePlanError> {
  const count = passedOver.length;
  const { location, inspection } = passedOver[0] as PassedOver;
  const older = end === undefined ? '' : ` No older one is taken: ${end.message}`;
  const only = end === undefined ? 'The only backup' : 'The newest backup';
  const which = count === 1 ? only : `None of the ${count} newest backups`;
  const start = `${which} at or before source.at ${count === 1 ? 'does not serve' : 'serves'} the plan.`;
  if (inspection.kind === 'foreign') {
    // The refusal of a database that is not there lists those that are, for people and for programs.
    const { message, advice: hint, facts } = inspection.error;
    return new RestorePlanError('BACKUP', `${start} ${message}${older}`, { hint, facts });
  }
  const { backup, missing } = inspection;
  const held = ((await backup.collections()) ?? []).map(({ collection }) => collection);
  const near = missing.flatMap((name) => nearest(name, held) ?? []);
  const suggestion =
    near.length === 0 ? 'Correct the collection names in the plan;' : `Did you mean ${near.join(', ')}?`;
  return new RestorePlanError('BACKUP', `${start} ${location} does not hold ${missing.join(', ')}.${older}`, {
    hint: advice`${suggestion} ${{ command: 'backups' }} shows which backup holds what.`,
    facts: { missing },
  });
}

async function noBackup(found: Candidates, { backups, source: { at } }: Search): Promise<RestorePlanError> {
  const { store, template, timezone } = backups;
  const folder = fixedFolder(template);
  if (!isPattern(template)) return missing(store.describe(literalPath(template)));
  if (found.total === 0) {
    if (folder !== '' && (await store.find(folder)) === undefined) return missing(store.describe(folder));
    return new RestorePlanError(
      'BACKUP',
      `Nothing below ${store.describe(folder)} matches the template of the plan's source.`,
      {
        hint: advice`Compare the template with the names that are there; ${{ command: 'backups' }} helps.`,
        facts: NOT_THERE,
      },
    );
  }
  const [newest] = found.before;
  if (newest !== undefined) {
    const others = found.before.length > 1 ? ', nor at any older place that matches the template' : '';
    return new RestorePlanError('BACKUP', `There is nothing at ${store.describe(newest.path)}${others}.`, {
      hint: advice`The folder of that time is there: correct what follows {time:…} in the template; ${{ command: 'backups' }} lists what matches.`,
    });
  }
  const [later] = found.after;
  const moment = at === undefined ? '' : ` at or before ${showInstant(at.epochMs, timezone)}`;
  const next =
    later === undefined
      ? ''
      : `; the next one after it is ${store.describe(later.path)}, ${showInstant(earliest(later), timezone)}`;
  return new RestorePlanError(
    'BACKUP',
    `There is no backup${moment}; ${found.total} match the template${next}.`,
    {
      hint: advice`Check source.at and the time zone; ${{ command: 'backups' }} lists what is there.`,
      facts: NOT_THERE,
    },
  );
}

/** Of the refusal of a backup that is not there, or not any longer. */
const NOT_THERE = { isMissing: true };

export function isNotThere(error: unknown): error is RestorePlanError {
  return error instanceof RestorePlanError && error.code === 'BACKUP' && error.facts['isMissing'] === true;
}

function missing(location: string): RestorePlanError {
  return new RestorePlanError('BACKUP', `${location} does not exist.`, {
    hint: `Correct ${STORE_KEYS} in the plan; a relative path starts at the folder of the plan file.`,
    facts: NOT_THERE,
  });
}

function literalPath({ parts }: LocationTemplate): string {
  return parts.map((part) => (part.kind === 'literal' ? part.text : '*')).join('');
}

// The one decision between backups, for `plan backups` and for every command that reads one: of the newest that have the
// same time by their names, which is taken, and why.

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

/** Backups that a message lists. */
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
