import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { Documents } from '../../src/bson/documents.ts';
import { CommandFailure } from '../../src/target/command-failure.ts';
import { scanExisting } from '../../src/target/scan-existing.ts';
import { numbered } from '../apply/documents.ts';
import { test } from '../harness.ts';

const PER_BATCH = 10;

async function* batchesOf(documents: readonly Buffer[]) {
  for (let first = 0; first < documents.length; first += PER_BATCH)
    yield Documents.of(documents.slice(first, first + PER_BATCH), first);
}

/** Replies of seven documents; after `faultAfter` of them the server is gone. */
async function* repliesOf(documents: readonly Buffer[], faultAfter = Number.POSITIVE_INFINITY) {
  for (let at = 0; at < documents.length; at += 7) {
    if (at >= faultAfter)
      throw new CommandFailure({ target: 'staging', command: 'getMore', namespace: 'a', cause: new Error() });
    yield Documents.of(documents.slice(at, at + 7));
  }
}

/** Indexes of the documents that were seen; each batch must come once and in its place. */
async function seen(selected: readonly Buffer[], found: AsyncIterable<Documents>) {
  const indexes: number[] = [];
  let next = 0;
  for await (const { documents, there } of scanExisting(batchesOf(selected), found)) {
    assert.is(documents.first, next);
    next += documents.length;
    for (let i = 0; i < documents.length; i++)
      if (there.presence(i) === 'same') indexes.push(documents.first + i);
  }
  assert.is(next, selected.length);
  return indexes;
}

const SELECTED = numbered(0, 1_000);
const ALL = SELECTED.map((_, index) => index);

test('documents in their order, and in the order of batches written side by side: all are seen', async () => {
  assert.equal(await seen(SELECTED, repliesOf(SELECTED)), ALL);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({ max: 11 }), { minLength: 200, maxLength: 200 }), async (turns) => {
      // Twelve writers, each with a batch of its own at a time, store a few documents whenever it is their turn.
      const waiting = Array.from({ length: 100 }, (_, i) => SELECTED.slice(i * 10, i * 10 + 10));
      const writing = waiting.splice(0, 12);
      const stored: Buffer[] = [];
      for (let turn = 0; writing.length > 0; turn++) {
        const writer = (turns[turn % turns.length] as number) % writing.length;
        const batch = writing[writer] as Buffer[];
        stored.push(...batch.splice(0, 4));
        // The next batch begins once the oldest is done, as they are read in order.
        while (writing[0]?.length === 0) {
          writing.shift();
          const next = waiting.shift();
          if (next !== undefined) writing.push(next);
        }
      }
      assert.equal(await seen(SELECTED, repliesOf(stored)), ALL);
    }),
    { seed: 20261123, numRuns: 50 },
  );
});

test('in any order, with any documents missing, changed or added: what is seen is there, byte for byte', async () => {
  const changed = numbered(0, 1_000, 'as nobody knows it');
  await fc.assert(
    fc.asyncProperty(
      fc.shuffledSubarray(ALL),
      fc.subarray(ALL),
      fc.integer({ min: 0, max: 100 }),
      async (order, other, strangers) => {
        const isOther = new Set(other);
        const found = order.map((index) => (isOther.has(index) ? changed : SELECTED)[index] as Buffer);
        found.splice(found.length / 2, 0, ...numbered(5_000, 5_000 + strangers));
        const there = new Set(order.filter((index) => !isOther.has(index)));
        for (const index of await seen(SELECTED, repliesOf(found))) assert.ok(there.has(index), `${index}`);
      },
    ),
    { seed: 20261123, numRuns: 50 },
  );
});

test('the server is gone in the middle: what had come is seen, the rest left to be looked up', async () => {
  assert.equal(await seen(SELECTED, repliesOf(SELECTED, 350)), ALL.slice(0, 350));
});

test('documents that are missing or come too late are left open, and only those', async () => {
  const within = [...SELECTED.slice(1, 150), SELECTED[0] as Buffer, ...SELECTED.slice(150)];
  assert.equal(await seen(SELECTED, repliesOf(within)), ALL);
  const tooLate = [...SELECTED.slice(1, 200), SELECTED[0] as Buffer, ...SELECTED.slice(200)];
  assert.equal(await seen(SELECTED, repliesOf(tooLate)), ALL.slice(1));
  const replaced = SELECTED.map((document, i) =>
    i % 100 === 5 ? (numbered(-i, 1 - i)[0] as Buffer) : document,
  );
  assert.equal(
    await seen(SELECTED, repliesOf(replaced)),
    ALL.filter((i) => i % 100 !== 5),
  );
});

test('of large documents, few are held', async () => {
  const large = numbered(0, 8, 'x'.repeat(12 * 1024 * 1024));
  let opened = 0;
  async function* batches() {
    for (const [first, document] of large.entries()) {
      opened++;
      yield Documents.of([document], first);
    }
  }
  let handedOn = 0;
  for await (const _ of scanExisting(batches(), repliesOf(large.toReversed()))) {
    assert.ok(opened - handedOn <= 3, `${opened - handedOn} of 12 MB`);
    handedOn++;
  }
  assert.is(handedOn, large.length);
});

test('an `_id` of no bytes, and documents without one', async () => {
  const odd = [Buffer.from('0a0000000a5f69640000', 'hex'), Buffer.from('0500000000', 'hex')];
  assert.equal(
    await seen([...odd, ...numbered(0, 3)], repliesOf([...numbered(0, 3), ...odd].reverse())),
    [0, 2, 3, 4],
  );
});

test.run();
