/**
 * `npm run bench`: what the product must show, measured against the official tools and against bare reading, in one process tree.
 * Exit code 1 when a figure is not reached. Needs 8 GB of disk, `huge` 36 GB.
 */
import { cpus } from 'node:os';
import { scriptOptions } from '../lab/script-options.ts';
import { mongoTool } from '../lab/tools.ts';
import { CHAINS, DEPENDENTS } from './dependents.ts';
import { EXTREMES } from './extremes.ts';
import { prepareGrounds } from './grounds.ts';
import { HUGE } from './huge.ts';
import { LISTINGS } from './listing.ts';
import { isReached, type Measure, type Result } from './measure.ts';
import { MEMORY, MEMORY_OF_THREADS } from './memory.ts';
import { OPLOG } from './oplog.ts';
import { OPLOG_MEMORY } from './oplog-memory.ts';
import { SELECTIVE_FROM_DISK, SELECTIVE_FROM_S3 } from './selective.ts';
import { SELECT_BY_THREADS, SELECT_FROM_FAR_S3, SELECT_FROM_GZIP, SELECT_FROM_S3 } from './throughput.ts';
import { VALIDATE } from './validate.ts';
import { WHOLE_COLLECTION } from './whole-collection.ts';

const MEASURES: readonly Measure[] = [
  SELECTIVE_FROM_S3,
  SELECTIVE_FROM_DISK,
  SELECT_FROM_S3,
  SELECT_FROM_FAR_S3,
  SELECT_FROM_GZIP,
  SELECT_BY_THREADS,
  DEPENDENTS,
  CHAINS,
  WHOLE_COLLECTION,
  MEMORY,
  MEMORY_OF_THREADS,
  ...EXTREMES,
  ...LISTINGS,
  OPLOG,
  ...OPLOG_MEMORY,
  VALIDATE,
  HUGE,
];

const say = (text: string): boolean => process.stderr.write(`${text}\n`);
const print = (text: string): boolean => process.stdout.write(`${text}\n`);

const USAGE = `npm run bench -- [--only <measure,measure>] [--pairs <number>] [--json] [--list]
  --only   these measures; --list names all
  --pairs  how often each comparison is run, the median counts (default 3)
  --json   the results as JSON`;

const { values } = scriptOptions({
  usage: USAGE,
  defaults: { only: '', pairs: 3, json: false, list: false },
});

async function machine(): Promise<string> {
  const tools = (await mongoTool('mongorestore', ['--version'])).stdout.toString().split('\n')[0];
  return `${cpus().length} cores (${cpus()[0]?.model.trim()}), Node ${process.version}, ${tools}`;
}

function chosenMeasures(): readonly Measure[] {
  if (values.only === '') return MEASURES;
  const names = values.only.split(',');
  const unknown = names.filter((name) => !MEASURES.some((measure) => measure.name === name));
  if (unknown.length > 0) throw new Error(`no measure is called ${unknown.join(', ')}; see --list`);
  return MEASURES.filter(({ name }) => names.includes(name));
}

function printTable(results: readonly Result[]): void {
  print('| measure | ours | reference | figure | must reach | |\n| --- | --: | --: | --: | --: | --- |');
  for (const result of results) {
    const { name, ours, reference, figure, unit, mustReach } = result;
    const limit = 'atLeast' in mustReach ? `≥ ${mustReach.atLeast}` : `≤ ${mustReach.atMost}`;
    const shown = figure < 100 ? figure.toFixed(2) : figure.toFixed(0);
    print(
      `| ${name} | ${ours} | ${reference} | ${shown} ${unit} | ${limit} | ${isReached(result) ? 'yes' : 'NO'} |`,
    );
  }
}

async function bench(): Promise<void> {
  const grounds = prepareGrounds(say);
  const results: Result[] = [];
  try {
    for (const measure of chosenMeasures()) {
      say(`${measure.name}: ${measure.about}`);
      results.push(...(await measure.run(grounds, { pairs: values.pairs, say })));
    }
  } finally {
    await grounds.stop();
  }
  if (values.json) print(JSON.stringify({ machine: await machine(), results }, null, 2));
  else {
    print(`${await machine()}; medians of ${values.pairs} pairs\n`);
    printTable(results);
  }
  if (!results.every(isReached)) process.exitCode = 1;
}

if (values.list) for (const { name, about } of MEASURES) print(`${name.padEnd(18)} ${about}`);
else await bench();
