/** Where a plan's backups lie, by which names they go there, and how one of them is opened. */

import { RestorePlanError } from '../errors.ts';
import { type LocationTemplate, parseLocationTemplate } from '../plan/location-template.ts';
import type { Source } from '../plan/plan.ts';
import { type StoredLocation, storeLocation } from '../plan/sources/sources.ts';
import { type StoreLocation, storeOf } from '../plan/sources/stores.ts';
import type { Run } from '../run.ts';
import type { BackupMoment, StoredBackup } from './backup.ts';
import { openJsonl } from './jsonl/jsonl-backup.ts';
import type { Candidate } from './locate/candidates.ts';
import { findStored, withCollection } from './locate/search-template.ts';
import { openStored } from './open-container.ts';
import { openSingles } from './open-singles.ts';
import { openStore } from './open-store.ts';
import { type RemotePatience, USUAL_PATIENCE } from './remote/patience.ts';
import type { Store } from './storage/store.ts';

export interface BackupOptions {
  /** Names of every collection the plan will read; decides between backups that hold some of them only. */
  readonly wanted: ReadonlySet<string>;
  readonly patience?: RemotePatience;
}

/** A source that is stored somewhere, as opposed to a live database. */
export type StoredSource = Source & { readonly location: StoredLocation };

export interface BackupStore {
  /** Whoever opened it closes it. */
  readonly store: Store;
  readonly template: LocationTemplate;
  /** IANA zone of the times in names. */
  readonly timezone: string;
  /** Undefined when nothing lies at the candidate's path. */
  open(candidate: Candidate, when: BackupMoment | undefined): Promise<StoredBackup | undefined>;
}

export async function openBackupStore(
  run: Run,
  source: StoredSource,
  options: BackupOptions,
): Promise<BackupStore> {
  const { wanted, patience = USUAL_PATIENCE } = options;
  const location = storeLocation(source.location);
  const store = await openStore(run, location, patience);
  const template = templateOf(location);
  const { timezone = 'UTC' } = location;
  const isByCollection = template.parts.some(({ kind }) => kind === 'collection');
  if (source.location.kind === 'jsonl' || isByCollection) {
    const openFiles = source.location.kind === 'jsonl' ? openJsonl : openSingles;
    const open: BackupStore['open'] = ({ fields }, when) =>
      openFiles({ store, source, template, fields, wanted, when });
    // The file of one collection stands for the backup; the others' names follow from its time.
    return { store, template: withCollection(template, [...wanted][0] ?? '*'), timezone, open };
  }
  const open: BackupStore['open'] = async ({ path }, when) => {
    const found = await findStored(store, path);
    return found && openStored(found, { store, source, when });
  };
  return { store, template, timezone, open };
}

/** The plan check has read the template before. */
export function templateOf(location: StoreLocation): LocationTemplate {
  const text = storeOf(location).pattern(location);
  const template = parseLocationTemplate(text);
  if ('fault' in template) throw new RestorePlanError('PLAN_INVALID', `${text}: ${template.fault.message}.`);
  return template;
}
