/** A million parent keys: what looking up each child's key costs beyond a scan that takes the same documents. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writePlan } from './bench-plan.ts';
import { DATABASE } from './grounds.ts';
import { writeFamily } from './large-dump.ts';
import { type Measure, median, seconds } from './measure.ts';
import { inTurn } from './throughput.ts';
import { selectOnce } from './worker.ts';

const PARENTS = 1_000_000;
const CHILDREN = 1_000_000;

const BY_KEY = `
  - collection: people
    query: {}
    dependents:
      - { collection: offers, foreignKey: person_id }`;

const PLAIN = `
  - { collection: people, query: {} }
  - { collection: offers, query: {} }`;

export const DEPENDENTS: Measure = {
  name: 'dependents',
  about:
    '1,000,000 parents and as many children chosen by key, against a plain scan that takes the same documents',
  run: async (grounds, options) => {
    const path = join(grounds.folder.path, 'family');
    mkdirSync(path);
    writeFamily(path, DATABASE, PARENTS, CHILDREN);
    const pairs = await inTurn(options, {
      ours: () => selectOnce(grounds, writePlan(grounds, { path }, BY_KEY)),
      reference: () => selectOnce(grounds, writePlan(grounds, { path }, PLAIN)),
    });
    return [
      {
        name: '1,000,000 parent keys',
        ours: seconds(median(pairs.map(({ ours }) => ours))),
        reference: seconds(median(pairs.map(({ reference }) => reference))),
        figure: median(pairs.map(({ ours, reference }) => ours / reference)),
        unit: '× the time',
        mustReach: { atMost: 1.3 },
      },
    ];
  },
};
