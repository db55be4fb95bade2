/** What would keep the command of a follow-up from running, known before anything is written. */
import { constants } from 'node:fs';
import { access, open, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, resolve } from 'node:path';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import type { Environment } from '../plan/interpolate.ts';
import type { FollowUpAction, Plan } from '../plan/plan.ts';
import { secretTest } from './command-environment.ts';

type Command = Extract<FollowUpAction, { kind: 'run' }>;

/** Where programs are looked for by an environment without PATH, as the system does it. */
const USUAL_PATH = '/usr/local/bin:/usr/bin:/bin';
/** A first line that names an interpreter is no longer. */
const FIRST_LINE_BYTES = 256;

export interface CommandFault {
  readonly followUp: string;
  readonly target: TargetName;
  /** `the program ./clear.sh is not there: /work/plans/clear.sh`. */
  readonly fact: string;
  readonly remedy: string;
}

export interface CommandQuestion {
  readonly plan: Plan;
  readonly targets: readonly TargetName[];
  /** The operator's. */
  readonly environment: Environment;
}

/** Of all follow-ups of these targets; each once, for the first target that it concerns. */
export async function commandFaults({
  plan,
  targets,
  environment,
}: CommandQuestion): Promise<CommandFault[]> {
  const isSecret = secretTest(plan);
  const faults: CommandFault[] = [];
  for (const { name, on, action } of plan.followUps) {
    const target = targets.find((each) => on === each || on === 'both');
    if (target === undefined || action.kind !== 'run') continue;
    const found = [...variableFaults(action, environment, isSecret)];
    const program = await programFault(action, environment);
    if (program !== undefined) found.push(program);
    faults.push(...found.map((fault) => ({ followUp: name, target, ...fault })));
  }
  return faults;
}

/** Throws PLAN_INVALID, naming all of it: a restore whose loose ends cannot be done is better mended before it is begun. */
export async function requireCommands(question: CommandQuestion): Promise<void> {
  const faults = await commandFaults(question);
  const [first] = faults;
  if (first === undefined) return;
  const lines = faults.map(({ followUp, fact }) => `  follow-up "${followUp}": ${fact}`);
  throw new RestorePlanError(
    'PLAN_INVALID',
    `nothing was written: ${faults.length === 1 ? 'a follow-up' : 'follow-ups'} could not run here afterwards\n${lines.join('\n')}`,
    {
      hint: [...new Set(faults.map(({ remedy }) => remedy))].join(' '),
      facts: { followUps: [...new Set(faults.map(({ followUp }) => followUp))] },
    },
  );
}

type Fault = Pick<CommandFault, 'fact' | 'remedy'>;

function* variableFaults(
  { env, passUri }: Command,
  environment: Environment,
  isSecret: (value: string) => boolean,
): Generator<Fault> {
  for (const name of env) {
    const value = environment[name];
    if (value === undefined) {
      yield {
        fact: `the variable ${name}, which its env names, is not set`,
        remedy: `Set ${name} in the environment or in a file given with --env-file, or take it out of env.`,
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
): Promise<Fault | undefined> {
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
