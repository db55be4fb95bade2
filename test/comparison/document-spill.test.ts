import { mkdirSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { ComparedDocument } from '../../src/comparison/comparison.ts';
import { DocumentSpill } from '../../src/comparison/target-memory.ts';
import { RestorePlanError } from '../../src/errors.ts';
import { until } from '../follow-ups/until.ts';
import { test } from '../harness.ts';
import { temporaryFolder } from '../lab/guard.ts';

test('a document comes back as it was, whatever its field names hold', async () => {
  const folder = temporaryFolder('spill');
  mkdirSync(folder.path, { recursive: true });
  const path = 'a\n\r\u0085\u2028\u2029"\\b';
  const sides = { backup: '1', target: '2', backupType: undefined, targetType: undefined };
  const document: ComparedDocument = {
    ...{ class: 'different', id: '1', reason: path, differences: [{ path, ...sides }] },
    ...{ backup: '{}', target: '{}', index: 0 },
  };
  const spill = await DocumentSpill.create(folder.path);
  await spill.add('a', document);
  const read: ComparedDocument[] = [];
  for await (const each of spill.read('a')) read.push(each);
  assert.equal(JSON.stringify(read), JSON.stringify([document]));
  await spill.remove();
  folder.remove();
});

test('a page that has read enough leaves no file open', async () => {
  const folder = temporaryFolder('spill');
  mkdirSync(folder.path, { recursive: true });
  const spill = await DocumentSpill.create(folder.path);
  const document = { class: 'insert', id: '1', index: 0 } as ComparedDocument;
  // More than one read of the file brings.
  for (let i = 0; i < 10_000; i++) await spill.add('a', document);
  for await (const each of spill.read('a')) {
    assert.is(each.id, '1');
    break;
  }
  await until(() => !openFiles().some((path) => path.startsWith(folder.path)));
  await spill.remove();
  folder.remove();
});

test('a thousand collections share the files of their classes', async () => {
  const folder = temporaryFolder('spill');
  mkdirSync(folder.path, { recursive: true });
  const spill = await DocumentSpill.create(folder.path);
  const names = Array.from({ length: 1_000 }, (_, i) => `c${i}`);
  for (const name of names)
    for (const each of ['insert', 'conflict', 'insert'] as const)
      await spill.add(name, { class: each, id: `${name} ä` } as ComparedDocument);
  for (const name of names) {
    const read: string[] = [];
    for await (const each of spill.read(name)) read.push(`${each.class} ${each.id}`);
    assert.equal(read, [`conflict ${name} ä`, `insert ${name} ä`, `insert ${name} ä`]);
  }
  assert.is(readdirSync(folder.path, { recursive: true }).length, 3, 'a folder with two files');
  await spill.remove();
  folder.remove();
});

test('a work directory that cannot be written to is said to be one', async () => {
  const folder = temporaryFolder('spill');
  const missing = join(folder.path, 'missing');
  const error: unknown = await DocumentSpill.create(missing).then(
    () => assert.unreachable('it was created'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof RestorePlanError);
  assert.is(error.code, 'WORK_DIRECTORY');
  assert.match(error.hint ?? '', 'workDirectory');
  folder.remove();
});

/** Paths of what this process has open. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // that of the listing itself
    }
  });
}

test.run();
