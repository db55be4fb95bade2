/** `plan backups`: the backups around the wanted moment, what each holds, which one is taken and why the others are not. */
import type { Source } from '../plan/plan.ts';
import { showDuration, showInstant, showLocal } from './locate/backup-time.ts';
import { type Candidate, earliest, findCandidates } from './locate/candidates.ts';
import { decides, type Inspection, type InspectOptions, inspect } from './locate/inspect.ts';
import { type BackupOptions, placeOf, type StoredSource } from './place.ts';
import type { Store } from './storage/store.ts';

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
}

/** How many are shown, and opened to see what they hold. */
const SHOWN_BEFORE = 12;
const SHOWN_AFTER = 3;
const INSPECTED_AT_ONCE = 4;

export async function listBackups(source: StoredSource, options: BackupOptions): Promise<BackupListing> {
  const place = placeOf(source, options);
  const { store, timezone, template } = place;
  try {
    const found = await findCandidates(store, { template, timezone, at: source.at?.epochMs });
    const at = source.at?.epochMs;
    const row = (
      candidate: Candidate,
    ): Pick<ListedBackup, 'location' | 'time' | 'localTime' | 'beforeAtMs'> => {
      const time = candidate.time?.kind === 'once' ? candidate.time.epochMs : undefined;
      return {
        location: store.describe(candidate.path),
        time,
        localTime: time === undefined ? undefined : showLocal(time, timezone),
        beforeAtMs: at === undefined || candidate.time === undefined ? undefined : at - earliest(candidate),
      };
    };
    const later = found.after.slice(0, SHOWN_AFTER).map((candidate) => ({
      ...row(candidate),
      ...NOT_OPENED,
      reason: 'later than source.at',
    }));
    const earlier: ListedBackup[] = [];
    let decided: Inspection['kind'] | undefined;
    const shown = found.before.slice(0, SHOWN_BEFORE);
    const inspections = await inspectAll(shown, { place, source, wanted: options.wanted });
    for (const [i, candidate] of shown.entries()) {
      const inspection = inspections[i] as Inspection;
      const chosen = decided === undefined && inspection.kind === 'usable';
      const reason = chosen
        ? chosenBecause(inspection, { source, timezone, older: locationOf(found.before[i + 1], store) })
        : rejectedBecause(inspection, decided);
      earlier.push({ ...row(candidate), ...contentsOf(inspection, options.wanted), chosen, reason });
      if (decides(inspection)) decided ??= inspection.kind;
    }
    return { timezone, at, total: found.total, backups: [...later.reverse(), ...earlier] };
  } finally {
    await store.close();
  }
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

/** In the order of the candidates; some at a time, since each takes several round trips to a bucket. */
async function inspectAll(
  candidates: readonly Candidate[],
  options: InspectOptions,
): Promise<readonly Inspection[]> {
  const inspections: Inspection[] = [];
  const waiting = candidates.entries();
  const work = async (): Promise<void> => {
    for (const [i, candidate] of waiting) inspections[i] = await inspect(candidate, options);
  };
  await Promise.all(Array.from({ length: INSPECTED_AT_ONCE }, work));
  return inspections;
}

function locationOf(candidate: Candidate | undefined, store: Store): string | undefined {
  return candidate && store.describe(candidate.path);
}

interface Reasons {
  readonly source: Source;
  readonly timezone: string;
  /** Where the next older one lies. */
  readonly older: string | undefined;
}

function chosenBecause(
  inspection: Inspection & { kind: 'usable' },
  { source: { at }, timezone, older }: Reasons,
): string {
  const { modified, time } = inspection.backup.identity;
  const held = inspection.unknown.length === 0 ? ' that holds every wanted collection' : '';
  const why = time === undefined ? 'the one that is named' : `the newest at or before source.at${held}`;
  const unknown = inspection.unknown.length === 0 ? '' : '; what it holds shows only when it is read through';
  const late =
    at === undefined || modified === undefined || modified <= at.epochMs
      ? ''
      : `; but it was finished ${showDuration(modified - at.epochMs)} after source.at, at ${showInstant(modified, timezone)}: it may have read a collection after the loss; ${older === undefined ? 'there is no older one' : `the next older one is ${older}`}`;
  return `chosen: ${why}${unknown}${late}`;
}

function rejectedBecause(inspection: Inspection, decided: Inspection['kind'] | undefined): string {
  switch (inspection.kind) {
    case 'usable':
      return decided === 'usable'
        ? 'a newer one serves'
        : 'not taken silently in place of the newer one above';
    case 'lacks':
      return `lacks ${inspection.missing.join(', ')}`;
    case 'absent':
      return 'there is nothing at this path';
    default:
      return inspection.error.message;
  }
}
