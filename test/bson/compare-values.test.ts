import { Decimal128 } from 'bson';
import * as fc from 'fast-check';
import * as assert from 'uvu/assert';
import { compareValues } from '../../src/bson/compare-values.ts';
import { findElement } from '../../src/bson/elements.ts';
import type { JsonValue } from '../../src/bson/extended-json.ts';
import {
  compareNumbers,
  type ExactNumber,
  encodeDecimal128,
  parseDecimal,
  readDecimal128,
  showDecimal,
} from '../../src/bson/numbers.ts';
import type { RawValue } from '../../src/bson/types.ts';
import { writeExtendedJson } from '../../src/bson/write-extended-json.ts';
import { randomValue, withoutRepeats } from '../differential/random-values.ts';
import { command, firstBatch, RawConnection } from '../differential/raw-connection.ts';
import { idOf, storeDocuments } from '../differential/two-answers.ts';
import { test } from '../harness.ts';
import { startStandalone } from '../lab/mongod.ts';
import { seededRandom } from '../lab/random.ts';
import { anyValue } from './raw-values.ts';

const raw = (value: JsonValue): RawValue =>
  findElement(writeExtendedJson(new Map([['v', value]])), 0, Buffer.from('v')) as RawValue;

test('values are in a total order', () => {
  fc.assert(
    fc.property(anyValue, anyValue, anyValue, (x, y, z) => {
      const [a, b, c] = [raw(x), raw(y), raw(z)];
      assert.is(Math.sign(compareValues(a, b)), -Math.sign(compareValues(b, a)) || 0);
      assert.is(compareValues(a, a), 0);
      if (compareValues(a, b) <= 0 && compareValues(b, c) <= 0) assert.ok(compareValues(a, c) <= 0);
    }),
    { seed: 7, numRuns: 3000 },
  );
});

test('the order is the one in which a server sorts', async () => {
  const server = await startStandalone();
  const connection = await RawConnection.open(server.port);
  try {
    const random = seededRandom(11);
    // Without repeated keys, of which a server's sort sees one or both, as it happens; wrapped, because sorting by an array would go by one of its elements.
    const documents = Array.from({ length: 1500 }, (_, id) =>
      writeExtendedJson(
        new Map<string, JsonValue>([
          ['_id', id],
          ['v', new Map([['x', withoutRepeats(randomValue(random, 2))]])],
        ]),
      ),
    );
    const { name } = await storeDocuments(connection, documents);
    const reply = await connection.send(
      command({ find: name, sort: command({ v: 1, _id: 1 }), batchSize: 2000, $db: 'differential' }),
    );
    const sortKey = (document: Buffer): RawValue => findElement(document, 0, Buffer.from('v')) as RawValue;
    const own = [...documents].sort((a, b) => compareValues(sortKey(a), sortKey(b)) || idOf(a) - idOf(b));
    assert.equal(own.map(idOf), firstBatch(reply).map(idOf));
  } finally {
    connection.close();
    await server.stop();
  }
});

/** Exactly numerator / denominator. */
function fractionOf(number: number | bigint): { numerator: bigint; denominator: bigint } {
  if (typeof number === 'bigint') return { numerator: number, denominator: 1n };
  let scaled = number;
  let denominator = 1n;
  while (!Number.isInteger(scaled)) {
    scaled *= 2;
    denominator *= 2n;
  }
  return { numerator: BigInt(scaled), denominator };
}

test('a decimal is compared with a double or an integer by what they exactly are', () => {
  const number = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e40, max: 1e40 }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  );
  fc.assert(
    fc.property(
      number,
      fc.integer({ min: -3, max: 3 }),
      fc.integer({ min: 1, max: 34 }),
      (value, nudge, digits) => {
        // A decimal next to the number, so that rounding either of them would show.
        const near = Number(value).toPrecision(Math.min(digits, 34));
        const parsed = parseDecimal(near);
        if (parsed?.kind !== 'finite') return;
        const coefficient = parsed.coefficient + BigInt(nudge);
        if (coefficient < 0n || coefficient >= 10n ** 34n) return;
        const decimal: ExactNumber = { ...parsed, coefficient };
        const { numerator, denominator } = fractionOf(value);
        const power = 10n ** BigInt(Math.abs(parsed.exponent));
        const signed = (parsed.negative ? -1n : 1n) * coefficient;
        const left = signed * (parsed.exponent > 0 ? power : 1n) * denominator;
        const right = numerator * (parsed.exponent < 0 ? power : 1n);
        assert.is(Math.sign(compareNumbers(decimal, value)), left < right ? -1 : left > right ? 1 : 0);
      },
    ),
    { seed: 3, numRuns: 5000 },
  );
});

test('decimals are read and written as by the driver', () => {
  const text = fc
    .tuple(fc.boolean(), fc.bigInt({ min: 0n, max: 10n ** 34n - 1n }), fc.integer({ min: -6176, max: 6111 }))
    .map(([negative, digits, exponent]) => `${negative ? '-' : ''}${digits}E${exponent}`);
  fc.assert(
    fc.property(text, (written) => {
      const theirs = Decimal128.fromString(written);
      const ours = parseDecimal(written);
      assert.ok(ours !== undefined);
      assert.ok(encodeDecimal128(ours).equals(Buffer.from(theirs.bytes)), written);
      const read = readDecimal128(Buffer.from(theirs.bytes), 0);
      assert.is(showDecimal(read), theirs.toString());
    }),
    { seed: 5, numRuns: 3000 },
  );
});

test('a decimal that needs more than 34 digits, or too large an exponent, is not rounded but refused', () => {
  for (const written of [
    '12345678901234567890123456789012345',
    '1E6145',
    '1E-6177',
    '',
    '.',
    '1e',
    'abc',
    '0x1',
  ]) {
    assert.is(parseDecimal(written), undefined, written);
  }
  assert.is(
    showDecimal(parseDecimal('1234567890123456789012345678901234000') ?? (assert.unreachable() as never)),
    '1.234567890123456789012345678901234E+36',
  );
});

test.run();
