/**
 * The options of `plan select` by which many machines make one selection: what they ask for. Throws USAGE for what does not go together.
 */
import { resolve } from 'node:path';
import { isUrl } from '../distributed/exchange.ts';
import { type OptionValues, usage } from './command.ts';
import type { CommandContext } from './context.ts';

/** What is asked for. */
export type Task =
  | { readonly kind: 'submit' | 'print'; readonly engine: EngineName; readonly workers: number }
  | { readonly kind: 'worker'; readonly level: number; readonly index: number; readonly workers: number }
  | { readonly kind: 'join'; readonly level: number | undefined }
  | { readonly kind: 'clean'; readonly engine: EngineName | undefined };

export type EngineName = 'slurm' | 'kubernetes';

const OF_KUBERNETES = [
  'image',
  'namespace',
  'serviceAccount',
  'envSecret',
  'cpu',
  'memory',
  'planPath',
] as const;

/** Variables in which clusters tell a task of an array its index, from 0. */
const INDEX_VARIABLES = ['JOB_COMPLETION_INDEX', 'SLURM_ARRAY_TASK_ID', 'AWS_BATCH_JOB_ARRAY_INDEX'] as const;

export function taskOf({ env }: CommandContext, options: OptionValues): Task {
  const kinds = (['worker', 'join', 'clean', 'print'] as const).filter((name) => options[name] === true);
  const [kind] = kinds;
  if (kinds.length > 1)
    throw usage(`${kinds.map((each) => `--${each}`).join(' and ')} cannot be given together`, 'Give one.');
  const engine = options['engine'] as EngineName | undefined;
  const refuse = (name: string, why: string): void => {
    if (options[name] !== undefined) throw usage(`--${name} is for ${why}`, 'Leave it out.');
  };
  if (kind !== 'worker' && kind !== 'join')
    for (const name of ['level', 'selection']) refuse(name, '--worker and --join');
  if (kind === 'worker' || kind === 'join') refuse('engine', 'who submits jobs, not for --worker and --join');
  if (kind === 'join' || kind === 'clean') refuse('workers', '--engine and --worker');
  if (engine !== 'kubernetes')
    for (const name of OF_KUBERNETES)
      if (options[name] !== undefined)
        throw usage(
          `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} is for --engine kubernetes`,
          'Leave it out.',
        );
  switch (kind) {
    case 'worker': {
      const workers = count(options, 'workers', 1);
      return { kind, level: count(options, 'level', 0), workers, index: indexOf(env, workers) };
    }
    case 'join':
      return { kind, level: options['level'] === undefined ? undefined : count(options, 'level', 0) };
    case 'clean':
      return { kind, engine };
    default:
      if (engine === undefined)
        throw usage(
          'say what is to be done with the exchange',
          'Give --engine slurm or kubernetes; or one of --worker, --join and --clean.',
        );
      return { kind: kind ?? 'submit', engine, workers: count(options, 'workers', 1) };
  }
}

const MOST_WORKERS = 100_000;

function count(options: OptionValues, name: string, least: number): number {
  const value = options[name];
  if (value === undefined)
    throw usage(`--${name} is missing`, `Give a number, such as --${name} ${least + 7}.`);
  const number = /^\d{1,6}$/.test(String(value)) ? Number(value) : Number.NaN;
  if (number >= least && number <= MOST_WORKERS) return number;
  throw usage(`--${name} ${String(value)} is no number from ${least} to ${MOST_WORKERS}`, 'Correct it.');
}

function indexOf(env: CommandContext['env'], workers: number): number {
  const given = INDEX_VARIABLES.flatMap((name) => {
    const value = env[name];
    return value === undefined || value === '' ? [] : [{ name, value }];
  });
  const [first] = given;
  if (first === undefined)
    throw usage(
      'no variable tells which worker this is',
      `An array job sets one of ${INDEX_VARIABLES.join(', ')}; by hand, set one to a number below --workers.`,
    );
  const other = given.find(({ value }) => value !== first.value);
  if (other !== undefined)
    throw usage(`${first.name} and ${other.name} name different workers`, 'Unset the one that is not meant.');
  const index = /^\d{1,6}$/.test(first.value) ? Number(first.value) : Number.NaN;
  if (index < workers) return index;
  throw usage(
    `${first.name}=${first.value} is no worker of ${workers}`,
    'Indexes count from 0 and are below --workers, which is the same for all of them.',
  );
}

export function exchangeOf({ cwd }: CommandContext, { exchange }: OptionValues): string {
  if (typeof exchange !== 'string')
    throw usage('--exchange is missing', 'Name s3://bucket/prefix, or a folder that all machines share.');
  return isUrl(exchange) ? exchange : resolve(cwd, exchange);
}
