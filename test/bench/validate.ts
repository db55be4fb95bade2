/** `plan validate` as an editor or a pull-request check runs it: a whole process. */
import { LOST_ARTWORKS, writePlan } from './bench-plan.ts';
import { type Measure, median } from './measure.ts';
import { planProcess } from './plan-process.ts';

const RUNS = 11;

export const VALIDATE: Measure = {
  name: 'validate',
  about: '`plan validate`, wall time of the whole process, median of 11',
  run: async (grounds) => {
    const folder = writePlan(grounds, { path: '/var/backups/db.tar' }, LOST_ARTWORKS);
    const times: number[] = [];
    for (let run = 0; run < RUNS; run++)
      times.push((await planProcess(grounds, folder, ['validate', 'plan.yaml'])).wallMs);
    const ms = median(times);
    return [
      {
        name: 'plan validate',
        ours: `${Math.round(ms)} ms`,
        reference: '',
        figure: ms,
        unit: 'ms',
        mustReach: { atMost: 200 },
      },
    ];
  },
};
