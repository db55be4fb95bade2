import * as fc from 'fast-check';
import * as assert from 'uvu/assert';
import { diffDocuments, documentValue } from '../../src/bson/diff-documents.ts';
import { parseExtendedJson } from '../../src/bson/extended-json.ts';
import { showDocument } from '../../src/bson/show.ts';
import { checkDocument } from '../../src/bson/storable.ts';
import { writeExtendedJson } from '../../src/bson/write-extended-json.ts';
import { test } from '../harness.ts';
import { anyDocument } from './raw-values.ts';

const SETTINGS = { seed: 20160913, numRuns: 3000 };

test('any document, shown and read again, has the same bytes', () => {
  fc.assert(
    fc.property(anyDocument, (tree) => {
      const bytes = writeExtendedJson(tree);
      assert.is(checkDocument(bytes), bytes.length);
      const text = showDocument(bytes);
      assert.ok(writeExtendedJson(parseExtendedJson(text)).equals(bytes), text);
    }),
    SETTINGS,
  );
});

test('shown text holds no character that a reader cannot see', () => {
  fc.assert(
    fc.property(anyDocument, (tree) => {
      for (const relaxed of [false, true]) {
        assert.not.match(
          showDocument(writeExtendedJson(tree), 0, { relaxed }),
          /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u,
        );
      }
    }),
    { ...SETTINGS, numRuns: 500 },
  );
});

test('a document differs from another exactly when their bytes do', () => {
  fc.assert(
    fc.property(anyDocument, anyDocument, (a, b) => {
      const [left, right] = [writeExtendedJson(a), writeExtendedJson(b)];
      const { first, total } = diffDocuments([documentValue(left), documentValue(right)], 2);
      assert.is(total === 0, left.equals(right));
      assert.is(first.length, Math.min(2, total));
      assert.is(diffDocuments([documentValue(left), documentValue(Buffer.from(left))], 2).total, 0);
      // A third one that is one of the two tells nothing new.
      const three = diffDocuments(
        [left, right, left].map((each) => documentValue(each)),
        2,
      );
      assert.equal(
        three.first.map(({ path, values }) => [path, values.length, values[0]?.type === values[2]?.type]),
        first.map(({ path }) => [path, 3, true]),
      );
      assert.is(three.total, total);
    }),
    { ...SETTINGS, numRuns: 1000 },
  );
});

test.run();
