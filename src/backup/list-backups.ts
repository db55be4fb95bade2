/** `plan backups`: the backups around the wanted moment, what each holds, which one is taken and why the others are not. */

import type { RestorePlanError } from '../errors.ts';
import type { Run } from '../run.ts';
import { showDuration } from '../text/quantities.ts';
import { type BackupOptions, openBackupStore, type StoredSource } from './backup-store.ts';
import type { SingleBackup } from './layout/one-backup.ts';
import { type Candidate, type Candidates, earliest, findCandidates } from './locate/candidates.ts';
import { type Decision, decide, OPENED_OF_ONE_TIME, sameTimes } from './locate/choose.ts';
import { type Inspected, type Inspection, inspectAll, type Search, whyUnplaced } from './locate/inspect.ts';
import { showInstant, showLocal } from './locate/search-template.ts';

export interface ListedBackup {
  readonly location: string;
  /** UTC milliseconds by the name; undefined where the name has no time, or one that happened twice or never. */
  readonly time: number | undefined;
  /** The same in the zone of the names. */
  readonly localTime: string | undefined;
  /** Milliseconds from the backup to `at`; negative = it is later. */
  readonly beforeAtMs: number | undefined;
  readonly kind: string | undefined;
  readonly size: number | undefined;
  /** When it was finished, UTC milliseconds. */
  readonly modified: number | undefined;
  /** For each wanted collection; undefined = only reading all of it would tell. Empty when it was not opened. */
  readonly holds: readonly { readonly collection: string; readonly held: boolean | undefined }[];
  readonly chosen: boolean;
  /** Why it is taken, or why not. */
  readonly reason: string;
}

export interface BackupListing {
  /** Zone of the times in names. */
  readonly timezone: string;
  readonly at: number | undefined;
  /** Everything that matches the template. */
  readonly total: number;
  /** The nearest ones, newest first. */
  readonly backups: readonly ListedBackup[];
  /** Those whose names tell a time that there is in no zone, and why; the first of very many. */
  readonly unplaced: readonly Pick<ListedBackup, 'location' | 'reason'>[];
  /** Why every command that needs one of them refuses to choose. */
  readonly refusal: RestorePlanError | undefined;
}

/** How many are shown, and opened to see what they hold. */
const SHOWN_BEFORE = 12;
const SHOWN_AFTER = 3;

export async function listBackups(
  run: Run,
  source: StoredSource,
  options: BackupOptions,
): Promise<BackupListing> {
  const backups = await openBackupStore(run, source, options);
  const { store, timezone, template } = backups;
  try {
    const at = source.at?.epochMs;
    const found = await findCandidates(store, { template, timezone, at });
    const listing: Listing = { backups, source, wanted: options.wanted, found };
    const later = found.after.slice(0, SHOWN_AFTER).map((candidate) => ({
      ...rowOf(candidate, listing),
      ...NOT_OPENED,
      reason: 'later than source.at',
    }));
    const earlier: ListedBackup[] = [];
    let newer: Decision = { kind: 'none' };
    for (const group of sameTimes(found.before)) {
      if (earlier.length >= SHOWN_BEFORE) break;
      const same = await inspectAll(group.slice(0, OPENED_OF_ONE_TIME), listing);
      const decision: Decision =
        newer.kind === 'none' ? decide(same, listing, group.length > same.length) : newer;
      for (const one of same)
        earlier.push(...listed(one, { ...listing, decision, isNewer: decision === newer }));
      newer = decision;
    }
    const unplaced = found.unplaced.slice(0, SHOWN_BEFORE).map((one) => ({
      location: store.describe(one.path),
      reason: `cannot be placed in time: ${whyUnplaced(one)}`,
    }));
    const total = Math.max(found.total, later.length + earlier.length + unplaced.length);
    const refusal = newer.kind === 'refused' ? newer.error : undefined;
    return { timezone, at, total, backups: [...later.reverse(), ...earlier], unplaced, refusal };
  } finally {
    await store.close();
  }
}

interface Listing extends Search {
  readonly found: Candidates;
}

interface Decided extends Listing {
  readonly decision: Decision;
  /** It was about newer ones. */
  readonly isNewer: boolean;
}

function rowOf(
  candidate: Candidate,
  { backups: { store, timezone }, source }: Listing,
): Pick<ListedBackup, 'location' | 'time' | 'localTime' | 'beforeAtMs'> {
  const at = source.at?.epochMs;
  const time = candidate.time?.kind === 'once' ? candidate.time.epochMs : undefined;
  return {
    location: store.describe(candidate.path),
    time,
    localTime: time === undefined ? undefined : showLocal(time, timezone),
    beforeAtMs: at === undefined || candidate.time === undefined ? undefined : at - earliest(candidate),
  };
}

/** The row of a candidate; where it is several backups, a row for each. */
function listed(one: Inspected, decided: Decided): ListedBackup[] {
  const { candidate, inspection } = one;
  const { decision, isNewer, wanted } = decided;
  const row = rowOf(candidate, decided);
  const several = 'error' in inspection ? (inspection.error.facts['several'] as SingleBackup[]) : undefined;
  if (several !== undefined) {
    const reason = `one of ${several.length} backups at ${row.location}: the plan must name one of them`;
    return several.map(({ location, modified }) => ({ ...row, ...NOT_OPENED, location, modified, reason }));
  }
  const isTaken = !isNewer && decision.kind === 'taken' && decision.one === one;
  const chosen = isTaken && inspection.kind === 'usable';
  const reason = chosen
    ? chosenBecause(inspection, { ...decided, candidate, because: decision.because })
    : rejectedBecause(one, decided);
  return [{ ...row, ...contentsOf(inspection, wanted), chosen, reason }];
}

const NOT_OPENED = {
  kind: undefined,
  size: undefined,
  modified: undefined,
  holds: [],
  chosen: false,
} as const;

function contentsOf(
  inspection: Inspection,
  wanted: ReadonlySet<string>,
): Pick<ListedBackup, 'kind' | 'size' | 'modified' | 'holds'> {
  if (inspection.kind !== 'usable' && inspection.kind !== 'lacks') return NOT_OPENED;
  const { backup } = inspection;
  const { kind, size, modified } = backup.identity;
  return {
    kind,
    size,
    modified,
    holds: [...wanted].map((collection) => ({ collection, held: backup.holds(collection) })),
  };
}

interface Choice extends Listing {
  readonly candidate: Candidate;
  /** What decided between several of one time. */
  readonly because: string | undefined;
}

function chosenBecause(
  inspection: Inspection & { kind: 'usable' },
  { backups: { store, timezone }, source: { at }, found, candidate, because }: Choice,
): string {
  const next = found.before[found.before.indexOf(candidate) + 1];
  const older = next && store.describe(next.path);
  const { modified, time } = inspection.backup.identity;
  const held = inspection.unknown.length === 0 ? ' that holds every wanted collection' : '';
  const newest = `the newest at or before source.at${held}`;
  const why = time === undefined ? 'the one that is named' : (because ?? newest);
  const unknown = inspection.unknown.length === 0 ? '' : '; what it holds shows only when it is read through';
  const late =
    at === undefined || modified === undefined || modified <= at.epochMs
      ? ''
      : `; but it was finished ${showDuration(modified - at.epochMs)} after source.at, at ${showInstant(modified, timezone)}: it may have read a collection after the loss; ${older === undefined ? 'there is no older one' : `the next older one is ${older}`}`;
  return `chosen: ${why}${unknown}${late}`;
}

function rejectedBecause({ inspection }: Inspected, { decision, isNewer }: Decided): string {
  switch (inspection.kind) {
    case 'usable':
      if (isNewer && decision.kind !== 'none')
        return decision.kind === 'taken'
          ? 'a newer one serves'
          : 'not taken silently in place of the newer one above';
      if (decision.kind === 'refused') return 'not taken: nothing decides between it and others';
      return decision.kind === 'taken'
        ? `another one of the same time serves, ${decision.one.location}`
        : 'not taken';
    case 'lacks':
      return `lacks ${inspection.missing.join(', ')}`;
    case 'absent':
      return 'there is nothing at this path';
    default:
      return inspection.error.message;
  }
}
