/** What a test that runs out of time says of the commands it waits for: their screens, and what their processes are doing. */
import { readFileSync } from 'node:fs';

const watched = new Set<() => string>();

/** Has `describe` asked when a test's deadline passes; until the returned function is called. */
export function describeAtDeadline(describe: () => string): () => void {
  watched.add(describe);
  return () => {
    watched.delete(describe);
  };
}

/** Empty when nothing is running. */
export function whatStillRuns(): string {
  return [...watched].map((describe) => `\nstill running: ${describe()}`).join('');
}

/**
 * A process and those it has started, one a line: state as in `ps` (R runs, S waits, T is stopped), the place in the kernel
 * where it waits, its command line. Empty where there is no /proc.
 */
export function processTree(pid: number, indent = ''): string {
  try {
    const of = (file: string): string => readFileSync(`/proc/${pid}/${file}`, 'utf8');
    const state = of('stat').replace(/^.*\) /s, '')[0];
    const command = of('cmdline').replaceAll('\0', ' ').slice(0, 200);
    const children = of(`task/${pid}/children`).split(' ').filter(Boolean);
    const line = `${indent}${pid} ${state} ${wchan(of)} ${command}\n`;
    return line + children.map((child) => processTree(Number(child), `${indent}  `)).join('');
  } catch {
    return '';
  }
}

function wchan(of: (file: string) => string): string {
  try {
    return of('wchan');
  } catch {
    return '-';
  }
}
