import { Decimal128, Double, Int32, Long, MaxKey, MinKey, ObjectId, serialize } from 'bson';
import * as fc from 'fast-check';
import * as assert from 'uvu/assert';
import { compareValues } from '../../src/bson/compare-values.ts';
import { findElement } from '../../src/bson/elements.ts';
import { IDS_TOGETHER, ObjectIdBatch } from '../../src/bson/flat-sets.ts';
import { KeySet } from '../../src/bson/key-set.ts';
import type { RawValue } from '../../src/bson/types.ts';
import { test } from '../harness.ts';

const raw = (v: unknown): RawValue =>
  findElement(Buffer.from(serialize({ v }, { ignoreUndefined: false })), 0, Buffer.from('v')) as RawValue;

test('numbers of all four types are one key when they are equal, and only then', () => {
  const equal = [
    [
      new Int32(1),
      Long.fromNumber(1),
      new Double(1),
      Decimal128.fromString('1.00'),
      Decimal128.fromString('1'),
    ],
    [new Int32(0), new Double(-0), new Double(0), Decimal128.fromString('-0E+5')],
    [new Double(0.5), Decimal128.fromString('0.5'), Decimal128.fromString('5E-1')],
    [
      new Double(2 ** 60),
      Long.fromString('1152921504606846976'),
      Decimal128.fromString('1152921504606846976'),
    ],
    [new Double(1e22), Decimal128.fromString('1E+22')],
    [new Double(Number.NaN), Decimal128.fromString('NaN')],
    [new Double(Infinity), Decimal128.fromString('Infinity')],
    [Long.fromString('9007199254740993'), Decimal128.fromString('9007199254740993')],
    [Decimal128.fromString('0.1'), Decimal128.fromString('0.10')],
    [Decimal128.fromString('1000000000000000000000000000000000E+6111'), Decimal128.fromString('1E+6144')],
  ];
  equal.forEach((group, i) => {
    const keys = new KeySet();
    keys.add(raw(group[0]));
    for (const each of group) assert.ok(keys.has(raw(each)), `${each}`);
    for (const other of equal.filter((_, j) => j !== i).flat()) assert.not(keys.has(raw(other)), `${other}`);
    assert.not(keys.has(raw(new Double(0.1))), 'double 0.1 is no decimal');
  });
});

test('equality agrees with the comparison of values', () => {
  const scalar = fc.oneof(
    fc.integer({ min: -3, max: 3 }).map((n) => new Int32(n)),
    fc.integer({ min: -3, max: 3 }).map((n) => new Double(n / 2)),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((n) => Long.fromBigInt(n)),
    fc.integer({ min: -3, max: 3 }).map((n) => Long.fromNumber(n)),
    fc.double().map((n) => new Double(n)),
    fc
      .tuple(fc.integer({ min: -9, max: 9 }), fc.integer({ min: -2, max: 2 }))
      .map(([n, e]) => Decimal128.fromString(`${n}E${e}`)),
    fc.constantFrom('', 'a', 'ab', 'a\0b', null, true, false, new MinKey(), new MaxKey()),
    fc.integer({ min: 0, max: 3 }).map((n) => new ObjectId(n.toString(16).padStart(24, '0'))),
    fc.integer({ min: 0, max: 3 }).map((n) => new Date(n)),
  );
  const value = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 2 },
      scalar,
      fc.array(tie('value'), { maxLength: 2 }),
      fc.dictionary(fc.constantFrom('a', 'b'), tie('value'), { maxKeys: 2 }),
    ),
  })).value;
  fc.assert(
    fc.property(fc.array(value, { maxLength: 20 }), value, (values, probe) => {
      const keys = new KeySet();
      const kept: RawValue[] = [];
      for (const each of values.map(raw)) {
        const known = kept.some((other) => compareValues(other, each) === 0);
        assert.is(keys.add(each), !known);
        if (!known) kept.push(each);
      }
      assert.is(keys.size, kept.length);
      assert.is(
        keys.has(raw(probe)),
        kept.some((other) => compareValues(other, raw(probe)) === 0),
      );
    }),
    { seed: 7, numRuns: 400 },
  );
});

test('the values of a set make an equal set', () => {
  const key = fc.oneof(
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((n) => Long.fromBigInt(n)),
    fc.integer().map((n) => new Int32(n)),
    fc.double().map((n) => new Double(n)),
    fc
      .tuple(fc.bigInt({ min: -(10n ** 33n), max: 10n ** 33n }), fc.integer({ min: -6143, max: 6111 }))
      .map(([n, e]) => Decimal128.fromString(`${n}E${e}`)),
    fc.string({ maxLength: 40 }),
    fc.constantFrom(true, false, new MinKey(), new MaxKey()),
    fc.date({ noInvalidDate: true }),
    fc.integer({ min: 0, max: 9 }).map((n) => new ObjectId(n.toString(16).padStart(24, '0'))),
  );
  fc.assert(
    fc.property(fc.array(key, { maxLength: 50 }), (made) => {
      const keys = new KeySet();
      for (const each of made) keys.add(raw(each));
      const again = new KeySet();
      for (const value of keys.values()) {
        const { type, bytes } = value as NonNullable<typeof value>;
        assert.ok(again.add({ type, bytes, start: 0, end: bytes.length }));
      }
      assert.is(again.size, keys.size);
      for (const each of made) assert.ok(again.has(raw(each)), `${each}`);
    }),
    { seed: 7, numRuns: 400 },
  );
});

test('ObjectIds that are put in and looked up together are the ones of one by one', () => {
  const number = fc.nat({ max: 3000 });
  const id = (n: number): RawValue => raw(new ObjectId((n * 7919).toString(16).padStart(24, '0')));
  fc.assert(
    fc.property(fc.array(fc.tuple(number, fc.nat({ max: 999 })), { maxLength: 2000 }), (steps) => {
      const together = new KeySet();
      const oneByOne = new KeySet();
      const batch = new ObjectIdBatch();
      const found = new Uint8Array(IDS_TOGETHER);
      for (const [n, step] of steps) {
        if (step < 990) {
          together.collect(id(n));
          oneByOne.add(id(n));
        } else {
          const probes = Array.from({ length: IDS_TOGETHER }, (_, i) => id(n + i));
          for (const { bytes, start } of probes) batch.push(bytes, start);
          together.findAll(batch, found);
          assert.equal(
            [...found],
            probes.map((probe) => Number(oneByOne.has(probe))),
          );
        }
      }
      assert.is(together.size, oneByOne.size);
    }),
    { seed: 7, numRuns: 50 },
  );
});

test('a million ObjectIds are all found again, in at most 64 MiB', () => {
  const before = process.memoryUsage().arrayBuffers;
  const keys = new KeySet();
  const bytes = Buffer.alloc(12);
  const value: RawValue = { bytes, type: 7, start: 0, end: 12 };
  for (let i = 0; i < 1_000_000; i++) {
    bytes.writeInt32BE(0x57d17993 + (i >> 8), 0);
    bytes.writeInt32BE(i * 7, 8);
    assert.ok(keys.add(value));
  }
  assert.is(keys.size, 1_000_000);
  const megabytes = (process.memoryUsage().arrayBuffers - before) / 2 ** 20;
  assert.ok(megabytes <= 64, `${megabytes} MiB, tables that it outgrew among them`);
  for (let i = 0; i < 1_000_000; i++) {
    bytes.writeInt32BE(0x57d17993 + (i >> 8), 0);
    bytes.writeInt32BE(i * 7, 8);
    if (!keys.has(value)) assert.unreachable(`key ${i} is lost`);
  }
  bytes.writeInt32BE(-1, 4);
  assert.not(keys.has(value));
});

test('keys of any length are found again', () => {
  const keys = new KeySet();
  const texts = Array.from({ length: 2000 }, (_, i) => `${'x'.repeat(i % 97)}${i}`).concat(
    'y'.repeat(2 ** 20),
    '',
  );
  for (const text of texts) assert.ok(keys.add(raw(text)));
  assert.is(keys.size, texts.length);
  for (const text of texts) assert.ok(keys.has(raw(text)));
  assert.not(keys.has(raw('z'.repeat(2 ** 20))));
});

test('the ObjectId of all zeros is a key like others', () => {
  const keys = new KeySet();
  const zero = raw(new ObjectId('0'.repeat(24)));
  assert.not(keys.has(zero));
  assert.ok(keys.add(zero));
  assert.not(keys.add(zero));
  assert.ok(keys.has(zero));
  assert.is(keys.size, 1);
});

test.run();
