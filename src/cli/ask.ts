/** Questions on the terminal. */
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import type { ProcessEdge } from './context.ts';

/** Somebody sits at a terminal: questions can be read there and answered. No longer after Ctrl-D. */
export function canAsk({ stdin, stderr }: Pick<ProcessEdge, 'stdin' | 'stderr'>): boolean {
  return stdin.isTTY === true && stderr.isTTY && !stdin.readableEnded && !stdin.destroyed;
}

/**
 * Asks and returns the answer, trimmed. Undefined where nobody can answer: no terminal on stdin or stderr, or the
 * input ended. Rejects with the signal's reason when the run is stopped meanwhile.
 */
export async function ask(edge: ProcessEdge, question: string): Promise<string | undefined> {
  if (!canAsk(edge)) return undefined;
  const output = new Writable({
    write(chunk, _encoding, done) {
      edge.stderr.write(String(chunk));
      done();
    },
  });
  // `terminal: false` leaves Ctrl-C to the terminal driver, so it arrives as the SIGINT that the process edge handles.
  const lines = createInterface({ input: edge.stdin, output, terminal: false });
  // Many questions may follow each other: each takes its listener off the run's signal again.
  const over = new AbortController();
  try {
    return await new Promise<string | undefined>((resolve, reject) => {
      const stop = () => reject(edge.signal.reason);
      if (edge.signal.aborted) return stop();
      edge.signal.addEventListener('abort', stop, { once: true, signal: over.signal });
      lines.once('close', () => {
        edge.stderr.write('\n');
        resolve(undefined);
      });
      lines.question(question).then((answer) => resolve(answer.trim()), reject);
    });
  } finally {
    over.abort();
    lines.close();
  }
}
