/**
 * The same digest wherever members are cut, and whoever scans the slices: every layout of a dump, a hostile dump and one of many megabytes, each by
 * this thread, and by 2, 3 and 8.
 */
import * as assert from 'uvu/assert';
import type { Plan, Source } from '../../../src/plan/plan.ts';
import { inTurn, type SliceRunner } from '../../../src/selection/slices/slice-runner.ts';
import { everyLayout, type Layout } from '../../backup/every-layout.ts';
import { onDisk } from '../../backup/reading.ts';
import { fillSmallGallery, GALLERY_PLAN, sourceOnDisk } from '../../backup/small-gallery.ts';
import { digestOf } from '../../backup/truncation.ts';
import { writeLargeDump } from '../../bench/large-dump.ts';
import { LOST_PARTNER } from '../../lab/art-market.ts';
import { temporaryFolder } from '../../lab/guard.ts';
import { openLab } from '../../lab/lab.ts';
import { type Random, seededRandom } from '../../lab/random.ts';
import { planOf } from '../plans.ts';
import { HOSTILE_PLAN, threadsOf, writeDump } from './compared.ts';
import { hostileMembers } from './hostile-members.ts';

export interface Cuts {
  /** How many places members are cut at, at least. */
  readonly cuts: number;
  readonly seed: number;
  readonly say?: (text: string) => void;
}

const THREADS = [2, 3, 8] as const;
const LEAST_SLICE = 64 * 1024;
const LARGEST_SLICE = 64 * 1024 * 1024;

/** Throws where a digest differs. */
export async function cutAnywhere({ cuts, seed, say = () => {} }: Cuts): Promise<void> {
  const random = seededRandom(seed);
  const folder = temporaryFolder('cuts');
  const lab = await openLab();
  let [made, runs] = [0, 0];
  const compare = async (plan: Plan, source: Source, sliceBytes: number, what: string): Promise<void> => {
    const given = { plan, source, folder: folder.path };
    const expected = await digestOf(given);
    const counted = counting(sliceBytes);
    const runners = [{ runner: counted.runner }];
    const threads = await Promise.all(THREADS.map((each) => threadsOf(each, sliceBytes)));
    for (const sliced of [...runners, ...threads.map((each) => ({ threads: each }))]) {
      assert.is(await digestOf({ ...given, sliced }), expected, `${what}, slices of ${sliceBytes} bytes`);
      runs++;
    }
    made += counted.cuts();
  };
  try {
    const db = lab.database('gallery');
    const database = db.databaseName;
    await fillSmallGallery(db);
    const layouts = await everyLayout({ uri: lab.staging.uri, database, root: folder.path });
    for (const layout of layouts as readonly Layout[]) {
      const source = sourceOnDisk(layout, folder.path, database);
      await compare(GALLERY_PLAN, source, between(random, 64, 16_384), layout.name);
    }
    say(`${layouts.length} layouts: ${made} cuts, ${runs} selections alike`);
    writeLargeDump(`${folder.path}/large`, 'gravity', {
      artworks: 140_000,
      lots: 80_000,
      people: 9,
      offers: 9,
    });
    const lost = planOf({
      collection: 'artworks',
      query: { partner_id: LOST_PARTNER },
      dependents: [{ collection: 'sale_artworks', foreignKey: 'artwork_id' }],
    });
    const large = onDisk(`${folder.path}/large`);
    for (const sliceBytes of [LEAST_SLICE, between(random, LEAST_SLICE, LARGEST_SLICE), LARGEST_SLICE])
      await compare(lost, large, sliceBytes, 'a dump of 170 MB');
    say(`and one of 170 MB: ${made} cuts, ${runs} selections alike`);
    do {
      const path = writeDump(hostileMembers(random, { documents: 300, largest: 90_000 }), folder.path);
      for (const most of [2_000, 300_000])
        await compare(HOSTILE_PLAN, onDisk(path), between(random, 100, most), 'a hostile dump');
      say(`with hostile ones: ${made} cuts, ${runs} selections alike`);
    } while (made < cuts);
  } finally {
    folder.remove();
    await lab.close();
  }
}

/** Of small and large numbers alike. */
function between(random: Random, least: number, most: number): number {
  return Math.round(least * (most / least) ** random.fraction());
}

/** One thread, and at how many places it found members cut. */
function counting(sliceBytes: number): { readonly runner: SliceRunner; cuts(): number } {
  const base = inTurn(sliceBytes);
  let cuts = 0;
  const runner: SliceRunner = {
    ...base,
    run: (level, ...rest) => {
      cuts += level.slices.filter(({ from }) => from > 0).length;
      return base.run(level, ...rest);
    },
  };
  return { runner, cuts: () => cuts };
}
