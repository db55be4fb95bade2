/**
 * A million parent keys: what looking up each child's key costs beyond a scan that takes the same documents. A million documents of chains: what
 * their depth costs.
 */
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { ObjectId, serialize } from 'bson';
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

const IN_CHAINS = 1_000_000;

const TREE = `
  - collection: things
    query: { parent: null }
    dependents: [{ collection: things, foreignKey: parent }]`;

export const CHAINS: Measure = {
  name: 'chains',
  about:
    '1,000,000 documents in chains 8,000 deep, against as many in chains 80 deep; children before their parents',
  run: async (grounds, options) => {
    const plan = (depth: number): string => {
      const path = join(grounds.folder.path, `chains-${depth}`);
      writeChains(join(path, DATABASE), depth);
      return writePlan(grounds, { path }, TREE);
    };
    const [deep, shallow] = [plan(8_000), plan(80)];
    const pairs = await inTurn(options, {
      ours: () => selectOnce(grounds, deep),
      reference: () => selectOnce(grounds, shallow),
    });
    return [
      {
        name: 'chains 8,000 deep',
        ours: seconds(median(pairs.map(({ ours }) => ours))),
        reference: seconds(median(pairs.map(({ reference }) => reference))),
        figure: median(pairs.map(({ ours, reference }) => ours / reference)),
        unit: '× the time',
        mustReach: { atMost: 1.3 },
      },
    ];
  },
};

/** Document n belongs to document n - 1, but for the first of each chain. */
function writeChains(folder: string, depth: number): void {
  mkdirSync(folder, { recursive: true });
  const file = openSync(join(folder, 'things.bson'), 'w');
  const id = (n: number): ObjectId => new ObjectId(n.toString(16).padStart(24, '0'));
  let together: Uint8Array[] = [];
  for (let n = IN_CHAINS; n > 0; n--) {
    const parent = n % depth === 1 ? null : id(n - 1);
    together.push(serialize({ _id: id(n), parent, text: 'x'.repeat(60) }));
    if (together.length < 10_000 && n > 1) continue;
    writeSync(file, Buffer.concat(together));
    together = [];
  }
  closeSync(file);
}
