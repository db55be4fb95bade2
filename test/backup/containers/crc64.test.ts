/** CRC-64/XZ and CRC-64/NVME by their published vectors; "abc" agrees with the xz tool. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { Crc64, nvmeTables } from '../../../src/backup/containers/crc64.ts';
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

test('does not depend on how the bytes are cut', () => {
  const bytes = fc.uint8Array({ maxLength: 100 }).map((array) => Buffer.from(array));
  fc.assert(
    fc.property(
      bytes,
      fc.nat(100),
      (whole, cut) => crc(whole) === crc(whole.subarray(0, cut), whole.subarray(cut)),
    ),
    { seed: 1 },
  );
});

test.run();
