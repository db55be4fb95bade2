import { createHash } from 'node:crypto';
import * as assert from 'uvu/assert';
import { collectionOf, fileNameOf } from '../../src/backup/layout/collection-names.ts';
import { test } from '../harness.ts';

test('file names are escaped as mongodump escapes them, and read back', () => {
  for (const [collection, fileName] of [
    ['artworks', 'artworks'],
    ['a b+c/d$e:f', 'a+b%2Bc%2Fd%24e%3Af'],
    ["it's (very) nice!*", 'it%27s+%28very%29+nice%21%2A'],
    ['café-_.~9', 'caf%C3%A9-_.~9'],
  ] as const) {
    assert.is(fileNameOf(collection), fileName);
    assert.is(collectionOf(fileName), collection);
  }
});

test('a long name is cut and ends in a hash, so only the metadata knows it', () => {
  const collection = 'x'.repeat(250);
  const fileName = fileNameOf(collection);
  assert.is(fileName.length, 238);
  assert.is(fileName, `${'x'.repeat(208)}%24${createHash('sha1').update(collection).digest('base64url')}`);
  assert.is(collectionOf(fileName), undefined);
});

test.run();
