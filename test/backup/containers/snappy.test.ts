/** Snappy by what its own library writes, S2 by the elements that its description adds. */
import { deserialize } from 'bson';
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import {
  decodeSnappyBlock,
  decodeSnappyStream,
  isSnappyStream,
  SnappyFault,
} from '../../../src/backup/containers/snappy.ts';
import { ByteCursor } from '../../../src/backup/storage/byte-source.ts';
import { RestorePlanError } from '../../../src/errors.ts';
import { test } from '../../harness.ts';
import { chunkOf, copy1, copy2, copy4, literal, packS2, repeat, varint } from '../../lab/s2.ts';
import { documentsOf } from '../every-layout.ts';
import { refusal } from '../reading.ts';

const TEXT = Buffer.from(`the river the river the winter, the river ${'a'.repeat(100)}`);

async function decode(stream: Buffer, cut = 7): Promise<Buffer> {
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let at = 0; at < stream.length; at += cut) yield stream.subarray(at, at + cut);
  }
  const parts: Buffer[] = [];
  const options = { location: 'a.s2', maxRatio: 1000 };
  for await (const block of decodeSnappyStream(new ByteCursor(chunks()), options))
    parts.push(Buffer.from(block));
  return Buffer.concat(parts);
}

test('a block and a stream that the Snappy library wrote', async () => {
  const block = Buffer.from('8e012474686520726976657220360a001877696e7465722c1d160061fe01008a0100', 'hex');
  assert.equal(decodeSnappyBlock(block), TEXT);
  const stream = Buffer.from(
    'ff060000734e6150705900260000e9a63f4a8e012474686520726976657220360a001877696e7465722c1d160061fe01008a0100',
    'hex',
  );
  assert.ok(isSnappyStream(stream));
  assert.equal(await decode(stream), TEXT);
});

/** The smallest slice that Percona Backup for MongoDB wrote for its own tests (pbm_disttxn_50): S2, whatever it is called. */
const SLICE = Buffer.from(
  'ff06000053327354774f00940000ca5f799d9c036867000000026f7000020000006e00026e73000100000000036f001c011a' +
    '606d7367000e000000706572696f646963206e6f6f7000001174092820d5290162127400b500013414000012760002010834' +
    '0000000977616c6c0071698bd47e0129f6670000df150017048190ee670015000100e91500170491b7ee670015000100f315' +
    '001720a2de8bd47e01000000',
  'hex',
);

test('a stream that Percona Backup for MongoDB wrote; no bit of it can be flipped and change an entry', async () => {
  const entries = await decode(SLICE);
  assert.equal(
    documentsOf(entries).map((each) => deserialize(each)['o']),
    Array(4).fill({ msg: 'periodic noop' }),
  );
  let refused = 0;
  for (let bit = 0; bit < 8 * SLICE.length; bit++) {
    const bytes = flipped(SLICE, bit);
    if (!isSnappyStream(bytes)) continue;
    try {
      // A copy may come from another place that has the same bytes.
      assert.ok((await decode(bytes, bytes.length)).equals(entries), `bit ${bit}`);
    } catch (error) {
      if (!(error instanceof RestorePlanError)) throw error;
      assert.match(error.message, /damaged S2 or Snappy data/);
      refused++;
    }
  }
  assert.ok(refused > 8 * (SLICE.length - 10) - 20, `${refused}`);
});

function flipped(bytes: Buffer, bit: number): Buffer {
  const other = Buffer.from(bytes);
  other[bit >> 3] = (other[bit >> 3] as number) ^ (1 << (bit & 7));
  return other;
}

test('every element, of every length', () => {
  const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * i + (i >> 3)) % 256));
  const element = fc.oneof(
    fc.integer({ min: 1, max: 70_000 }).map((count) => ({ kind: 'literal', count }) as const),
    fc
      .tuple(fc.nat(2046), fc.integer({ min: 4, max: 11 }))
      .map(([back, count]) => ({ kind: 'copy1', back, count }) as const),
    fc
      .tuple(fc.nat(65_534), fc.integer({ min: 1, max: 64 }))
      .map(([back, count]) => ({ kind: 'copy2', back, count }) as const),
    fc
      .tuple(fc.nat(200_000), fc.integer({ min: 1, max: 64 }))
      .map(([back, count]) => ({ kind: 'copy4', back, count }) as const),
    fc
      .oneof(fc.integer({ min: 4, max: 300 }), fc.integer({ min: 65_000, max: 67_000 }))
      .map((count) => ({ kind: 'repeat', count }) as const),
  );
  fc.assert(
    fc.property(fc.array(element, { minLength: 1, maxLength: 12 }), (elements) => {
      let out = bytes.subarray(0, 9);
      const parts = [literal(out)];
      let offset = 1;
      const copyBack = (count: number): void => {
        const more = Buffer.alloc(count);
        const source = out.subarray(out.length - offset);
        for (let i = 0; i < count; i++) more[i] = source[i % offset] as number;
        out = Buffer.concat([out, more]);
      };
      parts.push(copy1(1, 4));
      copyBack(4);
      for (const one of elements) {
        if (one.kind === 'literal') {
          parts.push(literal(bytes.subarray(0, one.count)));
          out = Buffer.concat([out, bytes.subarray(0, one.count)]);
          continue;
        }
        if (one.kind === 'repeat') parts.push(repeat(one.count));
        else {
          const most = { copy1: 2047, copy2: 65_535, copy4: Number.POSITIVE_INFINITY }[one.kind];
          offset = 1 + (one.back % Math.min(out.length, most));
          parts.push({ copy1, copy2, copy4 }[one.kind](offset, one.count));
        }
        copyBack(one.count);
      }
      assert.ok(decodeSnappyBlock(Buffer.concat([varint(out.length), ...parts])).equals(out));
    }),
    { seed: 7, numRuns: 300 },
  );
});

const isFault = (error: unknown): boolean => error instanceof SnappyFault;

test('a block that is cut off or made of anything: a fault, never more than a block', () => {
  const block = packS2(TEXT).subarray(18);
  assert.equal(decodeSnappyBlock(block), TEXT);
  for (let cut = 0; cut < block.length; cut++)
    assert.throws(() => decodeSnappyBlock(block.subarray(0, cut)), isFault);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (array) => {
      try {
        decodeSnappyBlock(Buffer.from(array));
      } catch (error) {
        assert.instance(error, SnappyFault);
      }
    }),
    { seed: 1, numRuns: 2000 },
  );
});

test('a stream in chunks cut anywhere, with padding and an index in it; a damaged one is refused', async () => {
  const bytes = Buffer.concat(
    Array.from({ length: 300 }, (_, i) => Buffer.concat([TEXT, Buffer.from(`${i}`)])),
  );
  const stream = packS2(bytes);
  for (const cut of [1, 5, 1000, stream.length]) assert.ok((await decode(stream, cut)).equals(bytes));
  const padding = Buffer.from([0xfe, 3, 0, 0, 1, 2, 3, 0x99, 1, 0, 0, 9]);
  assert.ok((await decode(Buffer.concat([stream, padding, stream]))).equals(Buffer.concat([bytes, bytes])));
  await refusal(decode(stream.subarray(0, -1)), /a\.s2 is cut off/);
  const stored = Buffer.concat([chunkOf(TEXT, TEXT), padding, chunkOf(bytes, bytes)]);
  assert.ok((await decode(stored)).equals(Buffer.concat([TEXT, bytes])));
  const offset = TEXT.length + 8 + padding.length;
  const { facts } = await refusal(
    decode(flipped(stored, 8 * stored.length - 1)),
    new RegExp(`^a\\.s2 has a wrong checksum, in the chunk that begins at its byte ${offset}: `),
  );
  assert.equal(facts, { offset });
  await refusal(
    decode(Buffer.concat([stream, Buffer.from([2, 0, 0, 0])])),
    new RegExp(`has the unknown type 2, in the chunk that begins at its byte ${stream.length}: `),
  );
  const bomb = Buffer.concat([
    varint(4 << 20),
    literal(Buffer.from('a')),
    copy1(1, 4),
    repeat((4 << 20) - 5),
  ]);
  const inflated = Buffer.alloc(4 << 20, 'a');
  await refusal(
    decode(Buffer.concat([stream.subarray(0, 10), chunkOf(bomb, inflated)])),
    /inflates to more than 1000 times/,
  );
});

test.run();
