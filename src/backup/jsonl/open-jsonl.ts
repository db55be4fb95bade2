import type { LocationTemplate } from '../../plan/location-template.ts';
import type { Source } from '../../plan/plan.ts';
import type { BackupMoment, StoredBackup } from '../backup.ts';
import { DEFAULT_MAX_RATIO } from '../containers/decompress.ts';
import type { LocalFields } from '../locate/backup-time.ts';
import { fillTemplate } from '../locate/search-template.ts';
import { newestOf, type Store, type StoredFile } from '../storage/store.ts';
import { JsonlBackup } from './jsonl-backup.ts';

export interface OpenJsonl {
  readonly store: Store;
  readonly source: Source;
  readonly template: LocationTemplate;
  /** Of the wanted moment. */
  readonly fields: LocalFields;
  readonly wanted: ReadonlySet<string>;
  readonly when: BackupMoment | undefined;
}

/** The files of one moment, one per wanted collection; undefined when none of them is there. */
export async function openJsonl(options: OpenJsonl): Promise<StoredBackup | undefined> {
  const {
    store,
    source,
    template,
    fields,
    wanted,
    when = { time: undefined, localTime: undefined },
  } = options;
  const found = new Map<string, StoredFile>();
  for (const collection of wanted) {
    const file = await store.find(fillTemplate(template, fields, collection));
    if (file?.kind === 'file') found.set(collection, file);
  }
  if (found.size === 0) return undefined;
  const files = [...found.values()];
  return new JsonlBackup({
    identity: {
      ...when,
      location: store.describe(
        fillTemplate(template, fields, found.size === 1 ? [...found.keys()][0] : undefined),
      ),
      kind: 'Extended JSON',
      modified: newestOf(files),
      size: files.reduce((sum, { size }) => sum + size, 0),
      fingerprint: files.map(({ fingerprint }) => fingerprint).join('+'),
    },
    files: new Map([...found].map(([collection, file]) => [collection, file.open()])),
    acceptsRelaxed: source.location.kind === 'jsonl' && source.location.relaxed === 'accept',
    maxRatio: source.maxDecompressionRatio ?? DEFAULT_MAX_RATIO,
  });
}
