/** What Percona Backup for MongoDB makes of a dump: it takes a mongodump archive apart, and so does this. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type Document, EJSON, Long, serialize } from 'bson';
import { Crc64 } from '../../src/backup/containers/crc.ts';

export interface PbmOptions {
  /** Folder of one database of a mongodump, and its name. */
  readonly dumped: string;
  readonly database: string;
  /** What PBM appends to the name of a compressed file. */
  readonly extension?: string;
  readonly compress?: (bytes: Buffer) => Buffer;
  /** As later versions 2 do: the metadata is one BSON document, `meta.pbm`. */
  readonly isRecent?: boolean;
}

/** Writes the backup of replica set rs0 into `root`, a folder that PBM would name by the time. */
export function layOutPbm(root: string, options: PbmOptions): void {
  const { dumped, database, extension = '', compress = (bytes) => bytes, isRecent = false } = options;
  const names = readdirSync(dumped).filter((name) => name.endsWith('.metadata.json'));
  mkdirSync(`${root}/rs0/oplog`, { recursive: true });
  const namespaces = names.map((name) => {
    const collection = name.replace('.metadata.json', '');
    const documents = readFileSync(`${dumped}/${collection}.bson`);
    const crc = new Crc64();
    crc.update(documents);
    if (documents.length > 0) {
      writeFileSync(`${root}/rs0/${database}.${collection}${extension}`, compress(documents));
    }
    return {
      db: database,
      collection,
      metadata: readFileSync(`${dumped}/${name}`, 'utf8'),
      type: 'collection',
      crc: { $numberLong: String(crc.digest()) },
      size: { $numberLong: String(documents.length) },
    };
  });
  if (isRecent) {
    const specifications = namespaces.map(({ db, collection, metadata, type, crc, size }) => {
      const { options: made = {}, indexes, uuid } = EJSON.parse(metadata, { relaxed: false }) as Document;
      const sums = { crc: Long.fromString(crc.$numberLong), size: Long.fromString(size.$numberLong) };
      return { db, name: collection, type, uuid, options: made, indexes, ...sums };
    });
    const meta = { version: '2.5.0', serverVersion: '8.2.0', fcv: '8.2', specifications };
    writeFileSync(`${root}/rs0/meta.pbm`, serialize(meta));
    return;
  }
  const header = { concurrent_collections: { $numberInt: '4' }, version: '0.1', server_version: '8.2.0' };
  writeFileSync(`${root}/rs0/metadata.json`, JSON.stringify({ ...header, namespaces }, null, '\t'));
  writeFileSync(`${root}/rs0/oplog/20160913080000-1.20160913080100-1`, 'oplog');
}
