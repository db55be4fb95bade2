/** Delays and slows the bytes of one connection, as distance and a thin line would. */
import type { Socket } from 'node:net';

export interface Pace {
  readonly latencyMs?: number;
  readonly bytesPerSecond?: number;
}

/** Reading stops while more than this waits to be passed on. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

/** `undefined` ends the connection. `written`: called when the chunk may be overwritten. */
export type Paced = (chunk: Buffer | undefined, written?: () => void) => void;

/**
 * Returns a function that writes chunks to `to`, each no earlier than `latencyMs` after it was given and no faster than
 * `bytesPerSecond`. Chunks keep their order. `from` is paused while too much waits.
 */
export function pace(
  from: Socket,
  to: Socket,
  { latencyMs = 0, bytesPerSecond = Number.POSITIVE_INFINITY }: Pace,
): Paced {
  const queue: { chunk: Buffer | undefined; written: (() => void) | undefined; dueAt: number }[] = [];
  let waiting = 0;
  /** When the line has passed on all that was queued so far. */
  let lineFreeAt = 0;
  let timer: NodeJS.Timeout | undefined;

  const passOn = (): void => {
    timer = undefined;
    while (queue.length > 0 && (queue[0]?.dueAt ?? 0) <= performance.now() && !to.writableNeedDrain) {
      const { chunk, written } = queue.shift() as (typeof queue)[number];
      if (chunk === undefined) {
        to.end();
        continue;
      }
      waiting -= chunk.length;
      to.write(chunk, written);
    }
    if (waiting < MAX_WAITING_BYTES && from.isPaused()) from.resume();
    schedule();
  };
  const schedule = (): void => {
    const next = queue[0];
    if (next === undefined || timer !== undefined || to.writableNeedDrain || to.destroyed) return;
    timer = setTimeout(passOn, Math.max(0, next.dueAt - performance.now()));
  };
  to.on('drain', passOn);
  to.on('close', () => clearTimeout(timer));
  return (chunk, written) => {
    const now = performance.now();
    const length = chunk?.length ?? 0;
    lineFreeAt = Math.max(lineFreeAt, now) + (length / bytesPerSecond) * 1000;
    queue.push({ chunk, written, dueAt: lineFreeAt + latencyMs });
    waiting += length;
    if (waiting >= MAX_WAITING_BYTES) from.pause();
    if (latencyMs === 0 && bytesPerSecond === Number.POSITIVE_INFINITY) passOn();
    else schedule();
  };
}
