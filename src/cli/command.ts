/**
 * The shape of a command. Its description is plain data, so that help needs no command's code;
 * the code is imported when the command was chosen.
 */
import { type EXIT_CODES, RestorePlanError } from '../errors.ts';
import type { CommandContext } from './context.ts';

export type ExitName = keyof typeof EXIT_CODES;

export interface OptionSpec {
  /** As commander writes them: `--target <name>`, `--full`. */
  readonly flags: string;
  readonly description: string;
  readonly choices?: readonly string[];
  readonly mandatory?: boolean;
  readonly default?: string;
  /** May be given more than once; its value is then a list. */
  readonly repeatable?: boolean;
}

export type OptionValue = string | boolean | readonly string[] | undefined;

/** Options by camel-cased name: `--env-file` is `envFile`. */
export type OptionValues = Readonly<Record<string, OptionValue>>;

export function camelCased(option: string): string {
  return option.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Options or arguments that do not go together, and what to give instead. */
export function usage(message: string, hint: string): RestorePlanError {
  return new RestorePlanError('USAGE', message, { hint });
}

/** Positional arguments in order; a variadic one contributes each of its values. */
export type RunCommand = (
  context: CommandContext,
  args: readonly string[],
  options: OptionValues,
  // biome-ignore lint/suspicious/noConfusingVoidType: a command that returns nothing has done its work
) => Promise<ExitName | void>;

export interface CommandSpec {
  readonly name: string;
  /** As commander writes them: `<plan>`, `<plan...>`, `[file]`. */
  readonly arguments?: string;
  /** What the first argument may be, where it is a word and not a file; for completion. */
  readonly argumentChoices?: readonly string[];
  readonly summary: string;
  /** Further paragraphs of the command's own help. */
  readonly details?: string;
  readonly options?: readonly OptionSpec[];
  /** Whole command lines. */
  readonly examples: readonly string[];
  /** Exit codes it can give, beside those every command can (0, 1, 11, 70). */
  readonly exits: readonly ExitName[];
  readonly load: () => Promise<{ readonly run: RunCommand }>;
}

/** What any command that opens the backup can end with. */
export const READS_BACKUP: readonly ExitName[] = ['PLAN_INVALID', 'BACKUP', 'SIGINT', 'SIGTERM'];

// Options that several commands have.

export const TARGET: OptionSpec = {
  flags: '--target <name>',
  description: 'the target to work on',
  choices: ['staging', 'production'],
  mandatory: true,
};

export const CONFIRM: OptionSpec = {
  flags: '--confirm <database>',
  description: 'name of the database that will be written to; replaces the question asked on a terminal',
};

export const CONFIRM_PLAN: OptionSpec = {
  flags: '--confirm-plan <name>',
  description:
    'name of the plan, where one of this name was applied from another source before; replaces the question asked on a terminal',
};

export const EXCLUSIVE: OptionSpec = {
  flags: '--exclusive',
  description:
    'your word that nobody else writes to the target meanwhile; needed to replace or remove on a standalone, which has no transactions',
};

export const THREADS: OptionSpec = {
  flags: '--threads <n>',
  description:
    'how many threads read the backup, where it can be read in parts and is large enough (default: one for each core, of three or more)',
};

export const URI_ENV: OptionSpec = {
  flags: '--uri-env <variable>',
  description: 'without a plan: the variable that holds the connection string',
};

/** What stands for a plan file in commands that need to know only where the data was. */
export const INSTEAD_OF_PLAN: readonly OptionSpec[] = [
  URI_ENV,
  {
    flags: '--database <name>',
    description: 'without a plan: the database, of which every collection counts',
  },
];

/** Of `plan select`: many machines make one selection. */
export const TOGETHER: readonly OptionSpec[] = [
  {
    flags: '--engine <name>',
    description: 'have a cluster read the backup, by array jobs, and join what its workers chose',
    choices: ['slurm', 'kubernetes'],
  },
  { flags: '--workers <n>', description: 'how many workers read a level of the plan' },
  {
    flags: '--exchange <place>',
    description:
      'where workers hand in what they chose: s3://bucket/prefix, or a folder that all machines share',
  },
  { flags: '--print', description: 'with --engine: write what would be submitted, and submit nothing' },
  {
    flags: '--join',
    description:
      'join what lies in the exchange: to the selection, or with --level to what the next level needs',
  },
  { flags: '--clean', description: 'remove what this plan has in the exchange, and with --engine its jobs' },
  {
    flags: '--worker',
    description:
      'be one of the workers: the index is JOB_COMPLETION_INDEX, SLURM_ARRAY_TASK_ID or AWS_BATCH_JOB_ARRAY_INDEX',
  },
  { flags: '--level <n>', description: 'with --worker or --join: the level of the plan, from 0' },
  { flags: '--selection <key>', description: 'with --worker or --join: what the coordinator calls it' },
  { flags: '--image <name>', description: 'Kubernetes: image that has this program as `plan`' },
  { flags: '--namespace <name>', description: 'Kubernetes: where the jobs run' },
  { flags: '--service-account <name>', description: 'Kubernetes: whose rights the workers have' },
  {
    flags: '--env-secret <name>',
    description: 'Kubernetes: Secret whose keys become variables of the workers',
  },
  { flags: '--cpu <amount>', description: 'Kubernetes: processors of a worker (default: 1)' },
  { flags: '--memory <amount>', description: 'Kubernetes: memory of a worker (default: 1Gi)' },
  {
    flags: '--plan-path <path>',
    description: 'Kubernetes: where the plan lies in the image; else it goes with the job',
  },
];

/** Options that every command has. */
export const OPTIONS_EVERYWHERE: readonly OptionSpec[] = [
  { flags: '--json', description: 'NDJSON on stdout: version, events, result, exit' },
  { flags: '--quiet', description: 'no progress on stderr' },
  { flags: '--no-color', description: 'no colours' },
  {
    flags: '--work-dir <folder>',
    description: 'where selections and local records are kept (default: .restore-plan)',
  },
  {
    flags: '--patience <duration>',
    description: 'how long S3 may send nothing, or next to nothing, while a backup is read (default: 90s)',
  },
  { flags: '--env-file <file>', description: 'read further environment variables; those already set win' },
];
