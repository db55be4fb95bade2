/**
 * The program of a fault test: `RESTORE_PLAN_DIE_AT=batch-written*3` ends it, as if by `kill -9`, when a run comes to that
 * checkpoint for the third time.
 */
import { runProcess } from '../../src/process.ts';

const [name, count = '1'] = process.env['RESTORE_PLAN_DIE_AT']?.split('*') ?? [];
let left = Number(count);

runProcess((reached) => {
  if (reached === name && --left === 0) process.kill(process.pid, 'SIGKILL');
});
