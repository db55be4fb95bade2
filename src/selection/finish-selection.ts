import { join } from 'node:path';
import { fileNameOf } from '../backup/layout/dump-paths.ts';
import { showValue } from '../bson/show.ts';
import type { RawValue } from '../bson/types.ts';
import type { RolledForward } from '../oplog/roll-forward.ts';
import type { Rolling } from '../oplog/rolled-backup.ts';
import { VERSION } from '../version.ts';
import type { BackupScan } from './backup-scan.ts';
import type { CollectionSelector } from './collection-selector.ts';
import { writePrivateFile } from './directory.ts';
import { fileBatches, ONE_AFTER_ANOTHER } from './file-batches.ts';
import { finishCollection } from './finish-collection.ts';
import { sha256OfText } from './open-selection.ts';
import type { IdRoute } from './routes.ts';
import type { SelectionRequest } from './select-documents.ts';
import { type SelectedCollection, type SelectionManifest, selectionDigest } from './selection.ts';

interface DecidedSelection {
  readonly request: Pick<SelectionRequest, 'plan' | 'backup'>;
  /** Folder of the `.bson` files. */
  readonly folder: string;
  readonly selectors: readonly CollectionSelector[];
  readonly scan: BackupScan;
  /** What rolled the documents forward, if anything did. */
  readonly rolled: RolledForward | undefined;
}

/** Finishes the files of a selection in which everything has been decided, and describes them. */
export async function finishSelection({
  request,
  folder,
  selectors,
  scan,
  rolled,
}: DecidedSelection): Promise<SelectionManifest> {
  const { plan, backup } = request;
  const collections: SelectedCollection[] = [];
  const warnings = [...scan.warnings, ...(rolled?.warnings ?? [])];
  for (const { routes, chooser, chosen, scanned } of selectors) {
    const { collection, into, whenMatched } = routes;
    const finished = await finishCollection(collection, chosen, scan.membersOf(collection));
    warnings.push(...finished.warnings);
    for (const { ids } of routes.routes) if (ids !== undefined) warnings.push(...missingIds(collection, ids));
    for (const { where, parent } of chooser.unused()) {
      if (parent === undefined) continue;
      warnings.push(
        `${collection}: no document refers by ${parent.foreignKey} to a selected document of ${parent.collection} (${where})`,
      );
    }
    warnings.push(...chosen.otherTypes.warnings(collection));
    const metadata = scan.collections.get(collection)?.text;
    const metadataFile = `${fileNameOf(collection)}.metadata.json`;
    if (metadata !== undefined) await writePrivateFile(join(folder, metadataFile), metadata);
    const { count, bytes, sha256, file } = finished;
    collections.push({
      collection,
      into,
      whenMatched,
      scanned,
      count,
      bytes,
      sha256,
      file,
      metadataFile: metadata === undefined ? undefined : metadataFile,
      ...(metadata !== undefined && { metadataSha256: sha256OfText(metadata) }),
      ...(rolled !== undefined &&
        (await countRolled(rolled.rolling, collection, { path: join(folder, file), bytes }))),
    });
  }
  return {
    format: 1,
    toolVersion: VERSION,
    planName: plan.name,
    planDigest: plan.digest,
    selectsDigest: plan.selectsDigest,
    backup: backup.identity,
    database: plan.source.database,
    digest: selectionDigest(collections),
    collections,
    members: scan.members,
    readToEnd: scan.readToEnd,
    ...(scan.relaxed && { relaxed: true }),
    ...(rolled !== undefined && { oplog: rolled.record }),
    warnings,
  };
}

/** How many of the documents in a file the oplog changed, and how many it alone has. */
async function countRolled(
  rolling: Rolling,
  collection: string,
  { path, bytes }: { readonly path: string; readonly bytes: number },
): Promise<Required<Pick<SelectedCollection, 'rolled' | 'inserted'>>> {
  const counts = { rolled: 0, inserted: 0 };
  for await (const batch of fileBatches(path, bytes, ONE_AFTER_ANOTHER)) {
    for (let i = 0; i < batch.length; i++) {
      const change = rolling.changeOf(collection, batch.id(i));
      if (change?.isInserted) counts.inserted++;
      else if (change !== undefined) counts.rolled++;
    }
  }
  return counts;
}

/** Ids named one by one. */
const IDS_SHOWN = 5;

/** What was not restored of a file of ids, and what it says twice. */
function* missingIds(collection: string, { list, found, chosen }: IdRoute): Generator<string> {
  const { file, where, count, repeated, firstRepeated } = list;
  const total = `${count} _id${count === 1 ? '' : 's'} of ${file}`;
  const named = (missing: (value: RawValue) => boolean): string => {
    const shown: string[] = [];
    let number = 0;
    for (const { value, line } of list.values()) {
      if (!missing(value)) continue;
      number++;
      if (shown.length < IDS_SHOWN) shown.push(`${showValue(value)} (line ${line})`);
    }
    return `${shown.join(', ')}${number > IDS_SHOWN ? ` and ${number - IDS_SHOWN} more` : ''}`;
  };
  if (found.size < count)
    yield `${collection}: ${count - found.size} of ${total} are not in the backup (${where}): ${named((value) => !found.has(value))}`;
  if (chosen.size < found.size)
    yield `${collection}: of ${found.size - chosen.size} of ${total} the query is not true (${where}): ` +
      named((value) => found.has(value) && !chosen.has(value));
  if (repeated > 0)
    yield `${collection}: ${file} repeats ids in ${repeated} line${repeated === 1 ? '' : 's'}, first in line ${firstRepeated}; each counts once`;
}
