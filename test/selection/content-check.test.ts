/** Bytes are known again, whatever pieces they come in; others are not, whether or not they were right before. */
import { createHash } from 'node:crypto';
import * as assert from 'uvu/assert';
import { ContentCheck } from '../../src/selection/content-check.ts';
import { test } from '../harness.ts';
import { type Random, seededRandom } from '../lab/random.ts';

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

function isRight(wanted: string, bytes: Buffer, random: Random): boolean {
  const check = new ContentCheck(wanted);
  for (let at = 0; at < bytes.length; ) {
    const end = at + random.integer(1, 40_000);
    check.update(bytes.subarray(at, end));
    at = end;
  }
  return check.isRight();
}

test('right bytes are right again and again, other bytes never', () => {
  const random = seededRandom(5);
  for (let round = 0; round < 50; round++) {
    const bytes = random.bytes(random.integer(1, 100_000));
    const flipped = Buffer.from(bytes);
    const at = random.integer(0, bytes.length - 1);
    flipped[at] = (bytes[at] as number) ^ (1 << random.integer(0, 7));
    const others = [flipped, bytes.subarray(1), Buffer.concat([bytes, Buffer.of(0)]), Buffer.alloc(0)];
    const wanted = sha256(bytes);
    for (let time = 0; time < 3; time++) {
      for (const other of others) assert.not(isRight(wanted, other, random), `time ${time}`);
      assert.ok(isRight(wanted, bytes, random), `time ${time}`);
    }
  }
});

test('what was right under one SHA-256 is not taken for right under another', () => {
  const [a, b] = [Buffer.from('one'), Buffer.from('two')];
  const random = seededRandom(1);
  assert.ok(isRight(sha256(a), a, random));
  const other = sha256(b);
  assert.not(isRight(other, a, random));
  assert.ok(isRight(other, b, random));
  assert.not(isRight(other, a, random));
});

test('nothing is known again, too', () => {
  const wanted = sha256(Buffer.alloc(0));
  const random = seededRandom(1);
  for (let time = 0; time < 2; time++) {
    assert.ok(isRight(wanted, Buffer.alloc(0), random));
    assert.not(isRight(wanted, Buffer.of(5), random));
  }
});

test.run();
