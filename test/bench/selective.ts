/** The main job: a few hundred documents out of a 1.1 GB tar into two targets, against the runbook by hand. */
import { type BackupPlace, LOST_ARTWORKS, writePlan } from './bench-plan.ts';
import { type Grounds, LARGE_KEY } from './grounds.ts';
import { LARGE, lostArtworks } from './large-dump.ts';
import { comparePairs, type Measure, type MeasureOptions, type Pair } from './measure.ts';
import { applyToBoth } from './plan-process.ts';
import { runRunbook, type TarPlace } from './runbook.ts';
import { assertRestored, emptyTargets } from './targets.ts';

export const SELECTIVE_FROM_S3: Measure = {
  name: 'selective-s3',
  about:
    '1.1 GB tar in S3 to two targets, against the runbook by hand (download, untar, restore, dump, restore twice)',
  run: async (grounds, options) => {
    const endpoint = (await grounds.s3()).server.endpoint;
    await grounds.largeObject();
    const pairs = await pairRuns(grounds, options, { key: LARGE_KEY, endpoint }, { key: LARGE_KEY });
    return [comparePairs('selective restore, tar in S3', pairs, 6)];
  },
};

export const SELECTIVE_FROM_DISK: Measure = {
  name: 'selective-disk',
  about: 'the same from a tar on disk, against the runbook with a copy in place of the download',
  run: async (grounds, options) => {
    const path = await grounds.largeTar();
    const pairs = await pairRuns(grounds, options, { path }, { file: path });
    return [comparePairs('selective restore, tar on disk', pairs, 10)];
  },
};

/** Both ways in turn, each from empty targets, each checked for having restored what was lost. */
export async function pairRuns(
  grounds: Grounds,
  { pairs, say }: MeasureOptions,
  ours: BackupPlace,
  theirs: TarPlace,
): Promise<Pair[]> {
  const lost = lostArtworks(LARGE);
  const expected = { artworks: lost.ids.length, sale_artworks: lost.lots };
  const results: Pair[] = [];
  for (let number = 1; number <= pairs; number++) {
    await emptyTargets(grounds);
    const reference = await runRunbook(grounds, theirs);
    await assertRestored(grounds, expected);
    await emptyTargets(grounds);
    const { wallMs, stages } = await applyToBoth(grounds, writePlan(grounds, ours, LOST_ARTWORKS));
    await assertRestored(grounds, expected);
    say(`  pair ${number}: ${Math.round(wallMs)} ms against ${Math.round(reference)} ms`);
    for (const stage of stages) say(`    ${stage}`);
    results.push({ ours: wallMs, reference });
  }
  return results;
}
