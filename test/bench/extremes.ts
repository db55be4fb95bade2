/** Peak memory where there is much of one thing: documents in a journal, bytes in a document, fields, collections, depth. */
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, ObjectId, serialize } from 'bson';
import { writePlan } from './bench-plan.ts';
import { DATABASE, type Grounds } from './grounds.ts';
import { type Measure, type MeasureOptions, megabytes, type Result } from './measure.ts';
import { peakResult } from './memory.ts';
import { planProcess } from './plan-process.ts';
import { targetDatabases } from './targets.ts';

interface Extreme {
  readonly name: string;
  readonly about: string;
  /** Makes the dump in `home`, and what the staging target holds already. */
  prepare(home: string, grounds: Grounds): Promise<void>;
  /** YAML of the `collections`. */
  readonly plan: string;
  /** Arguments after `plan`; each is a process of its own. */
  readonly commands: readonly (readonly string[])[];
}

const PLAN = 'plan.yaml';
const STAGING = ['--target', 'staging'];
const APPLY = ['apply', PLAN, ...STAGING];
const VERIFY = ['verify', PLAN, ...STAGING];
const REVERT = ['revert', PLAN, ...STAGING, '--confirm', 'gravity-staging'];
const DRY_RUN = ['dry-run', PLAN, ...STAGING];

const ALL = `
  - { collection: things, query: {} }`;
const REPLACED = `
  - { collection: things, query: {}, whenMatched: replace }`;

const MILLION = 1_000_000;
const MEGABYTE = 1024 * 1024;
/** A little below the most that a server stores. */
const LARGEST = 16 * MEGABYTE - 1024;

function idOf(number: number): ObjectId {
  return new ObjectId(number.toString(16).padStart(24, '0'));
}

/** Writes `<home>/<collection>.bson` without holding it. */
function writeDocuments(home: string, collection: string, documents: Iterable<Document>): void {
  const file = openSync(join(home, `${collection}.bson`), 'w');
  let waiting: Buffer[] = [];
  let bytes = 0;
  const flush = (): void => {
    writeSync(file, Buffer.concat(waiting));
    waiting = [];
    bytes = 0;
  };
  for (const document of documents) {
    const raw = Buffer.from(serialize(document));
    waiting.push(raw);
    bytes += raw.length;
    if (bytes > 8 * MEGABYTE) flush();
  }
  if (bytes > 0) flush();
  closeSync(file);
}

function* numbered(count: number, rest: (i: number) => Document): Generator<Document> {
  for (let i = 0; i < count; i++) yield { _id: idOf(i + 1), ...rest(i) };
}

async function fillStaging(grounds: Grounds, documents: Iterable<Document>): Promise<void> {
  const { staging } = await targetDatabases(grounds);
  for (const document of documents) await staging.collection('things').insertOne(document);
}

/** 300 documents of 100 bytes in the backup, and of 4 MB in the target. */
async function smallInBackup(home: string, grounds: Grounds): Promise<void> {
  writeDocuments(
    home,
    'things',
    numbered(300, (n) => ({ n, text: 'x'.repeat(50) })),
  );
  await fillStaging(
    grounds,
    numbered(300, (n) => ({ n, pad: 'y'.repeat(4 * MEGABYTE) })),
  );
}

/** As many as a server may keep open files for, two of each; some are left for its own and for connections. */
const COLLECTIONS = Math.min(10_000, Math.floor((openFilesAllowed() - 2_000) / 2));

function openFilesAllowed(): number {
  try {
    const limit = /^Max open files +\d+ +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return Number(limit ?? Number.POSITIVE_INFINITY);
  } catch {
    return Number.POSITIVE_INFINITY; // not on Linux
  }
}

const fields = (count: number, value: (i: number) => unknown): Document =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, value(i)]));

const CASES: readonly Extreme[] = [
  {
    name: 'journal',
    about: '1,000,000 documents in a journal: applied, applied again, reverted',
    plan: ALL,
    prepare: async (home) =>
      writeDocuments(
        home,
        'things',
        numbered(MILLION, (n) => ({ n })),
      ),
    commands: [APPLY, APPLY, REVERT],
  },
  {
    name: 'larger',
    about: 'target documents 40,000 times larger: 300 of 4 MB where the backup has 100 bytes each',
    plan: ALL,
    prepare: smallInBackup,
    commands: [DRY_RUN, APPLY],
  },
  {
    name: 'images',
    about: 'large target documents replaced: 300 of 4 MB replaced by 100 bytes each, and put back',
    plan: REPLACED,
    prepare: smallInBackup,
    commands: [DRY_RUN, APPLY, REVERT],
  },
  {
    name: 'largest',
    about: '40 documents of 16 MB: compared, applied, applied again, verified, reverted',
    plan: ALL,
    prepare: async (home) =>
      writeDocuments(
        home,
        'things',
        numbered(40, (n) => ({ pad: 'x'.repeat(LARGEST - 100), n })),
      ),
    commands: [DRY_RUN, APPLY, APPLY, VERIFY, REVERT],
  },
  {
    name: 'largest-images',
    about: '40 documents of 16 MB replaced by as many: compared, replaced, put back',
    plan: REPLACED,
    prepare: async (home, grounds) => {
      writeDocuments(
        home,
        'things',
        numbered(40, (n) => ({ pad: 'x'.repeat(LARGEST - 100), n })),
      );
      await fillStaging(
        grounds,
        numbered(40, (n) => ({ pad: 'y'.repeat(LARGEST - 100), n })),
      );
    },
    commands: [DRY_RUN, APPLY, REVERT],
  },
  {
    name: 'fields',
    about: 'a document of 500,000 fields: another one in the target, in every report',
    plan: ALL,
    prepare: async (home, grounds) => {
      writeDocuments(
        home,
        'things',
        numbered(1, () => fields(500_000, (i) => i)),
      );
      await fillStaging(
        grounds,
        numbered(1, () => fields(500_000, (i) => `${i}`)),
      );
    },
    commands: [
      [...DRY_RUN, '--report', 'report.html', '--report', 'report.md', '--report', 'report.json'],
      [...DRY_RUN, '--full'],
      [...DRY_RUN, '--json'],
      APPLY,
    ],
  },
  {
    name: 'collections',
    about: `${COLLECTIONS.toLocaleString('en-US')} collections: selected, compared, applied, applied again, verified, reverted`,
    plan: Array.from({ length: COLLECTIONS }, (_, i) => `\n  - { collection: c${i}, query: {} }`).join(''),
    prepare: async (home) => {
      for (let i = 0; i < COLLECTIONS; i++)
        writeDocuments(
          home,
          `c${i}`,
          numbered(2, (n) => ({ n })),
        );
    },
    commands: [DRY_RUN, APPLY, APPLY, VERIFY, REVERT],
  },
  {
    name: 'chain',
    about: 'a chain 1,000,000 deep: children before their parents',
    plan: `
  - collection: things
    query: { parent: null }
    dependents: [{ collection: things, foreignKey: parent }]`,
    prepare: async (home) => {
      const chain = (i: number): Document => ({
        _id: idOf(MILLION - i),
        parent: i === MILLION - 1 ? null : idOf(MILLION - i - 1),
      });
      writeDocuments(home, 'things', numbered(MILLION, chain));
    },
    commands: [DRY_RUN],
  },
];

/** One measure each: they take minutes. */
export const EXTREMES: readonly Measure[] = CASES.map((extreme) => ({
  name: `memory-${extreme.name}`,
  about: extreme.about,
  run: async (grounds, options) => [await measureExtreme(grounds, extreme, options)],
}));

async function measureExtreme(
  grounds: Grounds,
  { about, prepare, plan, commands }: Extreme,
  { say }: Pick<MeasureOptions, 'say'>,
): Promise<Result> {
  const { staging } = await targetDatabases(grounds);
  await staging.dropDatabase();
  const dump = mkdtempSync(join(grounds.folder.path, 'extreme-'));
  const home = join(dump, DATABASE);
  mkdirSync(home);
  await prepare(home, grounds);
  const folder = writePlan(grounds, { path: dump }, plan);
  let most = 0;
  for (const command of commands) {
    const { peakBytes, wallMs } = await planProcess(grounds, folder, command, [0, 14]);
    say(`  ${command.join(' ')}: ${megabytes(peakBytes)}, ${(wallMs / 1000).toFixed(1)} s`);
    most = Math.max(most, peakBytes);
  }
  return peakResult(`peak memory: ${about}`, most);
}
