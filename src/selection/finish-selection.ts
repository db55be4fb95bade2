import { join } from 'node:path';
import { fileNameOf } from '../backup/layout/collection-names.ts';
import type { BackupScan } from './backup-scan.ts';
import type { CollectionSelector } from './collection-selector.ts';
import { selectionDigest } from './digest.ts';
import { writePrivateFile } from './directory.ts';
import { finishCollection } from './finish-collection.ts';
import type { SelectionRequest } from './select-documents.ts';
import type { SelectedCollection, SelectionManifest } from './selection.ts';

export interface DecidedSelection {
  readonly request: Pick<SelectionRequest, 'plan' | 'backup' | 'toolVersion'>;
  /** Folder of the `.bson` files. */
  readonly folder: string;
  readonly selectors: readonly CollectionSelector[];
  readonly scan: BackupScan;
}

/** Finishes the files of a selection in which everything has been decided, and describes them. */
export async function finishSelection({
  request,
  folder,
  selectors,
  scan,
}: DecidedSelection): Promise<SelectionManifest> {
  const { plan, backup, toolVersion } = request;
  const collections: SelectedCollection[] = [];
  const warnings = [...scan.warnings];
  for (const { routes, chooser, chosen, scanned } of selectors) {
    const { collection, into, whenMatched } = routes;
    const finished = await finishCollection(
      collection,
      chosen,
      scan.members.filter((member) => member.collection === collection),
    );
    warnings.push(...finished.warnings);
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
    });
  }
  return {
    format: 1,
    toolVersion,
    planName: plan.name,
    planDigest: plan.digest,
    backup: backup.identity,
    database: plan.source.database,
    digest: selectionDigest(collections),
    collections,
    members: scan.members,
    readToEnd: scan.readToEnd,
    ...(scan.relaxed && { relaxed: true }),
    warnings,
  };
}
