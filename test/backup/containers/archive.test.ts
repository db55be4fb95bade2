/** A mongodump archive, whole, cut and damaged. The archive comes from the real mongodump. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { serialize } from 'bson';
import * as assert from 'uvu/assert';
import {
  ArchiveFault,
  ArchiveParser,
  type ArchivePiece,
} from '../../../src/backup/containers/archive-parser.ts';
import { test } from '../../harness.ts';
import { artMarket, fillArtMarket } from '../../lab/art-market.ts';
import { type TemporaryFolder, temporaryFolder } from '../../lab/guard.ts';
import { type Lab, openLab } from '../../lab/lab.ts';
import { mongodump } from '../../lab/tools.ts';
import { onDisk, type ReadBackup, readBackup, refusal } from '../reading.ts';

let lab: Lab;
let folder: TemporaryFolder;
let database: string;
let archive: Buffer;
const WANTED = ['partners', 'sales'];

test.before(async () => {
  lab = await openLab();
  folder = temporaryFolder('archive');
  const db = lab.database('gravity');
  database = db.databaseName;
  await fillArtMarket(db, artMarket({ artworks: 40 }));
  await db.createCollection('empty');
  const file = join(folder.path, 'archive');
  await mongodump(lab.staging.uri, ['--db', database, `--archive=${file}`]);
  archive = readFileSync(file);
});
test.after(async () => {
  folder.remove();
  await lab.close();
});

function read(bytes: Buffer, more: Parameters<typeof onDisk>[1] = {}): Promise<ReadBackup> {
  const file = join(folder.path, 'changed');
  writeFileSync(file, bytes);
  return readBackup(onDisk(file, { database, ...more }), WANTED);
}

/** The archive taken apart in pushes of `size` bytes: documents by namespace, then the order of the ends. */
function takenApart(size: number): Map<string, Buffer> {
  const parser = new ArchiveParser();
  const documents = new Map<string, Buffer[]>();
  const keep = (piece: ArchivePiece): void => {
    const { collection } = piece.namespace;
    const parts = documents.get(collection) ?? [];
    documents.set(collection, parts);
    if (piece.kind === 'documents') parts.push(Buffer.from(piece.bytes));
  };
  for (let at = 0; at < archive.length; at += size)
    parser.push(archive.subarray(at, at + size)).forEach(keep);
  parser.finish();
  return new Map([...documents].sort().map(([name, parts]) => [name, Buffer.concat(parts)]));
}

test('gives the same documents however the stream is cut into chunks', () => {
  const whole = takenApart(archive.length);
  assert.ok(whole.has('empty'));
  assert.ok((whole.get('artworks')?.length ?? 0) > 1000);
  for (const size of [1, 2, 3, 5, 7, 64, 1000, 4096]) assert.equal(takenApart(size), whole);
});

test('A1 cut at every 512 bytes, every percent and every byte of the last kilobyte: refused', async () => {
  const cuts = new Set(Array.from({ length: 100 }, (_, i) => Math.floor((archive.length * i) / 100)));
  for (let cut = 0; cut < archive.length; cut += 512) cuts.add(cut);
  for (let cut = archive.length - 1024; cut < archive.length; cut++) cuts.add(cut);
  for (const cut of cuts) await refusal(read(archive.subarray(0, cut)), / is /);
  const packed = gzipSync(archive);
  for (let cut = 0; cut < packed.length; cut += 199) await refusal(read(packed.subarray(0, cut)), / is /);
});

test('A4 a changed byte of any document: refused, wanted or not', async () => {
  for (const part of [0.3, 0.5, 0.7, 0.9]) {
    const changed = Buffer.from(archive);
    const at = Math.floor(changed.length * part);
    changed[at] = (changed[at] as number) ^ 0x20;
    await refusal(read(changed), /damaged|impossible|zero byte|cut off|header|unknown/);
  }
});

test('A5 bytes behind the end, and an archive behind an archive: refused', async () => {
  await refusal(read(Buffer.concat([archive, Buffer.alloc(8)])), /impossible length 0/);
  await refusal(read(Buffer.concat([archive, archive])), /impossible length|damaged header/);
});

test('a fault is placed at its byte, however the stream is cut into chunks', async () => {
  const twice = Buffer.concat([archive, archive]);
  await refusal(read(twice), new RegExp(`impossible length -\\d+ \\(byte ${archive.length}\\)`));
  const changed = Buffer.from(archive);
  const at = changed.indexOf(Buffer.from('\x07_id\0')) - 4; // of the first document
  changed.writeInt32LE(3, at);
  for (const bytes of [twice, changed]) {
    const offsets = [1, 3, 5, 64, 1000, bytes.length].map((size) => {
      const parser = new ArchiveParser();
      try {
        for (let from = 0; from < bytes.length; from += size) parser.push(bytes.subarray(from, from + size));
      } catch (error) {
        if (error instanceof ArchiveFault) return error.offset;
        throw error;
      }
      return undefined;
    });
    assert.equal([...new Set(offsets)], [bytes === twice ? archive.length : at]);
  }
});

test('a prelude without end: refused', () => {
  const parser = new ArchiveParser();
  parser.push(Buffer.from('6de29981', 'hex'));
  parser.push(Buffer.from(serialize({ version: '0.1' })));
  const collection = Buffer.from(
    serialize({ db: 'a', collection: 'b', more: Buffer.alloc(8 * 1024 * 1024) }),
  );
  assert.throws(() => {
    for (let i = 0; i < 40; i++) parser.push(collection);
  }, /has a prelude of more than 268435456 bytes/);
});

test('integrity: needed stops once every wanted collection has ended', async () => {
  const whole = await read(archive);
  const { documents, summary } = await read(archive, { integrity: 'needed' });
  assert.equal(documents, whole.documents);
  assert.is(whole.summary.readToEnd, true);
  assert.ok(summary.readToEnd === false || summary.members.length === WANTED.length);
});

test('A10 another database: refused, naming those that are there', async () => {
  await refusal(
    read(archive, { database: 'gravty' }),
    /does not hold the database gravty; it holds only gravity/,
  );
});

test.run();
