/** The plans that the measures run: the lost partner's artworks and their lots, or whole collections. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LOST_PARTNER } from '../lab/art-market.ts';
import { BUCKET, DATABASE, type Grounds, STAGING_DATABASE } from './grounds.ts';

export type BackupPlace =
  | {
      readonly path: string;
      readonly at?: Date;
      /** YAML of `source.oplog`, one line. */
      readonly oplog?: string;
    }
  | { readonly key: string /** `http://127.0.0.1:port` */; readonly endpoint: string };

/** YAML of the `collections` of a plan. */
export const LOST_ARTWORKS = `
  - collection: artworks
    query: { partner_id: { $oid: ${LOST_PARTNER.toHexString()} } }
    dependents:
      - { collection: sale_artworks, foreignKey: artwork_id }`;

export const ALL_ARTWORKS = `
  - { collection: artworks, query: {} }`;

/** Writes a plan into a folder of its own, which also serves as its work directory. Returns the folder; the plan is `plan.yaml`. */
export function writePlan(grounds: Grounds, place: BackupPlace, collections: string): string {
  const folder = mkdtempSync(join(grounds.folder.path, 'plan-'));
  const source =
    'path' in place
      ? [
          ...(place.at === undefined ? [] : [`  at: ${place.at.toISOString()}`]),
          `  path: ${place.path}`,
          ...(place.oplog === undefined ? [] : [`  oplog: ${place.oplog}`]),
        ].join('\n')
      : `  s3: { bucket: ${BUCKET}, key: ${place.key}, region: us-east-1, endpoint: "${place.endpoint}", forcePathStyle: true }`;
  writeFileSync(
    join(folder, 'plan.yaml'),
    `version: 1
name: bench
source:
  database: ${DATABASE}
${source}
collections:${collections}
targets:
  staging: { uri: "\${STAGING_MONGODB_URI}", database: ${STAGING_DATABASE} }
  production: { uri: "\${PRODUCTION_MONGODB_URI}", database: ${DATABASE} }
`,
  );
  return folder;
}
