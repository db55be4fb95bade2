/**
 * uvu's `suite` and `test` with what it lacks: a deadline for each test and each hook, and a reason for each skip.
 * `test/run.ts` watches over the rest (files without tests, files that never end).
 */
import { writeSync } from 'node:fs';
import { suite as uvuSuite } from 'uvu';
import { cpuSeconds } from './lab/cpu-time.ts';
import { startDeadline } from './lab/deadline.ts';
import { whatStillRuns } from './lab/still-running.ts';

export interface TestOptions {
  /** The test fails when it takes longer; default 60 s. Meant for what hangs: it grows with the load of the machine. */
  readonly deadlineMs?: number;
}

export type Body = () => void | Promise<void>;

export interface Hook {
  (body: Body, options?: TestOptions): void;
  each(body: Body, options?: TestOptions): void;
}

export interface Test {
  (name: string, body: Body, options?: TestOptions): void;
  only(name: string, body: Body, options?: TestOptions): void;
  /** Leaves a test out and says why; the reason is printed with the results. */
  skip(name: string, reason: string): void;
  readonly before: Hook;
  readonly after: Hook;
  run(): void;
}

// For the runner, which is the only one that hears of it; the pipe takes it at once.
if (process.send !== undefined)
  process.once('exit', () => writeSync(1, `cpu: ${cpuSeconds().toFixed(2)} s\n`));

const DEFAULT_DEADLINE_MS = 60_000;
const DEFAULT_HOOK_DEADLINE_MS = 120_000;

export function suite(title = ''): Test {
  const inner = uvuSuite(title);
  const timed = (name: string, body: Body, { deadlineMs = DEFAULT_DEADLINE_MS }: TestOptions = {}): Body => {
    return () => {
      // Tells the runner what is going on, should it have to kill this process.
      process.send?.({ running: title === '' ? name : `${title}: ${name}` });
      return withinDeadline(body, deadlineMs);
    };
  };
  const hook = (name: 'before' | 'after'): Hook => {
    const timedHook = (body: Body, options: TestOptions = {}): Body =>
      reported(timed(`${name} hook`, body, { deadlineMs: options.deadlineMs ?? DEFAULT_HOOK_DEADLINE_MS }));
    const add = (body: Body, options?: TestOptions): void => inner[name](timedHook(body, options));
    return Object.assign(add, {
      each: (body: Body, options?: TestOptions): void => inner[name].each(timedHook(body, options)),
    });
  };
  const add = (name: string, body: Body, options?: TestOptions): void =>
    inner(name, timed(name, body, options));
  return Object.assign(add, {
    only: (name: string, body: Body, options?: TestOptions): void =>
      inner.only(name, timed(name, body, options)),
    skip: (name: string, reason: string): void => {
      process.stdout.write(`skipped: ${name}: ${reason}\n`);
      inner.skip();
    },
    before: hook('before'),
    after: hook('after'),
    run: () => inner.run(),
  });
}

export const test: Test = suite();

/** uvu counts the tests that a failed hook kept from running, but swallows the hook's error. */
function reported(body: Body): Body {
  return async () => {
    try {
      await body();
    } catch (error) {
      process.stdout.write(`\nA hook failed: ${error instanceof Error ? error.stack : error}\n`);
      throw error;
    }
  };
}

async function withinDeadline(body: Body, deadlineMs: number): Promise<void> {
  let end: (() => void) | undefined;
  const deadline = new Promise<never>((_, reject) => {
    end = startDeadline(deadlineMs, () =>
      reject(new Error(`did not end within ${deadlineMs} ms${whatStillRuns()}`)),
    );
  });
  try {
    await Promise.race([body(), deadline]);
  } finally {
    end?.();
  }
}
