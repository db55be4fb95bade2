/** Peak memory where an oplog holds much: a million documents deleted, changed, or told of in a history of as many runs. */
import { closeSync, mkdirSync, mkdtempSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Binary, Long, ObjectId, serialize, Timestamp } from 'bson';
import { writePlan } from './bench-plan.ts';
import { DATABASE, type Grounds } from './grounds.ts';
import type { Measure, MeasureOptions, Result } from './measure.ts';
import { megabytes } from './measure.ts';
import { peakResult } from './memory.ts';
import { planProcess } from './plan-process.ts';

const DOCUMENTS = 1_000_000;
const UUID = '8f0e6f0a4c3f4b0e9a0d3c1b2a190817';
/** UTC milliseconds of the first operation; the backup was made before. */
const FROM = Date.UTC(2026, 10, 22, 8);
const HOUR = 3_600_000;

interface Deed {
  readonly op: 'd' | 'i' | 'u';
  readonly o: object;
  readonly o2?: object;
  /** Between one document and the next, milliseconds. */
  readonly apart: number;
}

const ID = new ObjectId('eeeeeeeeeeeeeeeeeeeeeeee');
const DELETE: Deed = { op: 'd', o: { _id: ID }, apart: 1 };
const CHANGE: Deed = { op: 'u', o: { $v: 2, diff: { u: { n: 7 } } }, o2: { _id: ID }, apart: 1 };
const INSERT: Deed = { op: 'i', o: { _id: ID, n: 1 }, o2: { _id: ID }, apart: 1 };

interface Row {
  readonly name: string;
  readonly about: string;
  readonly deeds: readonly Deed[];
  /** YAML of the `collections`. */
  readonly plan: string;
  readonly command: readonly string[];
}

const window = (kind: string, rest: string): string =>
  `\n  - { collection: few, ${kind}: { from: ${iso(FROM)}, until: ${iso(FROM + HOUR)} }${rest} }`;

const DRY_RUN = ['dry-run', 'plan.yaml', '--target', 'staging'];

const ROWS: readonly Row[] = [
  {
    name: 'deleted',
    about: '1,000,000 documents deleted in a window: selected as they were, and compared',
    deeds: [DELETE],
    plan: window('deleted', ''),
    command: DRY_RUN,
  },
  {
    name: 'changed',
    about: '1,000,000 documents changed in a window: selected as they were, and compared',
    deeds: [CHANGE],
    plan: window('changed', ', whenMatched: merge'),
    command: DRY_RUN,
  },
  {
    name: 'history',
    about: '1,000,000 deletions six seconds apart, each a run, and as many insertions of the same documents',
    deeds: [
      { ...DELETE, apart: 6_000 },
      { ...INSERT, apart: 6_000 },
    ],
    plan: '\n  - { collection: few, query: {} }',
    command: ['history', 'plan.yaml', '--json'],
  },
];

export const OPLOG_MEMORY: readonly Measure[] = ROWS.map((row) => ({
  name: `memory-${row.name}`,
  about: row.about,
  run: async (grounds, options) => [await measureRow(grounds, row, options)],
}));

async function measureRow(
  grounds: Grounds,
  { about, deeds, plan, command }: Row,
  { say }: Pick<MeasureOptions, 'say'>,
): Promise<Result> {
  const folder = mkdtempSync(join(grounds.folder.path, 'oplog-memory-'));
  writeDump(join(folder, 'dump', DATABASE));
  writeOplog(join(folder, 'oplog.bson'), deeds);
  const place = {
    path: join(folder, 'dump'),
    oplog: `{ path: ${join(folder, 'oplog.bson')}, begins: ${iso(FROM - HOUR)} }`,
  };
  const { peakBytes, wallMs } = await planProcess(grounds, writePlan(grounds, place, plan), command);
  say(`  ${command.join(' ')}: ${megabytes(peakBytes)}, ${(wallMs / 1000).toFixed(1)} s`);
  return peakResult(`peak memory: ${about}`, peakBytes);
}

function iso(time: number): string {
  return new Date(time).toISOString();
}

function writeDump(folder: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'few.metadata.json'),
    JSON.stringify({ indexes: [], uuid: UUID, collectionName: 'few' }),
  );
  const document = Buffer.from(serialize({ _id: ID, n: 1, text: 'x'.repeat(50) }));
  const file = openSync(join(folder, 'few.bson'), 'w');
  writeCopies(file, document, (copy, i) => setId(copy, i));
  closeSync(file);
}

function writeOplog(path: string, deeds: readonly Deed[]): void {
  const file = openSync(path, 'w');
  const ui = new Binary(Buffer.from(UUID, 'hex'), 4);
  const entryAt = (time: number, fields: object): Buffer =>
    Buffer.from(
      serialize({
        ...fields,
        ...{ ts: timestampOf(time), t: Long.ONE, v: Long.fromNumber(2), wall: new Date(time) },
      }),
    );
  writeSync(file, entryAt(FROM - HOUR, { op: 'n', ns: '', o: {} }));
  let begins = FROM;
  for (const { apart, ...deed } of deeds) {
    const first = begins;
    const entry = entryAt(first, { ...deed, ns: `${DATABASE}.few`, ui });
    const ts = entry.indexOf('\x11ts\0') + 4;
    const wall = entry.indexOf('\x09wall\0') + 6;
    writeCopies(file, entry, (copy, i) => {
      const time = first + i * apart;
      setId(copy, i);
      // A second has a thousand of them at most, and their order is that of their milliseconds.
      copy.writeUInt32LE((time % 1000) + 1, ts);
      copy.writeUInt32LE(Math.floor(time / 1000), ts + 4);
      copy.writeBigInt64LE(BigInt(time), wall);
    });
    begins += DOCUMENTS * apart;
  }
  writeSync(file, entryAt(begins + HOUR, { op: 'n', ns: '', o: {} }));
  closeSync(file);
}

function timestampOf(time: number): Timestamp {
  return new Timestamp({ t: Math.floor(time / 1000), i: 1 });
}

/** Puts another `_id` in each place where the one of the pattern stands. */
function setId(copy: Buffer, i: number): void {
  for (let at = copy.indexOf(ID.id); at >= 0; at = copy.indexOf(ID.id, at + 12))
    copy.writeUInt32BE(i, at + 8);
}

/** `DOCUMENTS` copies, each changed a little. */
function writeCopies(file: number, pattern: Buffer, change: (copy: Buffer, i: number) => void): void {
  const together = 1_000;
  const some = Buffer.alloc(pattern.length * together);
  for (let i = 0; i < DOCUMENTS; i += together) {
    for (let j = 0; j < together; j++) {
      const copy = some.subarray(j * pattern.length, (j + 1) * pattern.length);
      pattern.copy(copy);
      change(copy, i + j);
    }
    writeSync(file, some);
  }
}
