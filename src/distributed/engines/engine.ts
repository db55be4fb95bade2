/**
 * What carries out array jobs: a cluster that exists already, asked through its own command line with the rights of whoever calls. A new one is a file
 * beside this one and a line in `cli/together.ts`.
 */
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { advice } from '../../advice.ts';
import { RestorePlanError } from '../../errors.ts';
import type { Run } from '../../run.ts';
import { redact } from '../../secret.ts';

/** Workers that differ by their index alone. */
export interface ArrayJob {
  /** The same for every coordinator of the same selection: by it a job that is under way is found. Lower-case letters, digits, hyphens; at most 52. */
  readonly name: string;
  /** For people, one line. */
  readonly title: string;
  /** Indexes are below this. */
  readonly workers: number;
  /** Those that are wanted, ascending. */
  readonly indexes: readonly number[];
  /** Arguments of this program: `select …`. */
  readonly arguments: readonly string[];
}

/** How many workers there are and how far they are. */
export interface JobState {
  readonly running: number;
  readonly waiting: number;
}

export interface Engine {
  /** As `--engine` names it. */
  readonly name: string;
  /**
   * Returns when no worker of this job runs or waits any more, however they ended. A job of this name that is under way is waited for; else the wanted
   * indexes are started, and perhaps others.
   */
  run(run: Run, job: ArrayJob, told: (state: JobState) => void): Promise<void>;
  /** Ends the jobs of these names, removes what was made for them, and returns when none of them runs any more. */
  clean(isOurs: (name: string) => boolean): Promise<void>;
  /**
   * The same as a text: levels with what has to happen between them, to be handed to the cluster by hand. A job of one worker without an index joins
   * a level.
   */
  print(steps: readonly (ArrayJob | Omit<ArrayJob, 'indexes'>)[], last: LastSteps): string;
}

/** Arguments of this program on the machine that wants the selection, once all steps are done. */
export interface LastSteps {
  /** Makes the selection. */
  readonly join: readonly string[];
  /** Removes what was handed in, and what is left of the jobs. */
  readonly clean: readonly string[];
}

/** How long a command of an engine may take; those that submit and ask answer within seconds. */
const COMMAND_MS = 120_000;
const MOST_OUTPUT_BYTES = 64 * 1024 * 1024;

/** Runs a program of the engine and returns what it wrote. Throws UNEXPECTED with its words where it failed, USAGE where it is not installed. */
export async function call(program: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      { timeout: COMMAND_MS, maxBuffer: MOST_OUTPUT_BYTES },
      (error, stdout, stderr) => {
        if (error === null) return resolve(stdout);
        if (error.code === ('ENOENT' as never))
          return reject(
            new RestorePlanError('USAGE', `${program} is not installed on this machine`, {
              hint: 'Run this where jobs are submitted; or write with --print what can be submitted from there.',
              cause: error,
            }),
          );
        const said = redact(stderr.trim() || error.message)
          .replace(/\s+/g, ' ')
          .slice(0, 2_000);
        reject(
          new RestorePlanError('UNEXPECTED', `${program} ${args[0] ?? ''} failed: ${said}`, {
            hint: advice`Mend what it says and run the same command again: what the workers have handed in is kept.`,
            cause: error,
          }),
        );
      },
    );
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}

/** Milliseconds between two questions how far a job is: the first come close together, for jobs of seconds. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;

/** Asks until the job is over. */
export async function untilOver(
  { signal }: Run,
  ask: () => Promise<JobState | undefined>,
  told: (state: JobState) => void,
): Promise<void> {
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 1.5, LONGEST_PAUSE_MS)) {
    const state = await ask();
    if (state === undefined) return;
    told(state);
    await sleep(pause, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

/** A word for a POSIX shell. */
export function shellWord(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * Variables that say where and how a store is reached, and hold no secret. Everything else a worker needs it finds where it runs: a role, a profile,
 * an env file.
 */
const PASSED = [
  'AWS_REGION',
  'AWS_DEFAULT_REGION',
  'AWS_ENDPOINT_URL',
  'AWS_ENDPOINT_URL_S3',
  'AWS_EC2_METADATA_DISABLED',
  'NO_PROXY',
] as const;
/** Those that name files and profiles, for machines that share their users. */
const PASSED_AMONG_USERS = [
  ...PASSED,
  'AWS_PROFILE',
  'AWS_CONFIG_FILE',
  'AWS_SHARED_CREDENTIALS_FILE',
  'AWS_CA_BUNDLE',
  'NODE_EXTRA_CA_CERTS',
] as const;

/** Those of them that are set. One that holds a user and a password (`https://user:password@…`) is left out. */
export function passedVariables(
  env: Readonly<Record<string, string | undefined>>,
  { usersAreShared }: { readonly usersAreShared: boolean },
): [name: string, value: string][] {
  return (usersAreShared ? PASSED_AMONG_USERS : PASSED).flatMap((name): [string, string][] => {
    const value = env[name];
    return value === undefined || value.includes('@') ? [] : [[name, value]];
  });
}
