/**
 * Which backup serves the plan: the newest at or before `at` that holds every wanted collection.
 *
 * A candidate that merely lacks collections is passed over, and that is said. Anything else that is wrong with one
 * stops the search: silently taking an older backup instead of a damaged one would restore older data.
 */
import { RestorePlanError } from '../../errors.ts';
import type { Emit } from '../../events.ts';
import type { LocationTemplate } from '../../plan/location-template.ts';
import type { StoredBackup } from '../backup.ts';
import type { Store } from '../storage/store.ts';
import { showInstant } from './backup-time.ts';
import { type Candidate, type Candidates, earliest, findCandidates } from './candidates.ts';
import { type InspectOptions, inspect } from './inspect.ts';
import { fixedFolder, isPattern } from './search-template.ts';

/** Candidates that are opened before the search is given up; every one costs some requests. */
const OPENED_AT_MOST = 40;

export interface ChooseOptions extends InspectOptions {
  readonly emit: Emit;
}

export async function chooseBackup(options: ChooseOptions): Promise<StoredBackup> {
  const { place, source } = options;
  const { store, template } = place;
  const found = await findCandidates(store, { ...place, at: source.at?.epochMs });
  if (isPattern(template) && template.fields.length === 0) assertOne(found, store);
  const passedOver: string[] = [];
  for (const [i, candidate] of found.before.slice(0, OPENED_AT_MOST).entries()) {
    const inspection = await inspect(candidate, options);
    if (inspection.kind === 'absent') continue;
    // A backup named in full is the one that is meant; what it lacks shows when it is read.
    if (isPattern(template) && (inspection.kind === 'lacks' || inspection.kind === 'foreign')) {
      const location = store.describe(candidate.path);
      const what =
        inspection.kind === 'lacks' ? inspection.missing.join(', ') : `the database ${source.database}`;
      passedOver.push(`${location} was passed over: it does not hold ${what}.`);
      continue;
    }
    if ('error' in inspection) throw inspection.error;
    for (const message of passedOver) options.emit({ type: 'warning', message });
    warnIfFinishedLate(inspection.backup, found.before[i + 1], options);
    return inspection.backup;
  }
  if (passedOver.length > 0) throw noneHolds(passedOver, options);
  throw await noBackup(found, options);
}

function assertOne({ before, total }: Candidates, store: Store): void {
  if (total <= 1) return;
  const names = before.slice(0, 5).map(({ path }) => store.describe(path));
  throw new RestorePlanError(
    'BACKUP',
    `${total} backups match, and nothing says which to take: ${names.join(', ')} …`,
    {
      hint: 'Replace * by the name of one of them, or by {time:…} together with source.at.',
    },
  );
}

/** The dump may have read a collection after the last good moment, although it began before it. */
function warnIfFinishedLate(
  { identity }: StoredBackup,
  older: Candidate | undefined,
  { source, place, emit }: ChooseOptions,
): void {
  const { at } = source;
  const { store, timezone } = place;
  if (at === undefined || identity.modified === undefined || identity.modified <= at.epochMs) return;
  const next =
    older === undefined ? 'There is no older one.' : `The next older one is ${store.describe(older.path)}.`;
  emit({
    type: 'warning',
    message: `${identity.location} was finished at ${showInstant(identity.modified, timezone)}, after source.at: it may have read a collection after the loss. ${next}`,
  });
}

function noneHolds(passedOver: readonly string[], { wanted }: InspectOptions): RestorePlanError {
  return new RestorePlanError(
    'BACKUP',
    `None of the ${passedOver.length} newest backups at or before source.at holds ${[...wanted].join(', ')}. ${passedOver[0]}`,
    { hint: 'Correct the collection names in the plan; `plan backups` shows which backup holds what.' },
  );
}

async function noBackup(
  found: Candidates,
  { place, source: { at } }: ChooseOptions,
): Promise<RestorePlanError> {
  const { store, template, timezone } = place;
  const folder = fixedFolder(template);
  if (!isPattern(template)) return missing(store.describe(literalPath(template)));
  if (found.total === 0) {
    if (folder !== '' && (await store.find(folder)) === undefined) return missing(store.describe(folder));
    return new RestorePlanError(
      'BACKUP',
      `Nothing below ${store.describe(folder)} matches the template of the plan's source.`,
      {
        hint: 'Compare the template with the names that are there; `plan backups` helps.',
      },
    );
  }
  const nearest = found.after[0];
  const moment = at === undefined ? '' : ` at or before ${showInstant(at.epochMs, timezone)}`;
  const next =
    nearest === undefined
      ? ''
      : `; the next one after it is ${store.describe(nearest.path)}, ${showInstant(earliest(nearest), timezone)}`;
  return new RestorePlanError(
    'BACKUP',
    `There is no backup${moment}; ${found.total} match the template${next}.`,
    { hint: 'Check source.at and source.timezone; `plan backups` lists what is there.' },
  );
}

function missing(location: string): RestorePlanError {
  return new RestorePlanError('BACKUP', `${location} does not exist.`, {
    hint: 'Correct source.path or source.s3 in the plan; a relative path starts at the folder of the plan file.',
  });
}

function literalPath({ parts }: LocationTemplate): string {
  return parts.map((part) => (part.kind === 'literal' ? part.text : '*')).join('');
}
