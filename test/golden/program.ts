/** Runs the program's command line in this process: dozens of runs in the time that one process takes to start. */

import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { runProgram } from '../../src/cli/program.ts';
import { redact } from '../../src/secret.ts';
import type { TextWriter } from '../../src/text/terminal.ts';

export const ROOT = join(import.meta.dirname, '../..');

export interface Surroundings {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly columns?: number;
}

/** Has every later run be this person's: pages break their lines by the length of names. */
export function as(user: string, host: string): void {
  const usual = os.userInfo();
  os.hostname = () => host;
  os.userInfo = (() => ({ ...usual, username: user })) as typeof os.userInfo;
  syncBuiltinESMExports();
}

/** `$ plan …`, then what came on stdout and stderr, then the exit code. */
export async function transcript(args: readonly string[], surroundings: Surroundings = {}): Promise<string> {
  const { cwd = ROOT, env = {}, columns = 100 } = surroundings;
  process.chdir(cwd); // the plan is read by its name as it is given
  const said = { stdout: '', stderr: '' };
  const writer = (name: keyof typeof said): TextWriter => ({
    isTTY: false,
    columns,
    write(text) {
      said[name] += redact(text);
    },
    drained: () => Promise.resolve(),
  });
  const code = await runProgram(args, {
    ...{ env, cwd, stdin: () => Readable.from([]), stdout: writer('stdout'), stderr: writer('stderr') },
    adoptVariables: () => undefined,
    program: ['plan'],
    signal: new AbortController().signal,
    now: Date.now,
    processId: 4242,
    checkpoint: () => {},
  });
  const part = (name: keyof typeof said): string => (said[name] === '' ? '' : `--- ${name}\n${said[name]}`);
  return `$ plan ${args.join(' ')}\n${part('stdout')}${part('stderr')}--- exit ${code}\n\n`;
}
