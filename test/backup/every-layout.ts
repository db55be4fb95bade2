/**
 * One dump by the real mongodump in every layout that is read, for tests that ask the same of each: the same selection, and
 * the same refusal of whatever is cut off.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as zlib from 'node:zlib';
import { deserialize, serialize } from 'bson';
import { packS2 } from '../lab/s2.ts';
import { tarFolder } from '../lab/tar.ts';
import { mongodump, mongoTool } from '../lab/tools.ts';
import { layOutPbm } from './pbm-layout.ts';

export interface Layout {
  /** Completes "a backup that is …". */
  readonly name: string;
  /** What the product calls it. */
  readonly kind: string;
  /** Below the root; what a plan's source would name. */
  readonly path: string;
  /** Files that it consists of, below the root. */
  readonly files: readonly string[];
  /** Extended JSON is another source; it has a file for each collection. */
  readonly isJsonl?: true;
}

export interface DumpOf {
  readonly uri: string;
  readonly database: string;
  /** Folder for all of it. */
  readonly root: string;
}

type Sketch = readonly [name: string, kind: string, path: string];

/** Dumps the database and lays the dump out in every way; about a second. */
export async function everyLayout(dump: DumpOf): Promise<readonly Layout[]> {
  const { root, database, uri } = dump;
  const at = (path: string): string => join(root, path);
  await mongodump(uri, ['--db', database, '--out', at('MongoDB')]);
  await mongodump(uri, ['--db', database, '--out', at('gz/MongoDB'), '--gzip']);
  const sketches = [
    ...([
      ['a dump directory', 'dump directory', 'MongoDB'],
      ['the folder of the database', 'dump directory', `MongoDB/${database}`],
      ['a dump directory made with --gzip', 'dump directory', 'gz/MongoDB'],
    ] as const),
    ...(await tars(dump)),
    ...(await gemTars(dump)),
    ...(await archives(dump)),
    ...percona(dump),
    ...(await hostsAndShards(dump)),
    ...oldDumps(dump),
  ];
  const layouts = sketches.map(([name, kind, path]) => ({ name, kind, path, files: filesOf(root, path) }));
  return [...layouts, await extendedJson(dump)];
}

function filesOf(root: string, path: string): string[] {
  const found = statSync(join(root, path), { throwIfNoEntry: false });
  if (found?.isFile()) return [path];
  const [folder, start] = found ? [path, ''] : [join(path, '..'), path.split('/').at(-1) as string];
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.startsWith(start) && statSync(join(root, folder, name)).isFile())
    .map((name) => join(folder, name))
    .sort();
}

async function tars({ root }: DumpOf): Promise<Sketch[]> {
  const made: Sketch[] = [];
  for (const format of ['gnu', 'pax', 'ustar', 'v7'] as const) {
    await tarFolder(join(root, 'MongoDB'), join(root, `${format}.tar`), { format });
    made.push([`a ${format} tar`, 'tar', `${format}.tar`]);
  }
  await tarFolder(join(root, 'gz'), join(root, 'gz.tar'));
  await tarFolder(join(root, 'MongoDB'), join(root, 'dump.tar.gz'), { gzip: true });
  await tarFolder(join(root, 'gz'), join(root, 'gz.tgz'), { gzip: true });
  const { zstdCompressSync } = zlib as { zstdCompressSync?: (bytes: Buffer) => Buffer };
  if (zstdCompressSync !== undefined) {
    writeFileSync(join(root, 'dump.tar.zst'), zstdCompressSync(readFileSync(join(root, 'gnu.tar'))));
    made.push(['a tar.zst', 'tar.zst', 'dump.tar.zst']);
  }
  return [
    ...made,
    ['a tar of gzipped files', 'tar', 'gz.tar'],
    ['a tar.gz', 'tar.gz', 'dump.tar.gz'],
    ['a .tgz of gzipped files', 'tar.gz', 'gz.tgz'],
  ];
}

/** As the Ruby `backup` gem packs: an outer tar of `<trigger>/`, compression inside, and chunks. */
async function gemTars({ root }: DumpOf): Promise<Sketch[]> {
  await tarFolder(root, join(root, 'inner.tar'), { members: ['MongoDB'] });
  await tarFolder(root, join(root, 'inner.tar.gz'), { members: ['MongoDB'], gzip: true });
  const pack = async (name: string, from: string, inside: string): Promise<void> => {
    rmSync(join(root, 'trigger'), { recursive: true, force: true });
    mkdirSync(join(root, 'trigger/databases'), { recursive: true });
    cpSync(join(root, from), join(root, 'trigger/databases', inside), { recursive: true });
    await tarFolder(root, join(root, name), { members: ['trigger'] });
  };
  await pack('v3.tar', 'MongoDB', 'MongoDB');
  await pack('v3-gzip.tar', 'inner.tar.gz', 'MongoDB-12345.tar.gz');
  await pack('v4.tar', 'inner.tar', 'MongoDB.tar');
  await pack('v4-gzip.tar', 'inner.tar.gz', 'MongoDB.tar.gz');
  const whole = readFileSync(join(root, 'v4.tar'));
  mkdirSync(join(root, 'chunks'));
  const size = Math.ceil(whole.length / 3);
  for (const [i, suffix] of ['aa', 'ab', 'ac'].entries()) {
    writeFileSync(join(root, `chunks/db.tar-${suffix}`), whole.subarray(i * size, (i + 1) * size));
  }
  return [
    ['a tar of the backup gem, version 3', 'tar', 'v3.tar'],
    ['a tar of the backup gem, version 3, gzip', 'tar.gz in tar', 'v3-gzip.tar'],
    ['a tar of the backup gem, version 4', 'tar in tar', 'v4.tar'],
    ['a tar of the backup gem, version 4, gzip', 'tar.gz in tar', 'v4-gzip.tar'],
    ['a tar of the backup gem in chunks', 'tar in tar', 'chunks/db.tar'],
  ];
}

async function archives({ uri, database, root }: DumpOf): Promise<Sketch[]> {
  await mongodump(uri, ['--db', database, `--archive=${join(root, 'plain.archive')}`]);
  await mongodump(uri, ['--db', database, `--archive=${join(root, 'gzip.archive')}`, '--gzip']);
  await tarFolder(root, join(root, 'archive.tar'), { members: ['gzip.archive'] });
  return [
    ['a mongodump archive', 'mongodump archive', 'plain.archive'],
    ['a mongodump archive, gzip', 'mongodump archive, gzip', 'gzip.archive'],
    ['a mongodump archive in a tar', 'mongodump archive, gzip in tar', 'archive.tar'],
  ];
}

function percona({ root, database }: DumpOf): Sketch[] {
  const { zstdCompressSync } = zlib as { zstdCompressSync?: (bytes: Buffer) => Buffer };
  const kinds = [
    ['not compressed', '', (bytes: Buffer) => bytes],
    ['gzip', '.gz', (bytes: Buffer) => zlib.gzipSync(bytes)],
    ['s2', '.s2', packS2],
    ...(zstdCompressSync === undefined ? [] : [['zstd', '.zst', zstdCompressSync] as const]),
  ] as const;
  const recent = 'pbm-recent/2024-09-13T08:00:00Z';
  const dumped = join(root, 'MongoDB', database);
  layOutPbm(join(root, recent), { dumped, database, extension: '.s2', compress: packS2, isRecent: true });
  const older = kinds.map(([name, extension, compress]): Sketch => {
    const path = `pbm${extension}/2016-09-13T08:00:00Z`;
    layOutPbm(join(root, path), { dumped, database, extension, compress });
    return [`a PBM backup, ${name}`, 'PBM backup', path];
  });
  return [...older, ['a recent PBM backup', 'PBM backup', recent]];
}

/** The same dump of two hosts, and each collection parted between two shards, whose folders are packed in reverse as well. */
async function hostsAndShards({ root, database }: DumpOf): Promise<Sketch[]> {
  for (const host of ['c0.example.net_27017', 'c1.example.net_27017'])
    cpSync(join(root, 'MongoDB'), join(root, 'hosts', host), { recursive: true });
  for (const [i, shard] of ['shard0', 'shard1'].entries()) {
    cpSync(join(root, 'MongoDB'), join(root, 'shards', shard), { recursive: true });
    const folder = join(root, 'shards', shard, database);
    for (const name of readdirSync(folder).filter((one) => one.endsWith('.bson'))) {
      const documents = documentsOf(readFileSync(join(folder, name)));
      const half = Math.ceil(documents.length / 2);
      const part = i === 0 ? documents.slice(0, half) : documents.slice(half);
      writeFileSync(join(folder, name), Buffer.concat(part));
    }
  }
  const shards = join(root, 'shards');
  const members = ['shard1', 'shard0'];
  await tarFolder(shards, join(root, 'shards.tar'), { members });
  await tarFolder(shards, join(root, 'shards.tar.gz'), { members, gzip: true });
  mkdirSync(join(root, 'shard-tars'));
  for (const shard of members)
    await tarFolder(shards, join(root, 'shard-tars', `${shard}.tar.gz`), { members: [shard], gzip: true });
  return [
    ['a tar of the folders of two shards', 'tar', 'shards.tar'],
    ['a tar.gz of the folders of two shards', 'tar.gz', 'shards.tar.gz'],
    ['a tar.gz for each of two shards', 'tar.gz', 'shard-tars'],
    ['folders of two hosts', 'dump directory', 'hosts'],
    ['folders of two shards', 'dump directory', 'shards'],
  ];
}

/** mongodump 3.x: metadata in old Extended JSON without name and type, no `type` in an archive's prelude, no `prelude.json`. */
function oldDumps({ root, database }: DumpOf): Sketch[] {
  for (const [from, to] of [
    ['MongoDB', 'old'],
    ['gz/MongoDB', 'old-gz'],
  ] as const) {
    cpSync(join(root, from, database), join(root, to, database), { recursive: true });
    rmSync(join(root, to, database, 'prelude.json'), { force: true });
    rmSync(join(root, to, database, 'prelude.json.gz'), { force: true });
    for (const name of readdirSync(join(root, to, database))) {
      const collection = /^(.+)\.metadata\.json(?:\.gz)?$/.exec(name)?.[1];
      if (collection === undefined) continue;
      rmSync(join(root, to, database, name));
      writeFileSync(
        join(root, to, database, `${collection}.metadata.json`),
        oldMetadata(`${database}.${collection}`),
      );
    }
  }
  writeFileSync(join(root, 'old.archive'), oldArchive(readFileSync(join(root, 'plain.archive'))));
  return [
    ['a dump directory of mongodump 3', 'dump directory', 'old'],
    ['a dump directory of mongodump 3, its documents gzipped', 'dump directory', 'old-gz'],
    ['an archive of mongodump 3', 'mongodump archive', 'old.archive'],
  ];
}

export function oldMetadata(namespace: string): string {
  return `{"options":{},"indexes":[{"v":1,"key":{"_id":1},"name":"_id_","ns":"${namespace}"}]}`;
}

/** The same archive with what mongodump 3 wrote of each collection. */
function oldArchive(archive: Buffer): Buffer {
  const parts = [archive.subarray(0, 4)];
  let at = 4;
  for (; archive.readInt32LE(at) !== -1; at += archive.readInt32LE(at)) {
    const document = archive.subarray(at, at + archive.readInt32LE(at));
    const { type: _, ...old } = deserialize(document, { promoteValues: false });
    const isHeader = parts.length === 1;
    if (isHeader) parts.push(document);
    else parts.push(Buffer.from(serialize({ ...old, metadata: oldMetadata(`${old['db']}.x`) })));
  }
  return Buffer.concat([...parts, archive.subarray(at)]);
}

/** mongoexport of every collection. */
async function extendedJson({ uri, database, root }: DumpOf): Promise<Layout> {
  mkdirSync(join(root, 'export'));
  const names = readdirSync(join(root, 'MongoDB', database)).filter((name) => name.endsWith('.bson'));
  const files = names.map((name) => `export/${name.replace(/bson$/, 'json')}`);
  for (const file of files) {
    const collection = file.slice('export/'.length, -'.json'.length);
    const what = ['--db', database, '--collection', collection, '--out', join(root, file)];
    await mongoTool('mongoexport', ['--uri', uri, ...what, '--jsonFormat=canonical', '--jsonArray']);
  }
  return {
    name: 'Extended JSON by mongoexport',
    kind: 'Extended JSON',
    path: 'export/{collection}.json',
    files,
    isJsonl: true,
  };
}

/** Documents of a `.bson` file. */
export function documentsOf(bytes: Buffer): Buffer[] {
  const documents: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readInt32LE(at)) {
    documents.push(bytes.subarray(at, at + bytes.readInt32LE(at)));
  }
  return documents;
}
