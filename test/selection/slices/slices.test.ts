/** A selection by slices is the one of a single reading, wherever the cuts are. */
import { readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serialize } from 'bson';
import * as assert from 'uvu/assert';
import { DiskStore } from '../../../src/backup/disk/disk-store.ts';
import { openBackup } from '../../../src/backup/open-backup.ts';
import { StretchReader } from '../../../src/backup/readers/stretch.ts';
import { RestorePlanError } from '../../../src/errors.ts';
import type { RunEvent } from '../../../src/events.ts';
import { collectionNames } from '../../../src/plan/plan.ts';
import { CHUNK_BYTES, KeptMemory, memoryOf } from '../../../src/selection/slices/kept-memory.ts';
import { decodePart, encodePart, type Part } from '../../../src/selection/slices/part.ts';
import { inTurn, type SliceRunner } from '../../../src/selection/slices/slice-runner.ts';
import { onDisk } from '../../backup/reading.ts';
import { test } from '../../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../../lab/guard.ts';
import { type Random, seededRandom } from '../../lab/random.ts';
import { tarFolder } from '../../lab/tar.ts';
import { QUIET } from '../../quiet-run.ts';
import { ART, chunkedBackup } from '../chunked-backup.ts';
import { planOf } from '../plans.ts';
import { refusal, select } from '../selecting.ts';
import { type Comparing, HOSTILE_PLAN, outcomeOf, threadsOf, writeDump } from './compared.ts';
import { hostileMembers } from './hostile-members.ts';

let folder: TemporaryFolder;
test.before.each(() => {
  folder = temporaryFolder('slices');
});
test.after.each(() => folder.remove());

const comparing = (random: Random, documents = 60): Comparing => {
  const path = writeDump(hostileMembers(random, { documents, largest: 9_000 }), folder.path);
  return { plan: HOSTILE_PLAN, source: onDisk(path), folder: folder.path };
};

test('any cuts give the same selection, with the same members', async () => {
  const random = seededRandom(20);
  for (let dump = 0; dump < 2; dump++) {
    const given = comparing(random);
    const expected = await outcomeOf(given);
    assert.match(expected, '"digest"');
    for (let i = 0; i < 6; i++) {
      const sliceBytes = random.integer(100, random.pick([500, 2_000, 20_000]));
      assert.is(
        await outcomeOf(given, { runner: inTurn(sliceBytes) }),
        expected,
        `dump ${dump}, slices of ${sliceBytes} bytes`,
      );
    }
  }
});

test('the same of documents that are larger than what is looked through for a beginning', async () => {
  const random = seededRandom(24);
  const path = writeDump(hostileMembers(random, { documents: 200, largest: 2_500_000 }), folder.path);
  const given = { plan: HOSTILE_PLAN, source: onDisk(path), folder: folder.path };
  const expected = await outcomeOf(given);
  assert.match(expected, '"digest"');
  for (let i = 0; i < 6; i++) {
    const sliceBytes = random.integer(200_000, 6_000_000);
    assert.is(
      await outcomeOf(given, { runner: inTurn(sliceBytes) }),
      expected,
      `slices of ${sliceBytes} bytes`,
    );
  }
});

for (const [name, documentBytes] of [
  ['some', 300_000],
  ['large', 3_000_000],
  ['the largest', 16_000_000],
] as const) {
  test(`wherever a stretch of ${name} documents is cut, the next one's beginning is found`, async () => {
    const random = seededRandom(25);
    const documents = Array.from({ length: Math.ceil(40_000_000 / documentBytes) }, (_, _id) =>
      serialize({ _id, noise: Buffer.alloc(documentBytes, random.bytes(9_973)) }),
    );
    const bytes = Buffer.concat(documents);
    const path = join(folder.path, 'large.bson');
    writeFileSync(path, bytes);
    const store = new DiskStore({ isInThread: true });
    const found = await store.find(path);
    assert.ok(found?.kind === 'file');
    const at = found.open();
    const starts = documents.map((_, number) =>
      documents.slice(0, number).reduce((sum, { length }) => sum + length, 0),
    );
    for (let i = 0; i < 12; i++) {
      const from = random.integer(1, bytes.length - 1);
      const to = Math.min(bytes.length, from + random.integer(1, 20_000_000));
      const reader = new StretchReader(at, { from, to });
      let given = 0;
      for await (const { count } of reader.read()) given += count;
      const own = starts.filter((start) => start >= from && start < to);
      assert.is(reader.begin, own[0], `[${from}, ${to})`);
      assert.is(given, own.length);
    }
    await store.close();
  });
}

test('a damaged byte is the same fault, or none', async () => {
  const random = seededRandom(21);
  const given = comparing(random, 40);
  let faults = 0;
  for (let i = 0; i < 10; i++) {
    const file = join(
      folder.path,
      'dump',
      'gravity',
      `${random.pick(['artworks', 'imitations', 'folders'])}.bson`,
    );
    const sound = readFileSync(file);
    const damaged = Buffer.from(sound);
    damaged[random.integer(0, damaged.length - 1)] = random.pick([0, 1, 0x05, 0xff]);
    writeFileSync(
      file,
      random.chance(0.2) ? damaged.subarray(0, random.integer(1, damaged.length)) : damaged,
    );
    const expected = await outcomeOf(given);
    if (expected.includes('"code"')) faults++;
    assert.is(await outcomeOf(given, { runner: inTurn(random.integer(150, 4_000)) }), expected);
    writeFileSync(file, sound);
  }
  assert.ok(faults > 2, `${faults} faults`);
});

test('a part that was written and read again is the same; one that was damaged or cut off is none', async () => {
  const random = seededRandom(23);
  const given = comparing(random);
  const base = inTurn(2_000);
  const runner: SliceRunner = {
    ...base,
    async *run(...level) {
      for await (const part of base.run(...level)) {
        const written = Buffer.concat(encodePart(part));
        const at = random.integer(0, written.length - 1);
        assert.is(decodePart(written.subarray(0, at)), undefined);
        const damaged = Buffer.from(written);
        damaged[at] = (damaged[at] as number) ^ 1;
        assert.is(decodePart(damaged), undefined);
        yield decodePart(written) as Part;
      }
    },
  };
  assert.is(await outcomeOf(given, { runner }), await outcomeOf(given));
});

test('and so do threads, whichever is done first', async () => {
  const random = seededRandom(22);
  const given = comparing(random, 200);
  const expected = await outcomeOf(given);
  for (const threads of [2, 3, 8])
    assert.is(
      await outcomeOf(given, { threads: await threadsOf(threads, random.integer(400, 3_000)) }),
      expected,
    );
});

test('threads wait for memory, and the slice that is joined next never does', async () => {
  const random = seededRandom(26);
  // Large beside chunks and slices, and small between them.
  const numbers = Array.from({ length: 40 }, (_, _id) =>
    serialize({ _id, text: Buffer.alloc(random.pick([10, 1_000, 90_000, 1_500_000, 0])) }),
  );
  const path = writeDump(new Map([['numbers', numbers.map((each) => Buffer.from(each))]]), folder.path);
  const plan = planOf({ collection: 'numbers', query: {} });
  const given = { plan, source: onDisk(path), folder: folder.path };
  const expected = await outcomeOf(given);
  assert.match(expected, /"count": 40/);
  for (const [threads, sliceBytes, keptBytes] of [
    [3, 1_500_000, 0],
    [3, 4_000_000, 1_000_000],
  ] as const)
    assert.is(
      await outcomeOf(given, { threads: { ...(await threadsOf(threads, sliceBytes)), keptBytes } }),
      expected,
    );
});

test('no more memory is lent than there may be, but to who needs it at once; what comes back is lent again', () => {
  const memory = new KeptMemory();
  memory.mostBytes = 4 * CHUNK_BYTES;
  const [first, ...others] = memory.lend(2) ?? [];
  assert.is(others.length, 3, 'more than was asked for, while there is some');
  assert.is(memory.lend(1), undefined);
  const further = memory.lendAtOnce(5);
  assert.is(further.length, 5);
  memory.giveBack(further);
  assert.is(memory.lend(1), undefined, 'as many as there may be are lent');
  memory.giveBack([(first as Uint8Array).subarray(0, 10), ...others]);
  const again = memory.lend(4) ?? [];
  const lent = new Set([first as Uint8Array, ...others, ...further].map(memoryOf));
  assert.ok(again.every((chunk) => chunk.length === CHUNK_BYTES && lent.has(memoryOf(chunk))));
});

test('a thread holds one handle of a file, however many slices it scans', async () => {
  const random = seededRandom(25);
  const { plan, source, folder: root } = comparing(random, 200);
  const path = join(root, 'dump.tar');
  await tarFolder(join(root, 'dump'), path);
  const given = { plan, source: { ...source, ...onDisk(path) }, folder: root };
  const handles = (): number =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(join('/proc/self/fd', fd)) === path;
      } catch {
        return false; // closed meanwhile
      }
    }).length;
  let most = 0;
  const emit = ({ type }: RunEvent): void => {
    if (type === 'selection-progress' && process.platform === 'linux') most = Math.max(most, handles());
  };
  const threads = await threadsOf(2, 300);
  assert.is(await outcomeOf(given, { threads, emit }), await outcomeOf(given));
  assert.ok(process.platform !== 'linux' || (most > 1 && most <= 3), `${most} handles`);
});

test('a stop ends the threads, whatever they are at, and leaves nothing', async () => {
  const { plan, source, folder: root } = comparing(seededRandom(24), 400);
  const backup = await openBackup(QUIET, source, { wanted: collectionNames(plan) });
  const stop = new AbortController();
  const reason = new RestorePlanError('SIGINT', 'stopped by SIGINT');
  const emit = ({ type }: RunEvent): void => {
    if (type === 'selection-progress') stop.abort(reason);
  };
  const how = { backup, folder: root, emit, signal: stop.signal, threads: await threadsOf(3, 500) };
  assert.is(await refusal(select({ ...plan, source }, how)), reason);
  await backup.close();
  assert.equal(readdirSync(join(root, '.restore-plan', 'selections')), []);
});

test('of a large backup that is one stream it is said what would be faster; not where one thread is wanted', async () => {
  const plan = planOf({ collection: 'artworks', query: {} });
  for (const [size, threads, expected] of [
    [2 ** 31, {}, 1],
    [2 ** 31, { threads: 1 }, 0],
    [2 ** 20, {}, 0],
  ] as const) {
    const one = chunkedBackup({ access: 'interleaved', members: ART });
    const backup = { ...one, identity: { ...one.identity, kind: 'tar.gz', size } };
    const said: string[] = [];
    const emit = (event: RunEvent): void => {
      if (event.type === 'warning') said.push(event.message);
    };
    const { directory } = await select(plan, { backup, folder: folder.path, emit, threads });
    rmSync(directory, { recursive: true });
    assert.is(
      said.filter((message) => /read by one thread: a tar\.gz is one stream/.test(message)).length,
      expected,
    );
  }
});

test.run();
