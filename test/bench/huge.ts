/** A tar of 10 GB of which the same two collections are wanted: where seeking shows. */
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { buildTarMember, TAR_END } from '../lab/tar.ts';
import { ALL_ARTWORKS, LOST_ARTWORKS, writePlan } from './bench-plan.ts';
import { DATABASE, type Grounds, HOST_FOLDER } from './grounds.ts';
import { comparePairs, type Measure } from './measure.ts';
import { peakResult } from './memory.ts';
import { planProcess } from './plan-process.ts';
import { pairRuns } from './selective.ts';
import { emptyTargets } from './targets.ts';

const KEY = 'db/huge.tar';
/** Of each of two members that no plan wants; eleven octal digits can say this much. */
const FILLER_BYTES = 4_600_000_000;
/** The object, its download and what is unpacked of it. */
const NEEDED_DISK_BYTES = 36e9;

export const HUGE: Measure = {
  name: 'huge',
  about: '10 GB tar in S3, the same documents, against the runbook by hand; one pair; needs 36 GB of disk',
  run: async (grounds, options) => {
    const { bsize, bavail } = statfsSync(grounds.folder.path);
    if (bsize * bavail < NEEDED_DISK_BYTES) throw new Error('not enough free disk for the 10 GB tar');
    const { bucket, server } = await grounds.s3();
    const tar = join(grounds.folder.path, 'huge.tar');
    options.say('preparing a tar of 10 GB');
    await writeHugeTar(grounds, tar);
    await bucket.putFile(KEY, tar);
    rmSync(tar);
    try {
      const place = { key: KEY, endpoint: server.endpoint };
      const pairs = await pairRuns(grounds, { ...options, pairs: 1 }, place, { key: KEY });
      await emptyTargets(grounds);
      const folder = writePlan(grounds, place, ALL_ARTWORKS);
      const { peakBytes } = await planProcess(grounds, folder, ['apply', 'plan.yaml', '--target', 'staging']);
      await emptyTargets(grounds);
      const few = await planProcess(grounds, writePlan(grounds, place, LOST_ARTWORKS), [
        'dry-run',
        'plan.yaml',
      ]);
      return [
        comparePairs('selective restore, 10 GB tar in S3', pairs, 10),
        peakResult('peak memory: 10 GB tar in S3, 408 with dependents', few.peakBytes),
        peakResult('peak memory: 10 GB tar in S3, 600,000 documents', peakBytes),
      ];
    } finally {
      await bucket.remove(KEY);
    }
  },
};

/** The members that nobody wants are holes in a sparse file. */
async function writeHugeTar(grounds: Grounds, tar: string): Promise<void> {
  const dump = join(await grounds.largeDump(), HOST_FOLDER, DATABASE);
  const file = openSync(tar, 'w');
  const skip = (bytes: number): void => ftruncateSync(file, fstatSync(file).size + bytes);
  const append = (bytes: Buffer): void => {
    writeSync(file, bytes, 0, bytes.length, fstatSync(file).size);
  };
  const filler = (name: string): void => {
    append(buildTarMember({ path: `${HOST_FOLDER}/${DATABASE}/${name}.bson`, claimedSize: FILLER_BYTES }));
    skip(Math.ceil(FILLER_BYTES / 512) * 512);
  };
  const member = (name: string): void =>
    append(
      buildTarMember({ path: `${HOST_FOLDER}/${DATABASE}/${name}`, body: readFileSync(join(dump, name)) }),
    );
  filler('page_views');
  for (const name of ['artworks.bson', 'artworks.metadata.json']) member(name);
  filler('searches');
  for (const name of ['sale_artworks.bson', 'sale_artworks.metadata.json']) member(name);
  append(TAR_END);
  closeSync(file);
}
