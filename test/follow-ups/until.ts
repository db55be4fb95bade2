import { setTimeout as delay } from 'node:timers/promises';

/** Settles when the condition holds; the test's own deadline bounds the waiting. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await delay(20);
}
