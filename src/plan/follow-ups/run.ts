/** A follow-up that runs a command, with the restored ids on its stdin and in a file. */
import { constants } from 'node:fs';
import { access, open, stat } from 'node:fs/promises';
import { delimiter, dirname, isAbsolute, relative, resolve } from 'node:path';
import { advice } from '../../advice.ts';
import { faultAt } from '../fault.ts';
import { durationAt } from '../instant.ts';
import type { Environment } from '../interpolate.ts';
import { givenValue, nodeAt, textsAt } from '../nodes.ts';
import type { ActionFault, Attempt, FollowUpKind } from './kind.ts';
import { runCommand } from './run-command.ts';

export interface RunAction {
  readonly kind: 'run';
  /** Program and arguments as written; run without a shell. */
  readonly command: readonly string[];
  /** Absolute path of the folder to run it in: that of the file that names the command. */
  readonly directory: string;
  readonly timeoutMs: number;
  readonly passUri: boolean;
  /** Names of the operator's variables that the command gets beside the usual ones. */
  readonly env: readonly string[];
}

/** How long a command may take where the plan says nothing. */
const USUAL_TIME_MS = 5 * 60_000;
/** Where programs are looked for by an environment without PATH, as the system does it. */
const USUAL_PATH = '/usr/local/bin:/usr/bin:/bin';
/** A first line that names an interpreter is no longer. */
const FIRST_LINE_BYTES = 256;

export const RUN: FollowUpKind<RunAction> = {
  isForPeople: false,
  options: ['timeout', 'passUri', 'env'],
  isMap: false,
  build: (entry) => ({
    kind: 'run',
    command: textsAt(entry, 'run'),
    directory: dirname(nodeAt(entry, 'run')!.place.text.absolutePath),
    timeoutMs: durationAt(entry, 'timeout') ?? USUAL_TIME_MS,
    passUri: givenValue(entry, 'passUri') === true,
    env: textsAt(entry, 'env'),
  }),
  rules: (root, path) => {
    const program = nodeAt(root, ...path, 'run', 0);
    if (program?.kind !== 'scalar' || program.value !== '') return [];
    const message = 'the command has no program';
    return [
      faultAt(program.place, 'follow-ups', {
        message,
        expected: 'a program such as ./scripts/clear-cache.sh',
      }),
    ];
  },
  secretsOf: () => [],
  approved: {
    value: (action, folder) => ({ ...action, directory: relative(folder, action.directory) }),
    words: ({ command }, shellWord) => `runs: ${command.map(shellWord).join(' ')}`,
  },
  explain: ({ command, passUri, env }, shellWord) =>
    `${command.map(shellWord).join(' ')} is run with the restored ids${passUri ? ' and the connection string' : ''}${env.length === 0 ? '' : ` and ${env.join(', ')}`}.`,
  inShort: ({ command }) => `run ${command.join(' ')}`,
  faultsOf: async (action, environment, isSecret) => {
    const faults = [...variableFaults(action, environment, isSecret)];
    const program = await programFault(action, environment);
    return program === undefined ? faults : [...faults, program];
  },
  act: ({ signal }, action, attempt) =>
    attempt.withIdsFile((input) => {
      const { command, directory, timeoutMs } = action;
      const env = commandEnvironment(action, attempt, input);
      return runCommand({ command, directory, env, input, timeoutMs, signal });
    }),
};

function* variableFaults(
  { env, passUri }: RunAction,
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
  { command, directory }: RunAction,
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
  { passUri, env: named }: RunAction,
  { plan, followUp, target, database, uri, selection, environment, isSecret }: Attempt,
  idsFile: string,
): Record<string, string> {
  const own: Record<string, string> = {
    RESTORE_PLAN_NAME: plan.name,
    RESTORE_PLAN_FOLLOW_UP: followUp,
    RESTORE_PLAN_TARGET: target,
    RESTORE_PLAN_DATABASE: database,
    RESTORE_PLAN_SELECTION: selection,
    RESTORE_PLAN_IDS: idsFile,
  };
  if (passUri && uri !== undefined) own['RESTORE_PLAN_URI'] = uri.reveal();
  const passed = Object.entries(environment).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined &&
      (named.includes(entry[0])
        ? passUri || !isSecret(entry[1])
        : USUAL.test(entry[0]) && !isSecret(entry[1])),
  );
  return { ...Object.fromEntries(passed), ...own };
}
