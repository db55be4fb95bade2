/** A follow-up that runs a command, with the restored ids on its stdin and in a file. */

import { constants, createWriteStream } from 'node:fs';
import { access, mkdir, open, rm, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { advice } from '../../advice.ts';
import type { Environment } from '../../plan/interpolate.ts';
import { workDirectoryFault } from '../../selection/directory.ts';
import type { ActionFault, ActionOf, Attempt, FollowUpKind } from '../kind.ts';
import { runCommand } from '../run-command.ts';

type Command = ActionOf<'run'>;

/** Where programs are looked for by an environment without PATH, as the system does it. */
const USUAL_PATH = '/usr/local/bin:/usr/bin:/bin';
/** A first line that names an interpreter is no longer. */
const FIRST_LINE_BYTES = 256;

export const run: FollowUpKind<Command> = {
  isForPeople: false,
  secretsOf: () => [],
  faultsOf: async (action, environment, isSecret) => {
    const faults = [...variableFaults(action, environment, isSecret)];
    const program = await programFault(action, environment);
    return program === undefined ? faults : [...faults, program];
  },
  act: ({ signal, workDirectory }, action, attempt) =>
    withIdsFile(workDirectory, attempt, (input) => {
      const { command, directory, timeoutMs } = action;
      const env = commandEnvironment(action, attempt, input);
      return runCommand({ command, directory, env, input, timeoutMs, signal });
    }),
  explain: ({ command, passUri, env }, shellWord) =>
    `${command.map(shellWord).join(' ')} is run with the restored ids${passUri ? ' and the connection string' : ''}${env.length === 0 ? '' : ` and ${env.join(', ')}`}.`,
  inShort: ({ command }) => `run ${command.join(' ')}`,
};

function* variableFaults(
  { env, passUri }: Command,
  environment: Environment,
  isSecret: (value: string) => boolean,
): Generator<ActionFault> {
  for (const name of env) {
    const value = environment[name];
    if (value === undefined) {
      yield {
        fact: `the variable ${name}, which its env names, is not set`,
        remedy: advice`Set ${name} in the environment or in a file given with ${{ option: 'env-file' }}, or take it out of env.`,
      };
    } else if (!passUri && isSecret(value)) {
      yield {
        fact: `the variable ${name}, which its env names, holds a connection string or a secret of the plan`,
        remedy: `Say passUri: true at the follow-up if its command shall have it, or take ${name} out of env.`,
      };
    }
  }
}

/** The rules of the system: a name with a slash is a path from the command's folder, another one is looked for in PATH. */
async function programFault(
  { command, directory }: Command,
  environment: Environment,
): Promise<ActionFault | undefined> {
  const [program = ''] = command;
  const path = environment['PATH'] ?? USUAL_PATH;
  if (!program.includes('/')) {
    if ((await find(program, { path, directory })) !== undefined) return undefined;
    return {
      fact: `there is no program ${program} in PATH`,
      remedy: `Install ${program} or add its folder to PATH; a script beside the plan is written ./${program}.`,
    };
  }
  const file = resolve(directory, program);
  const where = isAbsolute(program) ? '' : `, looked for beside the file that names it: ${file}`;
  const state = await stateOf(file);
  if (state === 'missing') {
    return {
      fact: `there is no program ${program}${where}`,
      remedy: `Put it there, or correct the path in run.`,
    };
  }
  if (state === 'not executable') {
    return {
      fact: `${program} is not an executable file${where}`,
      remedy: `Make it one: \`chmod +x ${file}\``,
    };
  }
  const interpreter = await interpreterOf(file);
  if (interpreter === undefined || (await stateOf(resolve(directory, interpreter))) === 'executable')
    return undefined;
  return {
    fact: `the interpreter ${interpreter}, which the first line of ${program} names, is not there`,
    remedy: `Install it, or correct the first line of ${file}.`,
  };
}

interface Search {
  readonly path: string;
  readonly directory: string;
}

async function find(program: string, { path, directory }: Search): Promise<string | undefined> {
  for (const folder of path.split(delimiter)) {
    const file = resolve(directory, folder, program);
    if ((await stateOf(file)) === 'executable') return file;
  }
  return undefined;
}

async function stateOf(file: string): Promise<'executable' | 'not executable' | 'missing'> {
  try {
    if (!(await stat(file)).isFile()) return 'not executable';
  } catch {
    return 'missing';
  }
  return access(file, constants.X_OK).then(
    () => 'executable' as const,
    () => 'not executable' as const,
  );
}

/** Of a script; undefined for anything else, and where the file cannot be read. */
async function interpreterOf(file: string): Promise<string | undefined> {
  const handle = await open(file).catch(() => undefined);
  if (handle === undefined) return undefined;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(FIRST_LINE_BYTES), 0, FIRST_LINE_BYTES, 0);
    return /^#![ \t]*([^ \t\r\n]+)/.exec(buffer.toString('latin1', 0, bytesRead))?.[1];
  } finally {
    await handle.close();
  }
}

/** What every command gets of the operator's environment: where things are and how text is written, no credentials. */
const USUAL = /^(?:PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|TERM)$/;

/**
 * The environment of a follow-up's command: usual variables of the operator, those that the plan names, and what the command should
 * know. Connection strings and the plan's secrets are in none of them, unless the plan says `passUri`. `idsFile`: with the restored
 * ids, one per line.
 */
function commandEnvironment(
  { passUri, env: named }: Command,
  { plan, followUp, restore, environment, isSecret }: Attempt,
  idsFile: string,
): Record<string, string> {
  const { target } = restore;
  const own: Record<string, string> = {
    RESTORE_PLAN_NAME: plan.name,
    RESTORE_PLAN_FOLLOW_UP: followUp.name,
    RESTORE_PLAN_TARGET: target,
    RESTORE_PLAN_DATABASE: plan.targets[target]?.database ?? '',
    RESTORE_PLAN_SELECTION: restore.key.selection,
    RESTORE_PLAN_IDS: idsFile,
  };
  const uri = passUri ? plan.targets[target]?.uri?.reveal() : undefined;
  if (uri !== undefined) own['RESTORE_PLAN_URI'] = uri;
  const passed = Object.entries(environment).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined &&
      (named.includes(entry[0])
        ? passUri || !isSecret(entry[1])
        : USUAL.test(entry[0]) && !isSecret(entry[1])),
  );
  return { ...Object.fromEntries(passed), ...own };
}

/** Writes the lines to a private file, hands over its path, and removes it when the work is done. */
async function withIdsFile<T>(
  workDirectory: string,
  { id, idLines }: Attempt,
  work: (path: string) => Promise<T>,
): Promise<T> {
  const folder = join(workDirectory, 'follow-ups');
  const path = join(folder, `${id}.ndjson`);
  try {
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const file = createWriteStream(path, { flags: 'wx', mode: 0o600 });
      await pipeline(Readable.from(withNewlines(idLines())), file);
    } catch (error) {
      throw workDirectoryFault(error, path);
    }
    return await work(path);
  } finally {
    await rm(path, { force: true });
  }
}

async function* withNewlines(lines: AsyncIterable<string>): AsyncGenerator<string, void, undefined> {
  for await (const line of lines) yield `${line}\n`;
}
