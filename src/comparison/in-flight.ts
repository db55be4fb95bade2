const HEAVY_BYTES = 4 * 1024 * 1024;

/**
 * Works on several items of a stream at once and yields the results in the stream's order.
 *
 * At most `width` items are being worked on, which bounds memory and keeps a server busy while the next batch is read. Heavy ones, of batches
 * those above a few megabytes, are not joined by others.
 * After a failure no further item is started, and the failure is thrown when those in flight have settled.
 */
export async function* inFlight<Item, Result>(
  items: AsyncIterable<Item>,
  width: number,
  work: (item: Item) => Promise<Result>,
  weigh: (item: Item) => number = () => 0,
): AsyncGenerator<Result, void, undefined> {
  const running: Promise<Result>[] = [];
  try {
    for await (const item of items) {
      const result = work(item);
      // It is awaited in its turn; failing before that is no unhandled rejection.
      result.catch(() => undefined);
      running.push(result);
      while (running.length >= (weigh(item) > HEAVY_BYTES ? 1 : width))
        yield await (running.shift() as Promise<Result>);
    }
    while (running.length > 0) yield await (running.shift() as Promise<Result>);
  } finally {
    await Promise.allSettled(running);
  }
}
