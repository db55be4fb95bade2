/** Deadlines for what hangs, in tests: a machine that is busy with other things gives a process only its share, and so much longer it is waited for. */
import { availableParallelism, loadavg } from 'node:os';

/** What hangs is found out even where the load is what hangs. */
const MOST_PATIENCE = 8;

/** Calls `passed` when the time is over; until the returned function is called. */
export function startDeadline(milliseconds: number, passed: () => void): () => void {
  const started = performance.now();
  let timer: NodeJS.Timeout;
  const wait = (left: number): void => {
    timer = setTimeout(() => {
      const more = milliseconds * howBusy() - (performance.now() - started);
      if (more > 0) wait(more);
      else passed();
    }, left);
  };
  wait(milliseconds);
  return () => clearTimeout(timer);
}

/** How many processes of the last minute shared a core; at least 1, and 1 where the system does not say. */
function howBusy(): number {
  const [load = 0] = loadavg();
  return Math.min(MOST_PATIENCE, Math.max(1, load / availableParallelism()));
}
