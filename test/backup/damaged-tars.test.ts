/**
 * Damaged and hostile archives, by their number in the catalogue of faults. Each is built header by header, so that the
 * defect can be read off its test; each is read as a plain tar (by seeking) and as a tar.gz (as a stream).
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { constants, gzipSync } from 'node:zlib';
import { serialize } from 'bson';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { temporaryFolder } from '../lab/guard.ts';
import { buildTar, buildTarMember, gnuLongName, paxHeader, TAR_END, type TarMember } from '../lab/tar.ts';
import { program } from '../lab/tools.ts';
import { planOf } from '../selection/plans.ts';
import { onDisk, type ReadBackup, readBackup, refusal } from './reading.ts';
import { digestOf } from './truncation.ts';

const folder = temporaryFolder('tars');
test.after(() => folder.remove());

const BLOCK = 512;
/** Two documents, `{}` and `{ a: 1 }`. */
const documents = Buffer.from('05000000000c0000001061000100000000', 'hex');
const artworks: TarMember = { path: 'gravity/artworks.bson', body: documents };
const metadata: TarMember = {
  path: 'gravity/artworks.metadata.json',
  body: '{"indexes":[],"collectionName":"artworks","type":"collection"}',
};
const sales: TarMember = { path: 'gravity/sales.bson', body: documents };
const whole = buildTar([artworks, metadata, sales]);

function read(bytes: Buffer, name = 'db.tar', more: Parameters<typeof onDisk>[1] = {}): Promise<ReadBackup> {
  const file = join(folder.path, name);
  writeFileSync(file, bytes);
  return readBackup(onDisk(file, more), ['artworks', 'sales']);
}

async function assertRead(tar: Buffer): Promise<void> {
  for (const bytes of [tar, gzipSync(tar)]) {
    const { documents: found } = await read(bytes);
    assert.equal(found.get('artworks'), documents);
    assert.equal(found.get('sales'), documents);
  }
}

/** By both readers, for the same reason at the same byte. */
async function assertRefused(tar: Buffer, words: RegExp): Promise<void> {
  const sought = await refusal(read(tar), words);
  const streamed = await refusal(read(gzipSync(tar)), words);
  assert.is(byteOf(streamed), byteOf(sought));
}

const byteOf = ({ message }: Error): string | undefined => /byte \d+/.exec(message)?.[0];

test('the archive that the others are made from is read', () => assertRead(whole));

test('A1 A2 cut at every 512 bytes and at every percent: refused, at once', async () => {
  const ends = whole.length - TAR_END.length;
  const cuts = new Set(Array.from({ length: 100 }, (_, i) => Math.floor((whole.length * i) / 100)));
  for (let cut = 0; cut < whole.length; cut += BLOCK) cuts.add(cut);
  for (const cut of cuts) {
    const words = cut < BLOCK ? /is empty|neither a tar nor|is damaged|cut off/ : /cut off/;
    await refusal(read(whole.subarray(0, cut)), words);
    await refusal(read(gzipSync(whole.subarray(0, cut))), cut < BLOCK ? / is / : /cut off/);
  }
  assert.ok(cuts.has(ends), 'the cut exactly after the last member was not tried');
});

test('A1 a tar.gz cut at every byte: refused', async () => {
  const packed = gzipSync(whole);
  for (let cut = 0; cut < packed.length; cut++) await refusal(read(packed.subarray(0, cut)), / is /);
});

test('A3 a bit of any field of a header flipped: refused', async () => {
  for (const at of [0, 100, 124, 130, 148, 156, 257, 345]) {
    const flipped = Buffer.from(whole);
    flipped[at] = (flipped[at] as number) ^ 1;
    await assertRefused(flipped, /wrong header checksum|impossible|neither a tar/);
  }
});

test('A3 a later header is damaged: nothing of the archive is used', async () => {
  const flipped = Buffer.from(whole);
  const second = 2 * BLOCK;
  flipped[second] = 0x41;
  await assertRefused(flipped, /wrong header checksum \(byte 1024\)/);
});

test('A4 a bit of a body flipped: refused where it breaks BSON; else other bytes, and so another selection', async () => {
  const plan = planOf({ collection: 'artworks', query: {} });
  const named = Buffer.from(serialize({ _id: 1, name: 'Untitled' }));
  const select = (bytes: Buffer): Promise<string> => {
    const file = join(folder.path, 'body.tar');
    writeFileSync(file, buildTar([{ ...artworks, body: bytes }, metadata]));
    return digestOf({ plan, source: onDisk(file), folder: folder.path });
  };
  const flipped = (at: number): Buffer => {
    const bytes = Buffer.from(named);
    bytes[at] = (bytes[at] as number) ^ 1;
    return bytes;
  };
  const before = await select(named);
  assert.is(await select(named), before);
  for (const at of [0, named.length - 1, named.indexOf('name') - 1])
    await refusal(select(flipped(at)), /artworks\.bson: document 1 is damaged/);
  assert.is.not(await select(flipped(named.indexOf('Untitled'))), before);
});

test('A5 zero blocks in the middle, garbage after the end, two tars in one', async () => {
  const middle = Buffer.concat([buildTar([artworks]), buildTarMember(sales), TAR_END]);
  await assertRefused(middle, /has something after its end/);
  const lone = Buffer.concat([buildTarMember(artworks), Buffer.alloc(BLOCK), buildTarMember(sales), TAR_END]);
  await assertRefused(lone, /has an entry after an end-of-archive block/);
  await assertRefused(Buffer.concat([whole, Buffer.from('garbage')]), /has something after its end/);
  await assertRefused(Buffer.concat([whole, whole]), /has something after its end/);
  await assertRead(Buffer.concat([whole, Buffer.alloc(10_240)]));
});

/** Read by both readers, with a note. */
async function assertPassedOver(tar: Buffer, words: RegExp): Promise<void> {
  for (const bytes of [tar, gzipSync(tar)]) {
    const { summary, documents: found } = await read(bytes);
    assert.equal([found.get('artworks'), found.get('sales')], [documents, documents]);
    assert.match(summary.warnings.join(), words);
  }
}

for (const path of ['../gravity/artworks.bson', '/gravity/artworks.bson', 'C:/gravity/artworks.bson']) {
  test(`A6 a wanted file by the path ${JSON.stringify(path)}: refused by name, nothing written`, async () => {
    const before = readdirSync(folder.path).length;
    await assertRefused(
      buildTar([{ ...artworks, path }, sales]),
      /gravity\/artworks\.bson is a file by the unsafe path/,
    );
    assert.ok(readdirSync(folder.path).length <= before + 1);
    assert.not.ok(existsSync('/gravity'));
  });
}

test('A6 odd paths that stand for nothing of the dump: passed over, and counted', async () => {
  for (const path of ['a\\b', 'a/../../b', 'a\u0007b', '/etc/passwd'])
    await assertPassedOver(
      buildTar([artworks, { path, body: 'x' }, sales]),
      /1 entries of the tar are no files of a dump and were passed over \(\S+ is a file by the unsafe path/,
    );
});

test('A6 a name with a NUL and more behind it: refused', async () => {
  const renamed = paxHeader({ path: 'gravity/artworks.bson\0.txt' });
  await assertRefused(buildTar([renamed, artworks]), /by the unsafe path/);
});

test('A6 names that are the same once composed are two collections, and neither is taken for the other', async () => {
  const composed = { path: 'gravity/caf\u00e9.bson', body: documents };
  const decomposed = { path: 'gravity/cafe\u0301.bson', body: Buffer.from(serialize({ _id: 'other' })) };
  for (const bytes of [buildTar([composed, decomposed]), gzipSync(buildTar([decomposed, composed]))]) {
    writeFileSync(join(folder.path, 'names.tar'), bytes);
    const { documents: found } = await readBackup(onDisk(join(folder.path, 'names.tar')), ['caf\u00e9']);
    assert.equal(found.get('caf\u00e9'), documents);
  }
});

for (const [type, words] of [
  ['1', /is a hard link/],
  ['2', /is a symbolic link/],
  ['3', /is a character device/],
  ['4', /is a block device/],
  ['6', /is a FIFO/],
  ['S', /is a sparse file/],
  ['Q', /is an entry of unknown type 0x51/],
] as const) {
  test(`A7 type ${type}: ${words.source}, passed over; refused by name where it is wanted`, async () => {
    const hostile = { path: 'gravity/x', type, linkPath: '/etc/passwd' };
    await assertPassedOver(buildTar([artworks, hostile, sales]), words);
    const wanted = { ...hostile, path: sales.path };
    await assertRefused(buildTar([artworks, wanted]), words);
    const other = { ...hostile, path: 'gravity/lots.bson' };
    await assertRead(buildTar([artworks, other, sales]));
  });
}

test('A7 a link with a long name, a folder list of an incremental backup, a volume label: passed over', async () => {
  const long = { path: '././@LongLink', type: 'K', body: `${'d'.repeat(150)}\0` };
  await assertPassedOver(
    buildTar([long, { path: 'latest', type: '2', linkPath: 'd' }, artworks, sales]),
    /symbolic link/,
  );
  const list = { path: 'gravity/', type: 'D', body: 'Yartworks.bson\0Ysales.bson\0\0' };
  await assertRead(buildTar([{ path: 'backup', type: 'V' }, list, artworks, sales]));
});

test('A7 an entry whose end cannot be told: refused', async () => {
  await assertRefused(
    buildTar([artworks, { path: 'x', type: '1', body: 'x' }, sales]),
    /whose end cannot be told/,
  );
});

test('A7 long names by PAX and by GNU, and a size by PAX, are understood', async () => {
  const folder = `${'d'.repeat(120)}/gravity`;
  const long = [`${folder}/artworks.bson`, `${folder}/sales.bson`] as const;
  for (const name of [(path: string) => paxHeader({ path }), gnuLongName])
    await assertRead(buildTar([name(long[0]), artworks, name(long[1]), sales]));
  await assertRead(
    buildTar([paxHeader({ size: String(documents.length) }), { ...artworks, claimedSize: 3 }, sales]),
  );
  await assertRead(buildTar([{ path: 'gravity/', type: '5' }, artworks, sales]));
});

test('A7 a global PAX header may comment, but not rename or resize', async () => {
  await assertRead(buildTar([paxHeader({ comment: 'made by git archive' }, 'g'), artworks, sales]));
  await assertRefused(buildTar([paxHeader({ path: 'gravity/x.bson' }, 'g'), artworks]), /by a global header/);
});

test('A7 files that tar stored without their zeros: the advice leads to a tar that is read', async () => {
  const dump = join(folder.path, 'sparse');
  mkdirSync(join(dump, 'gravity'), { recursive: true });
  const holes = serialize({ zeros: Buffer.alloc(4 * 1024 * 1024) });
  // Few holes, and more than one header tells of.
  for (const [name, count] of [
    ['artworks', 1],
    ['sales', 7],
  ] as const) {
    const file = join(dump, 'gravity', `${name}.bson`);
    writeFileSync(file, '');
    truncateSync(file, count * holes.length);
    const handle = openSync(file, 'r+');
    for (let i = 0; i < count; i++)
      for (const at of [0, holes.length - 1])
        writeSync(handle, holes, at, at === 0 ? 32 : 1, i * holes.length + at);
    closeSync(handle);
  }
  const packed = async (options: readonly string[], members: readonly string[]): Promise<string> => {
    const file = join(folder.path, 'sparse.tar');
    await program('tar', ['--create', ...options, '--file', file, '--directory', dump, ...members]);
    return file;
  };
  for (const format of ['gnu', 'pax'])
    for (const name of ['artworks', 'sales']) {
      const members = [`gravity/${name}.bson`];
      const file = await packed(['--sparse', `--format=${format}`], members);
      const { hint = '' } = await refusal(readBackup(onDisk(file), [name]), /a sparse file/);
      assert.match(hint, /GNU tar without --sparse, bsdtar with --no-read-sparse/);
      const { documents: found } = await readBackup(onDisk(await packed([`--format=${format}`], members)), [
        name,
      ]);
      assert.ok(found.get(name)?.equals(readFileSync(join(dump, 'gravity', `${name}.bson`))));
    }
});

test('A7 a PAX header that is cut, padded or sparse: refused', async () => {
  const broken = { path: 'PaxHeader', type: 'x', body: '30 path=gravity/x.bson' };
  await assertRefused(buildTar([broken, artworks]), /damaged extended \(PAX\) header/);
  const sparse = paxHeader({ 'GNU.sparse.major': '1' });
  await assertRefused(buildTar([sparse, artworks]), /is a sparse file/);
  const size = paxHeader({ size: '1e3' });
  await assertRefused(buildTar([size, artworks]), /impossible size/);
});

test('A8 gzip: a wrong CRC, a second member, bytes behind it, gzip in gzip', async () => {
  const packed = gzipSync(whole);
  const wrong = Buffer.from(packed);
  wrong[packed.length - 6] = (wrong[packed.length - 6] as number) ^ 1;
  await refusal(read(wrong), /is damaged gzip data/);
  const { documents: found } = await read(
    Buffer.concat([gzipSync(whole.subarray(0, 700)), gzipSync(whole.subarray(700))]),
  );
  assert.equal(found.get('sales'), documents);
  await refusal(
    read(Buffer.concat([packed, Buffer.from('garbage')])),
    /damaged gzip data|bytes after the end/,
  );
  await refusal(read(Buffer.concat([packed, Buffer.alloc(600)])), /bytes after the end of its gzip data/);
  await refusal(read(gzipSync(packed)), /is gzip inside gzip/);
});

test('A8 a decompression bomb: refused; a plan may allow more', async () => {
  const zeros = Buffer.concat(
    [1, 2, 3, 4].map((_id) => Buffer.from(serialize({ _id, data: Buffer.alloc(12 * 1024 * 1024) }))),
  );
  const bomb = gzipSync(buildTar([{ ...artworks, body: zeros }]), { level: constants.Z_BEST_COMPRESSION });
  await refusal(read(bomb), /inflates to more than 1000 times its size/);
  const { summary } = await read(bomb, 'db.tar', { maxDecompressionRatio: 2000 });
  assert.is(summary.members[0]?.bytes, zeros.length);
});

test('A8 a compressed member: read in both; a damaged one names the member', async () => {
  const packed = { ...artworks, path: `${artworks.path}.gz`, body: gzipSync(documents) };
  await assertRead(buildTar([packed, sales]));
  const cut = { ...packed, body: gzipSync(documents).subarray(0, -4) };
  await assertRefused(buildTar([cut, sales]), /gravity\/artworks\.bson\.gz is cut off/);
});

for (const [magic, words] of [
  ['BZh91AY', /compressed with bzip2/],
  ['\xfd7zXZ\0', /compressed with xz/],
  ['PK\x03\x04', /a zip archive/],
  ['Salted__', /encrypted with OpenSSL/],
  ['<!DOCTYPE html><html>', /a web or XML page \("<!DOCTYPE html><html>/],
] as const) {
  test(`A8 ${words.source}: refused by name`, async () => {
    await refusal(read(Buffer.concat([Buffer.from(magic, 'latin1'), Buffer.alloc(2000, 1)])), words);
  });
}

test('A9 the same collection twice in one folder: refused', async () => {
  await assertRefused(buildTar([artworks, artworks]), /artworks is there twice in one folder/);
});

test('A9 documents without metadata are read and warned about; metadata without documents is refused', async () => {
  for (const pack of [(tar: Buffer) => tar, gzipSync]) {
    const { summary, metadata: found } = await read(pack(whole));
    assert.match(summary.warnings.join(), /gravity\/sales\.bson has no metadata file/);
    assert.equal(found.get('sales'), { collection: 'sales', text: undefined, type: 'collection' });
    await refusal(
      read(pack(buildTar([metadata, sales]))),
      /has the metadata of artworks but not its documents/,
    );
  }
});

for (const [body, words] of [
  ['{', /artworks\.metadata\.json is not valid JSON/],
  ['[]', /does not hold a metadata object/],
  ['{"type":"hologram"}', /unknown type "hologram"/],
  ['{"collectionName":"sales"}', /describes "sales", which its file name does not/],
  ['{"type":"view","options":{"viewOn":"x"}}', /artworks is a view/],
  ['{"type":"timeseries"}', /artworks is a time series/],
] as const) {
  test(`A12 metadata ${body}: refused`, async () => {
    await assertRefused(buildTar([artworks, { ...metadata, body }, sales]), words);
  });
}

test('A12 metadata of old dumps, without name and type, and of capped and collated collections is taken as it is', async () => {
  for (const body of [
    '{"indexes":[]}',
    '{"options":{"capped":true,"size":{"$numberInt":"9"},"collation":{"locale":"de"}},"indexes":[]}',
  ]) {
    const { metadata: found } = await read(buildTar([artworks, { ...metadata, body }, sales]));
    assert.is(found.get('artworks')?.text, body);
    assert.is(found.get('artworks')?.type, 'collection');
  }
});

test('A13 impossible sizes: refused at the header', async () => {
  const other = { ...artworks, path: artworks.path.replace('artworks', 'others') };
  await assertRefused(buildTar([{ ...other, claimedSize: 0o77777777777 }]), /cut off/);
  const base256 = (bytes: string): Buffer => Buffer.from(bytes, 'hex');
  const negative = { ...artworks, sizeField: base256('ffffffffffffffffffffff00') };
  await assertRefused(buildTar([negative]), /impossible/);
  const huge = { ...artworks, sizeField: base256('80ffffffffffffffffffffff') };
  await assertRefused(buildTar([huge]), /impossible/);
  const letters = { ...artworks, sizeField: Buffer.from('12x45678901 ', 'latin1') };
  await assertRefused(buildTar([letters]), /impossible size/);
  const long = { ...gnuLongName('x'), claimedSize: 9_000_000 };
  await assertRefused(buildTar([long, artworks]), /extended header of 9000000 bytes/);
});

test.run();
