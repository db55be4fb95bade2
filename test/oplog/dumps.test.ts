/** Dumps that real tools take while the database is written to, rolled forward: not one document differs from what the server had. */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Binary, Long, serialize, Timestamp } from 'bson';
import * as assert from 'uvu/assert';
import { around, type Backup } from '../../src/backup/backup.ts';
import { openBackup } from '../../src/backup/open-backup.ts';
import { canonicalKey } from '../../src/bson/canonical-bytes.ts';
import { findId } from '../../src/bson/documents.ts';
import { elements } from '../../src/bson/elements.ts';
import { showDocument } from '../../src/bson/show.ts';
import { BSON } from '../../src/bson/types.ts';
import { RestorePlanError } from '../../src/errors.ts';
import { compareTimestamps, OplogEntry } from '../../src/oplog/entry.ts';
import { type RolledForward, rollForward } from '../../src/oplog/roll-forward.ts';
import type { Source } from '../../src/plan/plan.ts';
import type { SetOplog } from '../../src/plan/sources/oplog.ts';
import { Secret } from '../../src/secret.ts';
import { inBucket, onDisk, useCredentials } from '../backup/reading.ts';
import { test } from '../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { type ReplicaSet, startReplicaSet } from '../lab/replica-set.ts';
import { tarFolder } from '../lab/tar.ts';
import { mongodump, mongorestore, program } from '../lab/tools.ts';
import { QUIET } from '../quiet-run.ts';
import { fill, underLoad } from './write-load.ts';

const DOCUMENTS = Number(process.env['OPLOG_DOCUMENTS'] ?? 3000);
const DATABASE = 'shop';
const NAMES = ['a', 'b'] as const;
/** Taken until one can be replayed. */
const MOST_DUMPS = 3;

let set: ReplicaSet;
let replayed: ReplicaSet;
let folder: TemporaryFolder;
let lab: Lab;
/** The server's documents at `at`, by collection and `_id`. */
let atMoment: Map<string, Map<string, Buffer>>;
let at: Date;
/** Before the plain dump began. */
let begins: Date;
/** What the official tool makes of the dump and its oplog. */
let atDumpEnd: Map<string, Map<string, Buffer>>;

test.before(
  async () => {
    folder = temporaryFolder('oplog-dumps');
    lab = await openLab();
    useCredentials(lab.s3);
    set = await startReplicaSet();
    await fill(set.client, DATABASE, DOCUMENTS);
    // A moment stands for the whole second before it: the oplog of a set this young has to reach back that far.
    await nextSecond();
    begins = await nextSecond();
    const path = (name: string): string => join(folder.path, name);
    replayed = await startReplicaSet();
    for (let left = MOST_DUMPS; ; left--) {
      await dumpUnderLoad(path);
      if (await isReplayed(path('folder'), left === 1)) break;
      for (const name of readdirSync(folder.path)) rmSync(path(name), { recursive: true });
    }
    atDumpEnd = await stateOf(replayed);
    for (const name of ['folder', 'plain']) {
      await tarFolder(path(name), path(`${name}.tar`));
      await program('gzip', ['--keep', path(`${name}.tar`)]);
    }
    atMoment = await stateOf(set);
    at = await nextSecond();
    // The accident, and what went on after it.
    await set.client
      .db(DATABASE)
      .collection('a')
      .deleteMany({ n: { $lt: 500 } });
    await set.client
      .db(DATABASE)
      .collection('b')
      .updateMany({}, { $set: { wrong: true } });
    await mongodump(set.uri, ['-d', 'local', '-c', 'oplog.rs', '--out', path('saved')]);
    await mongodump(set.uri, ['-d', 'local', '-c', 'oplog.rs', '--gzip', '--out', path('saved.gz')]);
  },
  { deadlineMs: 240_000 },
);
test.after(async () => {
  await Promise.all([set?.stop(), replayed?.stop(), lab?.close()]);
  folder.remove();
});

async function dumpUnderLoad(path: (name: string) => string): Promise<void> {
  await underLoad(set, DATABASE, DOCUMENTS, async () => {
    await mongodump(set.uri, ['--oplog', '--out', path('folder')]);
    await mongodump(set.uri, ['--oplog', '--gzip', '--out', path('gzip')]);
    await mongodump(set.uri, ['--oplog', `--archive=${path('dump.archive')}`]);
    await mongodump(set.uri, ['--oplog', '--gzip', `--archive=${path('dump.archive.gz')}`]);
    await mongodump(set.uri, ['--db', DATABASE, '--out', path('plain')]);
    await mongodump(set.uri, ['--db', DATABASE, `--archive=${path('plain.archive')}`]);
  });
}

/** Whether the official tool replays the dump. It fails now and then: at an update that does not fit a later state of its document. */
async function isReplayed(dump: string, mustBe: boolean): Promise<boolean> {
  try {
    await mongorestore(replayed.uri, ['--drop', '--oplogReplay', dump]);
    return true;
  } catch (error) {
    if (mustBe || !/error applying oplog/.test(String(error))) throw error;
    return false;
  }
}

/** A moment after everything that was written so far. */
async function nextSecond(): Promise<Date> {
  await new Promise((resolve) => setTimeout(resolve, 1100));
  const moment = new Date();
  await new Promise((resolve) => setTimeout(resolve, 100));
  return moment;
}

async function stateOf({ client }: ReplicaSet): Promise<Map<string, Map<string, Buffer>>> {
  const state = new Map<string, Map<string, Buffer>>();
  for (const name of NAMES) {
    const found = await client
      .db(DATABASE)
      .collection(name)
      .find({}, { raw: true, batchSize: 10_000 })
      .toArray();
    state.set(name, byId(found.map((each) => Buffer.from(each as unknown as Uint8Array))));
  }
  return state;
}

function byId(documents: readonly Buffer[]): Map<string, Buffer> {
  return new Map(
    documents.map((document) => {
      const id = findId(document);
      return [id === undefined ? '' : canonicalKey(id), document];
    }),
  );
}

const LIVE = (): SetOplog => ({ kind: 'mongodb', uri: new Secret(set.uri), begins: undefined });
const instant = (date: Date): NonNullable<Source['at']> => ({
  epochMs: date.getTime(),
  text: date.toISOString(),
});

async function rolled<T>(
  name: string,
  oplog: SetOplog,
  look: (rolled: RolledForward) => Promise<T>,
  more: Partial<Source> = {},
): Promise<T> {
  const moment = oplog.kind === 'backup' ? {} : { at: instant(at) };
  const source = { ...onDisk(join(folder.path, name), { database: DATABASE, ...moment, ...more }), oplog };
  const wanted = new Set<string>(NAMES);
  const backup = await openBackup(QUIET, source, { wanted });
  try {
    return await look(
      await rollForward(QUIET, { source, oplog, backup, wanted, spillPath: join(folder.path, 'spill-') }),
    );
  } finally {
    await backup.close();
  }
}

async function documentsOf(backup: Backup): Promise<Map<string, Buffer[]>> {
  const documents = new Map<string, Buffer[]>(NAMES.map((name) => [name, []]));
  for await (const piece of backup.read(new Set(NAMES))) {
    if (piece.type !== 'documents') continue;
    for (let i = 0; i < piece.count; i++)
      documents
        .get(piece.member.collection)
        ?.push(Buffer.from(piece.bytes.subarray(piece.starts[i], piece.starts[i + 1])));
  }
  return documents;
}

/**
 * What mongorestore does not write as it was: it encodes values of oplog entries anew, binary ones of the old subtype 2 in another way, and a
 * server fills in an empty timestamp when a document is inserted.
 */
function isLostOnMongorestore(document: Buffer): boolean {
  const hasEmptyTimestamp = [...elements(document)].some(
    ({ type, start }) => type === BSON.TIMESTAMP && document.readBigInt64LE(start) === 0n,
  );
  return hasEmptyTimestamp || showDocument(document).includes('"subType":"02"');
}

async function isExactly(
  { backup }: RolledForward,
  expected: Map<string, Map<string, Buffer>>,
  isLeftOut: (document: Buffer) => boolean = () => false,
): Promise<void> {
  for (const [name, documents] of await documentsOf(backup)) {
    const server = expected.get(name) as Map<string, Buffer>;
    const ours = byId(documents);
    assert.is(ours.size, documents.length, 'no _id twice');
    const wrong = [...server].filter(([id, document]) => {
      const own = ours.get(id);
      return own === undefined || !(own.equals(document) || isLeftOut(own));
    });
    const shown = wrong
      .slice(0, 3)
      .map(([id, document]) => `${showDocument(document)} and not ${show(ours.get(id))}`);
    assert.is(wrong.length, 0, `${wrong.length} of ${server.size} differ in ${name}:\n${shown.join('\n')}`);
    assert.is(ours.size, server.size, name);
  }
}

const show = (document: Buffer | undefined): string =>
  document === undefined ? 'none' : showDocument(document);

const STORED = (...path: string[]): SetOplog => ({
  kind: 'stored',
  from: { kind: 'path', path: join(folder.path, ...path), timezone: undefined },
  begins: undefined,
});
const SAVED = (folderName = 'saved', name = 'oplog.rs.bson'): SetOplog => STORED(folderName, 'local', name);

const WITH_OPLOG = ['folder', 'folder.tar', 'folder.tar.gz', 'gzip', 'dump.archive', 'dump.archive.gz'];

for (const name of WITH_OPLOG) {
  test(`${name} --oplog: up to the moment, by the live oplog`, () =>
    rolled(name, LIVE(), async (result) => {
      assert.is(result.record.beginSaid, 'dump');
      await isExactly(result, atMoment);
    }));
}

for (const name of ['plain', 'plain.tar', 'plain.tar.gz', 'plain.archive']) {
  test(`${name}, no oplog: up to the moment, from where the plan says that it began`, () =>
    rolled(name, { ...LIVE(), begins: instant(begins) }, async (result) => {
      assert.is(result.record.beginSaid, 'plan');
      assert.match(
        result.warnings.join(),
        /are exact if the dump began after .* and was finished before \S+Z/,
      );
      await isExactly(result, atMoment);
    }));
}

for (const name of ['folder', 'folder.tar', 'folder.tar.gz']) {
  test(`${name}: up to its own end, as mongorestore --oplogReplay`, () =>
    rolled(name, { kind: 'backup', begins: undefined }, (result) =>
      isExactly(result, atDumpEnd, isLostOnMongorestore),
    ));
}

for (const name of ['gzip', 'dump.archive', 'dump.archive.gz']) {
  test(`${name}: its own oplog is read, and may be read again`, () =>
    rolled(name, { kind: 'backup', begins: undefined }, async (result) => {
      assert.ok(result.record.entries > 0);
      const first = await documentsOf(result.backup);
      const again = await documentsOf(result.backup);
      assert.equal(again, first);
    }));
}

test('the sum of the entries is the same, whatever the dump lies in', async () => {
  const sums = new Set<string>();
  for (const name of ['folder', 'folder.tar', 'folder.tar.gz'])
    sums.add(
      await rolled(name, LIVE(), async ({ record }) => `${record.sha256} ${record.entries} ${record.cut}`),
    );
  assert.is(sums.size, 1);
});

test('a saved oplog gives the same documents and the same sum as the live one', async () => {
  const sums: string[] = [];
  for (const [name, oplog] of [
    ['folder', LIVE()],
    ['folder', SAVED()],
    ['folder.tar.gz', SAVED('saved.gz', 'oplog.rs.bson.gz')],
  ] as const)
    await rolled(name, oplog, async (result) => {
      await isExactly(result, atMoment);
      const { sha256, entries, cut, cutWall, begin } = result.record;
      sums.push([sha256, entries, cut, cutWall, begin].join());
    });
  assert.is(new Set(sums).size, 1, sums.join('\n'));
  await rolled('plain', { ...SAVED(), begins: instant(begins) }, (result) => isExactly(result, atMoment));
});

test('where no entry is about the plan, its own server proves the oplog, and that of another set is warned of', async () => {
  const wanted = new Set(['c']);
  await set.client.db('idle').collection('c').insertOne({});
  const begun = await nextSecond();
  await mongodump(set.uri, ['--db', 'idle', '--out', join(folder.path, 'idle')]);
  const moment = await nextSecond();
  const warningsOf = async ({ uri, client }: ReplicaSet): Promise<string> => {
    await client.db('elsewhere').collection('c').insertOne({});
    const oplog: SetOplog = { kind: 'mongodb', uri: new Secret(uri), begins: instant(begun) };
    const from = onDisk(join(folder.path, 'idle'), { database: 'idle', at: instant(moment) });
    const source = { ...from, oplog };
    const backup = await openBackup(QUIET, source, { wanted });
    const order = { source, oplog, backup, wanted, spillPath: join(folder.path, 'spill-') };
    const { warnings, rolling } = await rollForward(QUIET, order);
    rolling.close();
    await backup.close();
    return warnings.join('\n');
  };
  assert.not.match(await warningsOf(set), /nothing proves that it is/);
  assert.match(await warningsOf(replayed), /nothing proves that it is the oplog of the set that was dumped/);
});

test('behind the cut a long oplog is read for a day, and that is told', async () => {
  const whole = readFileSync(join(folder.path, 'saved/local/oplog.rs.bson'));
  const next = Math.floor(Date.now() / 1000) + 25 * 3600;
  const nothing = Array.from({ length: 2000 }, (_, i) =>
    serialize({
      ...{ ts: new Timestamp({ t: next + i, i: 1 }), t: Long.ONE, v: Long.fromNumber(2), op: 'n', ns: '' },
      ...{ wall: new Date((next + i) * 1000), o: { msg: 'x'.repeat(4000) } },
    }),
  );
  writeFileSync(join(folder.path, 'long.bson'), Buffer.concat([whole, ...nothing]));
  await rolled('folder', STORED('long.bson'), async (result) => {
    const [until = 0] = result.record.laterUntil ?? [];
    assert.ok(until < next + 1000, `${until - next} s into the next day`);
    await isExactly(result, atMoment);
  });
});

/** Where each entry starts, and the end of the last. */
function offsetsIn(entries: Buffer): number[] {
  const offsets = [0];
  for (let start = 0; start < entries.length; start = offsets.at(-1) as number)
    offsets.push(start + entries.readInt32LE(start));
  return offsets;
}

test('saved in pieces, in a folder, a series or a bucket, it is the same oplog', async () => {
  const whole = readFileSync(join(folder.path, 'saved/local/oplog.rs.bson'));
  const offsets = offsetsIn(whole);
  const piece = Math.ceil(offsets.length / 5);
  const bucket = await lab.bucket('oplog');
  const expected = await rolled('folder', LIVE(), async ({ record }) => record.sha256);
  for (const folderName of ['pieces', 'series']) mkdirSync(join(folder.path, folderName));
  for (let i = 0; i < 5; i++) {
    // Each piece begins with the last entry of the one before.
    const from = Math.max(0, i * piece - 1);
    const bytes = gzipSync(
      whole.subarray(offsets[from], offsets[Math.min((i + 1) * piece, offsets.length - 1)]),
    );
    writeFileSync(join(folder.path, 'pieces', `${'ecbad'[i]}.bson.gz`), bytes);
    writeFileSync(join(folder.path, 'series', `2026-01-0${i + 1}.bson.gz`), bytes);
    await bucket.put(`oplog/2026-01-0${i + 1}.bson.gz`, bytes);
  }
  const s3 = inBucket(lab.s3, bucket, 'oplog/').location as Extract<SetOplog, { kind: 'stored' }>['from'];
  for (const oplog of [
    STORED('pieces'),
    STORED('series/{time:yyyy-MM-dd}.bson.gz'),
    { kind: 'stored', from: s3, begins: undefined } as const,
    {
      kind: 'stored',
      from: { ...s3, key: 'oplog/{time:yyyy-MM-dd}.bson.gz' } as typeof s3,
      begins: undefined,
    } as const,
  ])
    await rolled('folder', oplog, async (result) => {
      await isExactly(result, atMoment);
      assert.is(result.record.sha256, expected);
    });
});

test('a saved oplog that does not cover what is needed, or is damaged, is refused', async () => {
  const whole = readFileSync(join(folder.path, 'saved/local/oplog.rs.bson'));
  const save = (bytes: Buffer): SetOplog => {
    writeFileSync(join(folder.path, 'cut.bson'), bytes);
    return STORED('cut.bson');
  };
  const offsets = offsetsIn(whole);
  const early = offsets[5] as number;
  await refused(
    'folder',
    save(whole.subarray(0, early)),
    /has no entry|its newest entry is .*, before source\.at/,
  );
  await refused('folder', save(whole.subarray(0, early - 3)), /the last \d+ bytes are not a whole document/);
  await refused('folder', save(whole.subarray(offsets.at(-20))), /it begins at .*, and is needed from/);
  await refused('folder', save(Buffer.alloc(0)), /it is empty/);
  await refused(
    'folder',
    save(Buffer.concat([whole.subarray(0, early), whole])),
    /timestamps rise.*A source\.at no later than \d+,\d+ \(\S+Z\) needs nothing behind that/s,
  );
  await refused('folder', save(Buffer.from('no oplog at all')), /impossible document length/);
  await refused('folder', { ...SAVED('nowhere') }, /is not there/);
  await refused('folder', STORED('spill'), /is not there/);
});

test('entries of a newer server, an unfinished transaction and a lost collection are refused, with the moment that can do without', async () => {
  const whole = readFileSync(join(folder.path, 'saved/local/oplog.rs.bson'));
  const offsets = offsetsIn(whole);
  // The middle of what is used.
  const begin = await rolled('folder', SAVED(), async ({ record }) => record.begin);
  const entry = new OplogEntry();
  const at = offsets.find((offset) => {
    const { seconds, ordinal } = entry.read(whole, offset);
    return compareTimestamps({ seconds, ordinal }, { seconds: begin[0], ordinal: begin[1] + 5 }) > 0;
  }) as number;
  const { seconds, ordinal, wall } = entry.read(whole, offsets[offsets.indexOf(at) - 1] as number);
  const [info] = await set.client.db(DATABASE).listCollections({ name: 'a' }).toArray();
  const fields = {
    ts: new Timestamp({ t: seconds, i: ordinal + 1 }),
    wall: new Date(wall),
    v: Long.fromNumber(2),
    ns: `${DATABASE}.a`,
    ui: (info as unknown as { info: { uuid: Binary } }).info.uuid,
  };
  const update = { op: 'u', o2: { _id: 1 } };
  for (const [more, message] of [
    [{ op: 'i', o: { _id: 1 }, v: Long.fromNumber(3) }, /it is an entry of version 3/],
    [{ op: 'zz', o: { _id: 1 } }, /an operation "zz" that is not known here/],
    [{ op: 'c', ns: `${DATABASE}.$cmd`, o: { meltCollection: 'a' } }, /a command "meltCollection"/],
    [{ ...update, o: { $v: 3, diff: {} } }, /its update is of a kind \(\$v\) that is not known here/],
    [
      { op: 'c', ns: `${DATABASE}.$cmd`, o: { importCollection: 'shop.a' } },
      /"importCollection" that cannot be followed/,
    ],
    [
      { op: 'c', ns: `${DATABASE}.$cmd`, o: { drop: 'a' }, o2: { numRecords: 7 } },
      /was dropped with 7 documents.*Let source\.at be no later/s,
    ],
    [
      { op: 'c', ns: `${DATABASE}.$cmd`, o: { emptycapped: 'a' } },
      /was emptied.*Let source\.at be no later/s,
    ],
  ] as const) {
    const bytes = Buffer.concat([
      whole.subarray(0, at),
      serialize({ ...fields, ...more }),
      whole.subarray(at),
    ]);
    writeFileSync(join(folder.path, 'newer.bson'), bytes);
    await refused('folder', STORED('newer.bson'), message);
    await refused(
      'folder',
      STORED('newer.bson'),
      new RegExp(`(at the entry ${seconds},${ordinal + 1}.*source\\.at (be )?no later than)`, 's'),
    );
  }
});

async function refused(
  name: string,
  oplog: SetOplog,
  message: RegExp,
  more: Partial<Source> = {},
): Promise<void> {
  const error = await rolled(name, oplog, async () => undefined, more).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.instance(error, RestorePlanError, `not refused: ${message}`);
  assert.is((error as RestorePlanError).code, 'BACKUP');
  assert.ok((error as RestorePlanError).hint);
  assert.match(`${(error as RestorePlanError).message} ${(error as RestorePlanError).hint}`, message);
}

test('a compressed tar is read twice: for its oplog and its names, then for its documents', async () => {
  for (const [name, oplog] of [
    ['folder.tar.gz', SAVED()],
    ['folder.tar.gz', { kind: 'backup', begins: undefined }],
    ['plain.tar.gz', { ...SAVED(), begins: instant(begins) }],
  ] as const)
    assert.is(await passes(name, oplog), 2, `${name} by ${oplog.kind}`);
});

/** How often all of a backup is passed through while it is rolled forward and read. */
async function passes(name: string, oplog: SetOplog): Promise<number> {
  const moment = oplog.kind === 'backup' ? {} : { at: instant(at) };
  const source = { ...onDisk(join(folder.path, name), { database: DATABASE, ...moment }), oplog };
  const wanted = new Set<string>(NAMES);
  const backup = await openBackup(QUIET, source, { wanted });
  let count = 0;
  const counted: Backup = {
    ...around(backup, {
      read: (...given) => {
        count++;
        return backup.read(...given);
      },
      close: () => backup.close(),
    }),
    oplog: () => {
      count++;
      return backup.oplog?.() as AsyncIterable<Buffer>;
    },
  };
  const spillPath = join(folder.path, 'spill-');
  const result = await rollForward(QUIET, { source, oplog, backup: counted, wanted, spillPath });
  await isExactly(result, oplog.kind === 'backup' ? atDumpEnd : atMoment, isLostOnMongorestore);
  result.rolling.close();
  await backup.close();
  return count;
}

test('what a dump says of its collections decides: another UUID, none, and a capped one are refused', async () => {
  const place = join(folder.path, 'told');
  const file = join(place, DATABASE, 'a.metadata.json');
  cpSync(join(folder.path, 'folder'), place, { recursive: true });
  const metadata = JSON.parse(readFileSync(file, 'utf8'));
  for (const [change, message] of [
    [
      { uuid: '07'.repeat(16) },
      /belong to a collection with the UUID [0-9a-f]{32}, and that of the backup is 0707/,
    ],
    [{ uuid: undefined }, /does not say the UUID of a, by which/],
    [{ options: { capped: true, size: 4096 } }, /a is capped and cannot be rolled forward/],
  ] as const) {
    writeFileSync(file, JSON.stringify({ ...metadata, ...change }));
    for (const oplog of [LIVE(), SAVED()]) await refused('told', oplog, message);
  }
});

test('what cannot be proven or done is refused', async () => {
  await refused('plain', LIVE(), /does not say when it was begun/);
  await refused(
    'plain',
    { ...LIVE(), begins: instant(new Date(Date.now() - 1000)) },
    /is later than the end of the backup/,
    {
      at: instant(new Date()),
    },
  );
  await refused(
    'plain',
    { ...LIVE(), begins: instant(new Date(begins.getTime() - 3_600_000)) },
    /it begins at .*, and is needed from/,
  );
  await refused('folder', LIVE(), /its newest entry is .*, before source\.at/, {
    at: instant(new Date(Date.now() + 3_600_000)),
  });
  await refused('folder', LIVE(), /the dump ended at .*, later than source\.at/, {
    at: instant(begins),
  });
  await refused('plain', { kind: 'backup', begins: undefined }, /holds no oplog/);
  await refused(
    'folder',
    { kind: 'backup', begins: undefined },
    /the dump ended at .*, later than source\.at/,
    { at: instant(begins) },
  );
  const other = { ...LIVE(), uri: new Secret(replayed.uri) };
  await refused('folder', other, /it begins at|has no entry/);
});

test.run();
