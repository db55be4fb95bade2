/** The plan that the demo runs: what an on-call engineer would write after the accident. */

export interface DemoPlan {
  /** The last moment at which the data was known good. */
  readonly at: Date;
  /** When the dump that is used was begun, or a little earlier. */
  readonly begins: Date;
  readonly bucket: string;
  readonly endpoint: string;
  readonly partnerId: string;
}

/** Zone of the times in the backup's keys. It has no summer time, so the demo works on every day of the year. */
export const BACKUP_ZONE = 'America/Phoenix';

export function planFile({ at, begins, bucket, endpoint, partnerId }: DemoPlan): string {
  return `version: 1
name: partner-57d17993
reason: Partner 57d17993 was destroyed by a support script; its artworks and their lots went with it.

source:
  at: ${at.toISOString()}        # last moment at which the data was known good
${whereBackupsLie({ begins, bucket, endpoint })}
collections:
  - collection: partners
    query: { _id: { $oid: ${partnerId} } }
    dependents:
      - collection: artworks
        foreignKey: partner_id
        updatedAt: updated_at
        dependents:
          - collection: sale_artworks
            foreignKey: artwork_id
            references:
              - { field: sale_id, collection: sales }

${TARGETS}
followUps:
  - name: Tell the partner
    on: production
    manual: Mail the partner manager; template "data-restored".
`;
}

/** A plan of which nobody knows yet what it is to restore: the entries that `plan history` prints go to its end. */
export function emptyPlan(source: Omit<DemoPlan, 'at' | 'partnerId'>): string {
  return `version: 1
name: something-is-gone
reason: At nine, artworks were missing from the site.

source:
${whereBackupsLie(source)}
${TARGETS}
collections:
`;
}

function whereBackupsLie({ begins, bucket, endpoint }: Omit<DemoPlan, 'at' | 'partnerId'>): string {
  return `  database: gravity
  maxAge: 26h
  s3:
    bucket: ${bucket}
    key: "db/backup/{time:yyyy.MM.dd.HH.mm.ss}/db.tar"
    timezone: ${BACKUP_ZONE}
    region: us-east-1
    endpoint: ${endpoint}
    forcePathStyle: true
  oplog: # rolls the documents forward from the backup to the moment that counts
    mongodb: { uri: "\${PRODUCTION_MONGODB_URI}" }
    begins: ${begins.toISOString()}    # no later than the start of that dump
`;
}

const TARGETS = `targets:
  staging:
    uri: \${STAGING_MONGODB_URI}
    database: gravity-staging
  production:
    uri: \${PRODUCTION_MONGODB_URI}
    database: gravity
`;

/** The folder name that a backup script running in `BACKUP_ZONE` gives: `2016.09.13.08.00.00`. */
export function backupFolder(time: Date): string {
  const parts = new Intl.DateTimeFormat('en-CA', {
    timeZone: BACKUP_ZONE,
    ...{ year: 'numeric', month: '2-digit', day: '2-digit' },
    ...{ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' },
  }).formatToParts(time);
  const part = (type: string): string => parts.find((one) => one.type === type)?.value ?? '';
  return ['year', 'month', 'day', 'hour', 'minute', 'second'].map(part).join('.');
}
