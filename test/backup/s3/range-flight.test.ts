/** A range under way: what it holds, and when its sender is told to wait. */
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import * as assert from 'uvu/assert';
import { RangeFlight, WaitingRoom } from '../../../src/backup/remote/range-download.ts';
import { test } from '../../harness.ts';

const KIB = 1024;
const MIB = KIB * KIB;

interface Arrival {
  readonly flight: RangeFlight;
  readonly sender: PassThrough;
  /** So many bytes come, 64 KiB at a time. */
  comes(bytes: number): void;
}

/** A range of 8 MiB. */
function arrival(isAlone = true): Arrival {
  const flight = new RangeFlight(8 * MIB, new WaitingRoom(), isAlone);
  const sender = new PassThrough();
  flight.comesFrom(sender);
  let next = 0;
  const comes = (bytes: number): void => {
    for (let left = bytes; left > 0; left -= 64 * KIB)
      flight.take(Buffer.alloc(Math.min(left, 64 * KIB), next++ % 251));
  };
  return { flight, sender, comes };
}

test('the rest of a block that was handed out in part is handed out once the block is full', async () => {
  const { flight, comes } = arrival();
  comes(448 * KIB);
  assert.is((await flight.arrived())?.length, 448 * KIB);
  comes(64 * KIB);
  assert.is((await flight.arrived())?.length, 64 * KIB);
});

test('every byte is handed out once, in order, however it is cut', async () => {
  const { flight, comes } = arrival();
  let asked = 0;
  const parts: Buffer[] = [];
  for (const bytes of [300 * KIB, 3 * MIB, 700, 256 * KIB, 5 * MIB - 556 * KIB - 700]) {
    comes(bytes);
    asked += bytes;
    if (asked % MIB === 0) continue;
    const part = await flight.arrived();
    if (part !== undefined) parts.push(Buffer.from(part));
  }
  await flight.fill(async () => undefined);
  for (let part = await flight.arrived(); part !== undefined; part = await flight.arrived())
    parts.push(Buffer.from(part));
  const { flight: again, comes: come } = arrival();
  for (const bytes of [300 * KIB, 3 * MIB, 700, 256 * KIB, 5 * MIB - 556 * KIB - 700]) come(bytes);
  await again.fill(async () => undefined);
  const whole: Buffer[] = [];
  for (let part = await again.arrived(); part !== undefined; part = await again.arrived())
    whole.push(Buffer.from(part));
  assert.is(Buffer.concat(parts).length, 8 * MIB);
  assert.ok(Buffer.concat(parts).equals(Buffer.concat(whole)));
});

test('the sender waits while 1 MiB waits to be consumed, and goes on when it is', async () => {
  const { flight, sender, comes } = arrival();
  comes(2 * MIB);
  assert.ok(sender.isPaused()); // before anything is asked for, which counts for nothing
  for (let block = 0; block < 3; block++) await flight.arrived();
  assert.ok(sender.isPaused());
  await flight.arrived();
  assert.not(sender.isPaused());
  assert.ok(flight.pausedMs > 0);
  assert.ok(flight.pausedMs <= flight.milliseconds + 1_000);
});

test('of several ranges in flight no sender waits', async () => {
  const { flight, sender, comes } = arrival(false);
  comes(2 * MIB);
  await flight.arrived();
  comes(2 * MIB);
  assert.not(sender.isPaused());
  assert.is(flight.pausedMs, 0);
});

test('no sender waits for long: then the rest comes, until its bytes are asked for again', async () => {
  const { flight, sender, comes } = arrival();
  comes(64 * KIB);
  const first = flight.arrived();
  comes(4 * MIB);
  await first;
  assert.ok(sender.isPaused());
  await once(sender, 'resume');
  comes(MIB);
  assert.not(sender.isPaused());
  await flight.arrived();
  comes(64 * KIB);
  assert.ok(sender.isPaused());
});

test('after a fault another sender goes on, and the one that broke off is let go', async () => {
  const { flight, sender, comes } = arrival();
  comes(64 * KIB);
  const first = flight.arrived();
  comes(2 * MIB);
  await first;
  assert.ok(sender.isPaused());
  const second = new PassThrough();
  flight.comesFrom(second);
  assert.not(sender.isPaused());
  comes(64 * KIB);
  assert.ok(second.isPaused());
});

test.run();
