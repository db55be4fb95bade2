/** What a whole process costs: wall time from start to end, and the most memory it ever held. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { guardProcess } from '../lab/guard.ts';

export interface ProcessCost {
  readonly wallMs: number;
  /** Peak resident memory, bytes; 0 where there is no /proc. */
  readonly peakBytes: number;
  readonly exitCode: number;
  readonly stdout: string;
  /** The lines of stdout with the time of their arrival since the start, milliseconds. */
  readonly lines: readonly { readonly ms: number; readonly text: string }[];
  readonly stderr: string;
}

export interface ProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Exit codes without which the measure is void; default 0. */
  readonly expected?: readonly number[];
}

/** The kernel keeps the peak itself (VmHWM), so a look every few milliseconds misses at most what the last moment added. */
const LOOK_EVERY_MS = 10;

export async function measureProcess(
  command: string,
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<ProcessCost> {
  const started = performance.now();
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  guardProcess(child);
  let peakBytes = 0;
  const look = setInterval(() => {
    peakBytes = Math.max(peakBytes, peakOf(child.pid));
  }, LOOK_EVERY_MS);
  let stdout = '';
  const arrivals: number[] = [];
  const stderr: Buffer[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    const ends = text.split('\n').length - 1;
    for (let line = 0; line < ends; line++) arrivals.push(performance.now() - started);
  });
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  const exitCode = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? -1));
  }).finally(() => clearInterval(look));
  const cost = {
    wallMs: performance.now() - started,
    peakBytes,
    exitCode,
    stdout,
    lines: stdout
      .split('\n')
      .slice(0, arrivals.length)
      .map((text, index) => ({ ms: arrivals[index] as number, text })),
    stderr: Buffer.concat(stderr).toString('utf8'),
  };
  if (!(options.expected ?? [0]).includes(exitCode))
    throw new Error(`${command} ${args.join(' ')} ended with ${exitCode}:\n${cost.stderr.slice(-4000)}`);
  return cost;
}

/** The most memory that a running process has ever held, bytes; 0 once it has ended. */
export function peakOf(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
