/** Where a plan's backups lie, by which names they go there, and how one of them is opened. */

import { RestorePlanError } from '../errors.ts';
import { type LocationTemplate, parseLocationTemplate } from '../plan/location-template.ts';
import type { MongodbLocation, PathLocation, S3Location, Source } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import type { BackupMoment, StoredBackup } from './backup.ts';
import { DiskStore } from './disk/disk-store.ts';
import { openJsonl } from './jsonl/open-jsonl.ts';
import type { Candidate } from './locate/candidates.ts';
import { findStored } from './locate/find-stored.ts';
import { withCollection } from './locate/search-template.ts';
import { openSingles } from './open-singles.ts';
import { openStored } from './open-stored.ts';
import { S3_PATIENCE, type S3Patience } from './s3/s3-patience.ts';
import { S3Store } from './s3/s3-store.ts';
import type { Store } from './storage/store.ts';

export interface BackupOptions {
  /** Names of every collection the plan will read; decides between backups that hold some of them only. */
  readonly wanted: ReadonlySet<string>;
  readonly s3Patience?: S3Patience;
}

/** A source that is stored somewhere, as opposed to a live database. */
export type StoredSource = Source & { readonly location: Exclude<Source['location'], MongodbLocation> };

export interface Place {
  /** Whoever asked for the place closes it. */
  readonly store: Store;
  readonly template: LocationTemplate;
  /** IANA zone of the times in names. */
  readonly timezone: string;
  /** Undefined when nothing lies at the candidate's path. */
  open(candidate: Candidate, when: BackupMoment | undefined): Promise<StoredBackup | undefined>;
}

export function placeOf(run: Run, source: StoredSource, options: BackupOptions): Place {
  const { location } = source;
  if (location.kind !== 'jsonl') {
    const store = storeOf(run, location, options);
    const template = templateOf(location);
    const timezone = zoneOf(location);
    if (template.parts.some(({ kind }) => kind === 'collection')) {
      const { wanted } = options;
      const open: Place['open'] = ({ fields }, when) =>
        openSingles({ store, source, template, fields, wanted, when });
      return { store, template: ofOneCollection(template, wanted), timezone, open };
    }
    const open: Place['open'] = async ({ path }, when) => {
      const found = await findStored(store, path);
      return found && openStored(found, { store, source, when });
    };
    return { store, template, timezone, open };
  }
  const { from } = location;
  const store = storeOf(run, from, options);
  const template = templateOf(from);
  const { wanted } = options;
  const open: Place['open'] = ({ fields }, when) =>
    openJsonl({ store, source, template, fields, wanted, when });
  return { store, template: ofOneCollection(template, wanted), timezone: zoneOf(from), open };
}

/** The file of one collection stands for the backup; the others' names follow from its time. */
function ofOneCollection(template: LocationTemplate, wanted: ReadonlySet<string>): LocationTemplate {
  return withCollection(template, [...wanted][0] ?? '*');
}

function storeOf(
  { emit, signal }: Run,
  location: PathLocation | S3Location,
  { s3Patience: patience = S3_PATIENCE }: BackupOptions,
): Store {
  if (location.kind === 'path') return new DiskStore();
  return new S3Store(location, { emit, signal, patience });
}

/** The plan check has read the template before. */
function templateOf(location: PathLocation | S3Location): LocationTemplate {
  const text = location.kind === 's3' ? location.key : location.path;
  const template = parseLocationTemplate(text);
  if ('fault' in template) throw new RestorePlanError('PLAN_INVALID', `${text}: ${template.fault.message}.`);
  return template;
}

function zoneOf({ timezone = 'UTC' }: PathLocation | S3Location): string {
  return timezone;
}
