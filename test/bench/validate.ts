/** `plan validate` as an editor or a pull-request check runs it: a whole process, against one of Node.js that does nothing. */
import { LOST_ARTWORKS, writePlan } from './bench-plan.ts';
import { type Measure, median, type Pair } from './measure.ts';
import { planProcess } from './plan-process.ts';
import { measureProcess } from './process-cost.ts';

const RUNS = 11;

export const VALIDATE: Measure = {
  name: 'validate',
  about: '`plan validate` against `node -e 0`, wall time of whole processes in turn, median of 11',
  run: async (grounds) => {
    const folder = writePlan(grounds, { path: '/var/backups/db.tar' }, LOST_ARTWORKS);
    const ours = async () => (await planProcess(grounds, folder, ['validate', 'plan.yaml'])).wallMs;
    await ours(); // what it compiles is kept
    const pairs: Pair[] = [];
    for (let run = 0; run < RUNS; run++)
      pairs.push({
        reference: (await measureProcess(process.execPath, ['-e', '0'])).wallMs,
        ours: await ours(),
      });
    const ms = (of: keyof Pair): string => `${Math.round(median(pairs.map((pair) => pair[of])))} ms`;
    return [
      {
        name: 'plan validate',
        ours: ms('ours'),
        reference: ms('reference'),
        figure: median(pairs.map(({ ours, reference }) => ours / reference)),
        unit: '× the time',
        mustReach: { atMost: 2 },
      },
    ];
  },
};
