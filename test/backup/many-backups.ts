/** Hourly backups of many years, small enough to have 100,000 of them. */
import { serialize } from 'bson';
import { buildTar } from '../lab/tar.ts';

export const HOURLY_TEMPLATE = 'hourly/{time:yyyy.MM.dd.HH.mm.ss}/db.tar';
const END = Date.UTC(2016, 8, 13, 12);

/** The tar of database gravity with one artwork. */
export const HOURLY_TAR: Buffer = buildTar([
  { path: 'gravity/artworks.bson', body: Buffer.from(serialize({ _id: 1 })) },
  { path: 'gravity/artworks.metadata.json', body: '{"indexes":[],"collectionName":"artworks"}' },
]);

/** Keys of that many backups, the last of them of 2016-09-13 12:00 UTC. */
export function* hourlyKeys(count: number): Generator<string> {
  for (let i = count - 1; i >= 0; i--) {
    const time = new Date(END - i * 3_600_000).toISOString().slice(0, 19).replace(/\D/g, '.');
    yield `hourly/${time}/db.tar`;
  }
}
