/** The long form of the truncation sweep: every layout, cut every few bytes, at every percent and at each of its last bytes. */
import { everyLayout } from '../backup/every-layout.ts';
import { fillSmallGallery, GALLERY_PLAN, sourceOnDisk } from '../backup/small-gallery.ts';
import { digestOf, sweepTruncation } from '../backup/truncation.ts';
import { temporaryFolder } from '../lab/guard.ts';
import { openLab } from '../lab/lab.ts';

export async function cutEveryLayout(everyBytes: number, say: (text: string) => unknown): Promise<void> {
  const lab = await openLab();
  const folder = temporaryFolder('truncation');
  const db = lab.database('gallery');
  const { databaseName: database } = db;
  await fillSmallGallery(db);
  const root = folder.path;
  const cuts = { everyBytes, everyPercent: 1, lastBytes: 64 };
  for (const layout of await everyLayout({ uri: lab.staging.uri, database, root })) {
    const source = sourceOnDisk(layout, root, database);
    const selecting = { plan: GALLERY_PLAN, source, folder: root };
    const { refused, whole } = await sweepTruncation({
      layout,
      root,
      digest: () => digestOf(selecting),
      cuts,
    });
    say(`cut off: ${layout.name}: ${refused} refused, ${whole} lacked nothing that was needed`);
    if (refused === 0) throw new Error(`${layout.name}: no cut was refused: the campaign proved nothing`);
  }
  folder.remove();
  await lab.close();
}
