/** The files of single collections, each named by itself: `source.path: ./dump/{collection}.bson.gz`. */
import type { LocationTemplate } from '../plan/location-template.ts';
import type { Source } from '../plan/plan.ts';
import type { BackupMoment, StoredBackup } from './backup.ts';
import { DEFAULT_MAX_RATIO } from './containers/decompress.ts';
import { fileNameOf } from './layout/dump-paths.ts';
import { type NamedFile, sortDump } from './layout/dump-tree.ts';
import { fillTemplate, findStored, type LocalFields } from './locate/search-template.ts';
import { factsOfAll } from './open-container.ts';
import { look } from './open-packed.ts';
import { FileBackup } from './readers/file-backup.ts';
import { notSingle } from './readers/refusals.ts';
import type { Store, StoredFile } from './storage/store.ts';

export interface OpenSingles {
  readonly store: Store;
  readonly source: Source;
  /** Has a `{collection}`. */
  readonly template: LocationTemplate;
  /** Of the wanted moment. */
  readonly fields: LocalFields;
  readonly wanted: ReadonlySet<string>;
  readonly when: BackupMoment | undefined;
}

/** The files of one moment, with the metadata beside them; undefined when none of the wanted collections has one. */
export async function openSingles(options: OpenSingles): Promise<StoredBackup | undefined> {
  const { store, source, template, fields, wanted } = options;
  const { when = { time: undefined, localTime: undefined } } = options;
  const files: StoredFile[] = [];
  const dump: NamedFile[] = [];
  for (const collection of wanted) {
    const names = [fileNameOf(collection), collection];
    const paths = new Set(names.map((name) => fillTemplate(template, fields, name)));
    const documents = await firstOf(store, [...paths]);
    if (documents === undefined) continue;
    const at = documents.open();
    const container = await look(at);
    if (container.kind === 'tar' || container.kind === 'mongodump archive')
      throw notSingle(store.describe(documents.path), container.kind);
    const inDump = `${source.database}/${fileNameOf(collection)}`;
    files.push(documents);
    dump.push({ path: `${inDump}.bson`, at });
    const metadata = await firstOf(store, metadataBeside(documents.path));
    if (metadata === undefined) continue;
    files.push(metadata);
    dump.push({ path: `${inDump}.metadata.json`, at: metadata.open() });
  }
  if (files.length === 0) return undefined;
  const location = store.describe(
    fillTemplate(template, fields, wanted.size === 1 ? [...wanted][0] : undefined),
  );
  return new FileBackup({
    identity: { location, kind: 'files of collections', ...factsOfAll(files), ...when },
    tree: sortDump(dump, source.database),
    maxRatio: source.maxDecompressionRatio ?? DEFAULT_MAX_RATIO,
    folder: undefined,
    areSingles: true,
    warnings: [],
  });
}

async function firstOf(store: Store, paths: readonly string[]): Promise<StoredFile | undefined> {
  for (const path of paths) {
    const found = await findStored(store, path);
    if (found?.kind === 'file') return found;
  }
  return undefined;
}

/** First those that are compressed as the documents are: of a dump in the same folder, the others may be another's. */
function metadataBeside(path: string): string[] {
  const name = /^(.*)\.(?:bson|bin)(\.gz)?$/s.exec(path);
  if (name === null) return [];
  const [, base, compressed] = name;
  const both = [`${base}.metadata.json.gz`, `${base}.metadata.json`];
  return compressed === undefined ? both.reverse() : both;
}
