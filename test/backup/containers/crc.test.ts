/** CRC-64/XZ, CRC-64/NVME and CRC-32C by their published vectors; "abc" agrees with the xz tool. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { Crc64, crc32c, nvmeTables } from '../../../src/backup/containers/crc.ts';
import { test } from '../../harness.ts';

function crc(...parts: readonly Buffer[]): string {
  const sum = new Crc64();
  for (const part of parts) sum.update(part);
  return BigInt.asUintN(64, sum.digest()).toString(16);
}

for (const [text, sum] of [
  ['', '0'],
  ['a', '330284772e652b05'],
  ['abc', '2cd8094a1a277627'],
  ['123456789', '995dc9bbdf1939fa'],
] as const) {
  test(`of "${text}"`, () => assert.is(crc(Buffer.from(text)), sum));
}

test('of "123456789" by the polynomial of S3', () => {
  const sum = new Crc64(nvmeTables());
  sum.update(Buffer.from('123456789'));
  assert.is(BigInt.asUintN(64, sum.digest()).toString(16), 'ae8b14860a799888');
});

test('of one empty document, as the signed number that archives hold', () => {
  const sum = new Crc64();
  sum.update(Buffer.from('0500000000', 'hex'));
  assert.is(sum.digest(), 8477136882698379158n);
});

// RFC 3720, B.4: 32 bytes each.
for (const [about, bytes, sum] of [
  ['"123456789"', Buffer.from('123456789'), 0xe3069283],
  ['zeros', Buffer.alloc(32), 0x8a9136aa],
  ['ones', Buffer.alloc(32, 0xff), 0x62a8ab43],
  ['rising bytes', Buffer.from(Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e],
  ['falling bytes', Buffer.from(Array.from({ length: 32 }, (_, i) => 31 - i)), 0x113fdb5c],
  ['nothing', Buffer.alloc(0), 0],
] as const) {
  test(`CRC-32C of ${about}`, () => assert.is(crc32c(bytes), sum));
}

test('does not depend on how the bytes are cut', () => {
  const bytes = fc.uint8Array({ maxLength: 100 }).map((array) => Buffer.from(array));
  fc.assert(
    fc.property(
      bytes,
      fc.nat(100),
      (whole, cut) =>
        crc(whole) === crc(whole.subarray(0, cut), whole.subarray(cut)) &&
        crc32c(whole) === crc32c(whole.subarray(cut), crc32c(whole.subarray(0, cut))),
    ),
    { seed: 1 },
  );
});

test.run();
