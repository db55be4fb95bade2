/** The catalogue of faults, group B: bytes in a dump that are not what they should be, and odd bytes that must come through unharmed. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, ObjectId, serialize, Timestamp } from 'bson';
import * as assert from 'uvu/assert';
import type { RestorePlanError } from '../../src/errors.ts';
import type { Plan } from '../../src/plan/plan.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { CORPUS_DECODE_ERRORS } from '../bson/corpus-decode-errors.ts';
import { test } from '../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type ChunkedMember, type Chunking, chunkedBackup } from './chunked-backup.ts';
import { planOf } from './plans.ts';
import { refusal, select } from './selecting.ts';

let folder: TemporaryFolder;
test.before.each(() => {
  folder = temporaryFolder('bad-bytes');
});
test.after.each(() => folder.remove());

const bson = (document: Document): Buffer => Buffer.from(serialize(document, { ignoreUndefined: false }));
const FIRST = bson({ _id: 1, state: 'open' });
const LAST = bson({ _id: 3, state: 'open' });

/** Selects from one member that holds these bytes, cut into chunks of `chunkBytes`. */
function selectFrom(bytes: Buffer, { query = {}, chunkBytes = 11 } = {}): Promise<Selection> {
  const backup = chunkedBackup({
    access: 'random',
    members: [{ collection: 'artworks', bytes }],
    nextLength: () => chunkBytes,
  });
  return select(planOf({ collection: 'artworks', query }), { backup, folder: folder.path });
}

function selectedBytes(selection: Selection): Buffer {
  return readFileSync(join(selection.directory, 'gravity', 'artworks.bson'));
}

/** Refused with exit code 12, naming the member, the document and the byte; nothing is left of the selection. */
async function refusalOf(
  bytes: Buffer,
  options: { query?: Document; chunkBytes?: number } = {},
): Promise<RestorePlanError> {
  const error = await refusal(selectFrom(bytes, options));
  assert.is(error.exitCode, 12);
  const { document, offset, member } = error.facts;
  assert.is(member, 'dump/gravity/artworks.bson');
  assert.ok(
    error.message.startsWith(`${member}: document ${document} is damaged, at byte ${offset} of the member`),
  );
  assert.equal(readdirSync(join(folder.path, '.restore-plan', 'selections')), []);
  return error;
}

/** The document with an `_id` put before its first element; bytes whose own frame is wrong stay as they are. */
function withId(bytes: Buffer): Buffer {
  const id = Buffer.from('105f69640002000000', 'hex');
  if (bytes.length < 5 || bytes.readInt32LE(0) !== bytes.length || bytes.at(-1) !== 0) return bytes;
  const out = Buffer.concat([bytes.subarray(0, 4), id, bytes.subarray(4)]);
  out.writeInt32LE(out.length);
  return out;
}

const GARBAGE_BEHIND = 'top: garbage after envelope';

for (const { about, hex, server } of CORPUS_DECODE_ERRORS) {
  const bytes = withId(Buffer.from(hex, 'hex'));
  if (server === 'accepts') {
    test(`B1 ${about}: comes through unharmed, as from the server`, async () => {
      const selection = await selectFrom(Buffer.concat([FIRST, bytes, LAST]));
      assert.equal(selectedBytes(selection), Buffer.concat([FIRST, bytes, LAST]));
    });
  } else {
    test(`B1 ${about}: refused, naming the place`, async () => {
      // What lies before the garbage is a sound document, but for its _id.
      if (about === GARBAGE_BEHIND) {
        const error = await refusal(selectFrom(Buffer.concat([FIRST, bytes, LAST])));
        assert.match(error.message, /document 2 is selected, and has no _id/);
        return;
      }
      const { facts } = await refusalOf(Buffer.concat([FIRST, bytes, LAST]));
      // A length that swallows its neighbour, or leaves a rest, may be noticed one document later.
      assert.ok(facts['document'] === 2 || facts['document'] === 3, `document ${facts['document']}`);
      assert.ok((facts['offset'] as number) >= FIRST.length);
    });
  }
}

for (const length of [0, 1, 4, -1, -2_147_483_648, 16 * 1024 * 1024 + 16 * 1024 + 1, 2_147_483_647]) {
  test(`B2 a document of length ${length} is refused before anything is allocated for it`, async () => {
    const bad = Buffer.alloc(64);
    bad.writeInt32LE(length);
    for (const chunkBytes of [1, 3, 4096]) {
      const before = process.memoryUsage().arrayBuffers;
      const error = await refusalOf(Buffer.concat([FIRST, bad]), { chunkBytes });
      assert.ok(process.memoryUsage().arrayBuffers - before < 64 * 1024 * 1024);
      assert.match(error.message, new RegExp(`impossible document length ${length}`));
      assert.equal([error.facts['document'], error.facts['offset']], [2, FIRST.length]);
    }
  });
}

test('B2 a document that runs past the end of its member is refused', async () => {
  const error = await refusalOf(Buffer.concat([FIRST, LAST.subarray(0, LAST.length - 1)]));
  assert.match(error.message, /document 2 .* the last \d+ bytes are not a whole document/);
});

for (const rest of [1, 2, 3]) {
  test(`B3 ${rest} bytes after the last document are refused`, async () => {
    const error = await refusalOf(Buffer.concat([FIRST, Buffer.from([5, 0, 0]).subarray(0, rest)]));
    assert.match(error.message, new RegExp(`the last ${rest} bytes are not a whole document`));
    assert.is(error.facts['offset'], FIRST.length);
  });
}

test('a document whose frame is broken is refused even where the query would not want it', async () => {
  const broken = Buffer.from(bson({ _id: 2, state: 'closed' }));
  broken[broken.length - 1] = 1;
  const error = await refusalOf(Buffer.concat([FIRST, broken, LAST]), { query: { state: 'open' } });
  assert.match(error.message, /document 2 .* does not end in a zero byte/);
});

test('damage inside a document that is not wanted does not keep others from being restored', async () => {
  const odd = bson({ _id: 2, state: 'closed', ok: true });
  odd[odd.indexOf('ok\0') + 3] = 7;
  await refusalOf(Buffer.concat([FIRST, odd, LAST]));
  const selection = await selectFrom(Buffer.concat([FIRST, odd, LAST]), { query: { state: 'open' } });
  assert.equal(selectedBytes(selection), Buffer.concat([FIRST, LAST]));
});

/** The second document of `lots` is damaged, by a boolean of 7, and refers to artwork 1. */
const LOTS = [
  { _id: 1, artwork: 9 },
  { _id: 2, artwork: 1, ok: true },
].map(bson);
const [, DAMAGED] = LOTS as [Buffer, Buffer];
DAMAGED[DAMAGED.indexOf('ok\0') + 3] = 7;
const lots: ChunkedMember = { collection: 'lots', bytes: Buffer.concat(LOTS) };
const artworks = (...ids: number[]): Buffer => Buffer.concat(ids.map((_id) => bson({ _id })));

for (const [way, chunking] of Object.entries<Omit<Chunking, 'nextLength'>>({
  'after its parent': {
    access: 'random',
    members: [{ collection: 'artworks', bytes: artworks(1, 9) }, lots],
  },
  'before its parent': {
    access: 'sequential',
    members: [lots, { collection: 'artworks', bytes: artworks(1, 9) }],
  },
  'before its parent, in another folder': {
    access: 'sequential',
    members: [
      { collection: 'artworks', bytes: artworks(9), path: 'c0/gravity/artworks.bson' },
      lots,
      { collection: 'artworks', bytes: artworks(1), path: 'c1/gravity/artworks.bson' },
    ],
  },
})) {
  test(`a damaged child that comes ${way}: refused where it is wanted, naming the place`, async () => {
    const backup = chunkedBackup({ ...chunking, nextLength: () => 11 });
    const planFor = (_id: number): Plan =>
      planOf({
        collection: 'artworks',
        query: { _id },
        dependents: [{ collection: 'lots', foreignKey: 'artwork' }],
      });
    const error = await refusal(select(planFor(1), { backup, folder: folder.path }));
    const offset = (LOTS[0] as Buffer).length + DAMAGED.indexOf('ok\0') + 3;
    assert.equal(error.facts, { member: 'dump/gravity/lots.bson', collection: 'lots', document: 2, offset });
    const { manifest } = await select(planFor(9), { backup, folder: folder.path });
    assert.equal(
      manifest.collections.map(({ count }) => count),
      [1, 1],
    );
  });
}

test('a damaged branch of a tree is refused, naming the place', async () => {
  const bytes = Buffer.concat([DAMAGED, artworks(1)]);
  for (const access of ['random', 'sequential'] as const) {
    const backup = chunkedBackup({ access, members: [{ collection: 'lots', bytes }] });
    const plan = planOf({
      collection: 'lots',
      query: { _id: 1 },
      dependents: [{ collection: 'lots', foreignKey: 'artwork' }],
    });
    const { facts } = await refusal(select(plan, { backup, folder: folder.path }));
    assert.equal([facts['document'], facts['offset']], [1, DAMAGED.indexOf('ok\0') + 3]);
  }
});

/** An element by hand: type byte, key, value bytes. */
const element = (type: number, key: string, value: Buffer): Buffer =>
  Buffer.concat([Buffer.from([type]), Buffer.from(`${key}\0`), value]);
function raw(...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const length = Buffer.alloc(4);
  length.writeInt32LE(body.length + 5);
  return Buffer.concat([length, body, Buffer.from([0])]);
}
const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
};
const ID = element(0x10, '_id', int32(2));

const ODD: Readonly<Record<string, Buffer>> = {
  'B4 integer-like keys in any order': raw(
    ID,
    element(0x10, 'b', int32(1)),
    element(0x10, '1', int32(2)),
    element(0x10, '0', int32(3)),
  ),
  'B4 duplicate keys': raw(ID, element(0x10, 'a', int32(1)), element(0x10, 'a', int32(2))),
  'B4 undefined': raw(ID, element(0x06, 'gone', Buffer.alloc(0))),
  'B4 DBPointer': raw(
    ID,
    element(0x0c, 'p', Buffer.concat([int32(2), Buffer.from('c\0'), Buffer.alloc(12, 7)])),
  ),
  'B4 a DBRef in another order': bson({ _id: 2, ref: { $id: 1, $ref: 'artworks', more: 1 } }),
  'B4 a date beyond what JavaScript holds': raw(
    ID,
    element(0x09, 'at', Buffer.from('ffffffffffffff7f', 'hex')),
  ),
  'B9 Timestamp(0, 0) at the top': bson({ _id: 2, at: new Timestamp({ t: 0, i: 0 }) }),
  'B10 text that is not UTF-8': raw(
    ID,
    element(0x02, 'text', Buffer.concat([int32(3), Buffer.from('c328', 'hex'), Buffer.from([0])])),
  ),
  'B10 keys with dots, dollars and __proto__': bson({
    _id: 2,
    'a.b': 1,
    $set: 2,
    ['__proto__']: 3,
    constructor: 4,
    '': 5,
  }),
};

for (const [name, bytes] of Object.entries(ODD)) {
  test(`${name} comes through byte for byte`, async () => {
    const selection = await selectFrom(Buffer.concat([FIRST, bytes, LAST]), { query: { _id: { $gte: 2 } } });
    assert.equal(selectedBytes(selection), Buffer.concat([bytes, LAST]));
  });
}

test('B6 documents of 16 MiB, and of the 16 KiB more that the official tools allow, come through; one byte more is refused', async () => {
  const LIMIT = 16 * 1024 * 1024;
  const ofSize = (size: number): Buffer => {
    const overhead = raw(ID, element(0x05, 'data', Buffer.concat([int32(0), Buffer.from([0])]))).length;
    const data = Buffer.alloc(size - overhead, 0x61);
    return raw(ID, element(0x05, 'data', Buffer.concat([int32(data.length), Buffer.from([0]), data])));
  };
  for (const size of [LIMIT, LIMIT + 16 * 1024]) {
    const bytes = Buffer.concat([FIRST, ofSize(size), LAST]);
    const selection = await selectFrom(bytes, { chunkBytes: 100_003 });
    assert.is(Buffer.compare(selectedBytes(selection), bytes), 0);
    folder.remove();
    folder = temporaryFolder('bad-bytes');
  }
  await refusalOf(Buffer.concat([FIRST, ofSize(LIMIT + 16 * 1024 + 1), LAST]), { chunkBytes: 100_003 });
});

test('B7 documents nested as deep as a server stores, and deeper, come through: the server says no', async () => {
  for (const levels of [179, 180, 300]) {
    let nested = raw(ID);
    for (let i = 1; i < levels; i++) nested = raw(ID, element(0x03, 'a', nested));
    const selection = await selectFrom(Buffer.concat([FIRST, nested, LAST]));
    assert.is(selection.manifest.collections[0]?.count, 3);
    folder.remove();
    folder = temporaryFolder('bad-bytes');
  }
});

const UNFIT: readonly [bytes: Buffer, message: RegExp, condition: Document][] = [
  [bson({ state: 'open' }), /document 2 is selected, and has no _id/, { _id: { $exists: true } }],
  [
    bson({ _id: [1], state: 'open' }),
    /document 2 is selected, and has an _id of type array/,
    { _id: { $not: { $type: 'array' } } },
  ],
  [bson({ _id: /a/, state: 'open' }), /an _id of type regex/, { _id: { $not: { $type: 'regex' } } }],
  [
    raw(element(0x06, '_id', Buffer.alloc(0)), element(0x02, 'state', Buffer.from('\x05\0\0\0open\0'))),
    /an _id of type undefined/,
    { _id: { $not: { $type: 'undefined' } } },
  ],
];

test('B8 a document without _id, or with one that no server accepts, is refused when it is wanted, with a query that leads on', async () => {
  for (const [bytes, message, condition] of UNFIT) {
    const member = Buffer.concat([FIRST, bytes, LAST]);
    const error = await refusal(selectFrom(member, { query: { state: 'open' } }));
    assert.is(error.exitCode, 12);
    assert.match(error.message, message);
    assert.not.match(error.message, 'damaged');
    assert.match(error.hint ?? '', `add to the query of artworks: ${shown(condition)}`);
    const selection = await selectFrom(member, { query: { state: 'open', ...condition } });
    assert.equal(selectedBytes(selection), Buffer.concat([FIRST, LAST]));
  }
  const selection = await selectFrom(Buffer.concat([FIRST, bson({ state: 'closed' })]), {
    query: { state: 'open' },
  });
  assert.is(selection.manifest.collections[0]?.count, 1);
});

/** As it is written in a plan. */
function shown(condition: Document): string {
  return JSON.stringify(condition)
    .replace(/"([$_a-z]+)":/g, '$1: ')
    .replace(/([{])(?=[$_a-z])/g, '{ ')
    .replace(/(?<=[^{ ])}/g, ' }')
    .replaceAll('"', "'")
    .replace(/^{ (.*) }$/, '$1');
}

test('B8 a dependent without _id is named when it was put off, too', async () => {
  const members = [
    { collection: 'lots', bytes: Buffer.concat([bson({ artwork: 1 })]) },
    { collection: 'artworks', bytes: FIRST },
  ];
  const plan = planOf({
    collection: 'artworks',
    query: {},
    dependents: [{ collection: 'lots', foreignKey: 'artwork' }],
  });
  const backup = chunkedBackup({ access: 'sequential', members });
  const error = await refusal(select(plan, { backup, folder: folder.path }));
  assert.match(error.message, /^dump\/gravity\/lots\.bson: document 1 is selected, and has no _id/);
  assert.match(error.hint ?? '', 'mongorestore inserts such documents, each with a new _id');
});

test('B8 an _id that is not the first field is kept in its place, and said', async () => {
  const bytes = bson({ state: 'open', _id: new ObjectId() });
  const selection = await selectFrom(Buffer.concat([FIRST, bytes]));
  assert.equal(selectedBytes(selection), Buffer.concat([FIRST, bytes]));
  assert.match(
    selection.manifest.warnings.join('\n'),
    /artworks: _id is not the first field of 1 document; the server moves it/,
  );
});

test.run();
