/** What a file is by its first bytes: with bounded memory, and without a word of what may be documents. */
import * as zlib from 'node:zlib';
import * as assert from 'uvu/assert';
import { decompressStart } from '../../../src/backup/containers/decompress.ts';
import { SNIFF_BYTES, sniff } from '../../../src/backup/containers/sniff.ts';
import { test } from '../../harness.ts';

const MIB = 1024 * 1024;

test('the first bytes of a gzip bomb are recognised by a part of what they inflate to', () => {
  const start = zlib.gzipSync(Buffer.alloc(80 * MIB)).subarray(0, SNIFF_BYTES);
  const inside = decompressStart(start, 'gzip');
  assert.ok(inside.length > SNIFF_BYTES && inside.length <= 16 * MIB, `${inside.length} bytes`);
});

const library = zlib as { zstdCompressSync?: (bytes: Buffer) => Buffer };
if (library.zstdCompressSync === undefined) {
  test.skip('the same of a zstd bomb', 'this Node.js has no zstd');
} else {
  const packed = library.zstdCompressSync(Buffer.alloc(1024 * MIB));
  test('the same of a zstd bomb', () => {
    const inside = decompressStart(packed.subarray(0, SNIFF_BYTES), 'zstd');
    assert.ok(inside.length > SNIFF_BYTES && inside.length <= 16 * MIB, `${inside.length} bytes`);
  });
}

test('what is no backup is described without what may be documents', () => {
  for (const text of ['[{"name":"Jane"}]', '  {"name":"Jane"}', 'name;Jane\n', '\x00\x01name: Jane']) {
    const container = sniff(Buffer.from(text.repeat(50)));
    assert.is(container.kind, 'unknown');
    assert.not.match('what' in container ? container.what : '', /Jane/);
  }
});

test.run();
