/** The official MongoDB Database Tools and other programs, run to their end. */
import { spawn } from 'node:child_process';
import { type ToolName, toolBinary } from './binaries.ts';
import { guardProcess } from './guard.ts';

export interface ToolRun {
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs one of the Database Tools; throws with its stderr when it fails. Beware: mongorestore also exits 0 when every insert failed. */
export async function mongoTool(name: ToolName, args: readonly string[]): Promise<ToolRun> {
  return program(await toolBinary(name), args);
}

/** `mongodump --uri … --out folder`. Further arguments: `--db`, `--collection`, `--gzip`, `--archive=file` … */
export function mongodump(uri: string, args: readonly string[]): Promise<ToolRun> {
  return mongoTool('mongodump', ['--uri', uri, ...args]);
}

/** `mongorestore --uri … folder`. */
export function mongorestore(uri: string, args: readonly string[]): Promise<ToolRun> {
  return mongoTool('mongorestore', ['--uri', uri, ...args]);
}

/** Runs a program to its end without a shell; throws with its stderr when it fails. */
export async function program(binary: string, args: readonly string[], cwd?: string): Promise<ToolRun> {
  const child = spawn(binary, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  guardProcess(child);
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  const exitCode = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? -1));
  });
  const run = { exitCode, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString('utf8') };
  if (exitCode !== 0) throw new Error(`${binary} exited with ${exitCode}:\n${run.stderr}`);
  return run;
}
