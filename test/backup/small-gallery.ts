/** A few documents of everything that a restore takes along, GridFS among it, and the plan that takes it. */
import { type Document, ObjectId } from 'bson';
import { type Db, GridFSBucket } from 'mongodb';
import type { Plan, Source } from '../../src/plan/plan.ts';
import { artMarket, LOST_PARTNER } from '../lab/art-market.ts';
import { planOf } from '../selection/plans.ts';
import type { Layout } from './every-layout.ts';
import { onDisk, sourceAt } from './reading.ts';

export const IMAGE: Buffer = Buffer.from(Array.from({ length: 2500 }, (_, i) => (i * i) % 251));

export async function fillSmallGallery(db: Db): Promise<void> {
  const { artworks, sale_artworks } = artMarket({ seed: 3, artworks: 12 });
  const lots = sale_artworks.map((lot, i) => ({
    ...lot,
    artwork_id: artworks[i % artworks.length]?.['_id'],
  }));
  await db.collection('artworks').insertMany([...artworks]);
  await db.collection('sale_artworks').insertMany(lots as Document[]);
  await db.createCollection('empty');
  const bucket = new GridFSBucket(db, { chunkSizeBytes: 1000 });
  for (const name of ['a.jpg', 'b.jpg']) {
    const upload = bucket.openUploadStreamWithId(new ObjectId(), name);
    await new Promise((resolve) => upload.end(IMAGE, resolve as () => void));
  }
}

/** 2 roots with a dependent each. */
export const GALLERY_PLAN: Plan = planOf(
  {
    collection: 'artworks',
    query: { partner_id: LOST_PARTNER },
    dependents: [{ collection: 'sale_artworks', foreignKey: 'artwork_id' }],
  },
  {
    collection: 'fs.files',
    query: { filename: 'a.jpg' },
    dependents: [{ collection: 'fs.chunks', foreignKey: 'files_id' }],
  },
);

export const GALLERY_COLLECTIONS = ['artworks', 'sale_artworks', 'fs.files', 'fs.chunks'] as const;

export function sourceOnDisk({ path, isJsonl }: Layout, root: string, database: string): Source {
  const whole = `${root}/${path}`;
  if (!isJsonl) return onDisk(whole, { database });
  const from = { kind: 'path', path: whole, timezone: undefined } as const;
  return sourceAt({ kind: 'jsonl', from }, { database });
}
