import { mkdirSync } from 'node:fs';
import * as assert from 'uvu/assert';
import type { ComparedDocument } from '../../src/comparison/comparison.ts';
import { DocumentSpill } from '../../src/comparison/document-spill.ts';
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

test.run();
