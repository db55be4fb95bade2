/**
 * `plan select` by many machines: submitting and joining, being a worker, and the same by hand.
 */
import { readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { type Advice, advice } from '../advice.ts';
import type { Backup } from '../backup/backup.ts';
import { openBackup } from '../backup/open-backup.ts';
import { type ArrayJob, type Engine, passedVariables } from '../distributed/engines/engine.ts';
import { Kubernetes, PLAN_FOLDER, WORKER_DIRECTORY } from '../distributed/engines/kubernetes.ts';
import { Slurm } from '../distributed/engines/slurm.ts';
import { Exchange, isBucket } from '../distributed/exchange.ts';
import { ExchangeRunner, LevelReady } from '../distributed/exchange-runner.ts';
import { reportFailure } from '../distributed/failure.ts';
import {
  cleanExchange,
  clusterRunner,
  levelsOf,
  titleOf,
  undertakingOf,
} from '../distributed/select-together.ts';
import { familyOf, foldersOf, Undertaking } from '../distributed/undertaking.ts';
import { doShare } from '../distributed/worker.ts';
import { RestorePlanError } from '../errors.ts';
import { STDIN } from '../plan/extends.ts';
import { collectionNames, type Plan } from '../plan/plan.ts';
import { isStored, storeLocation } from '../plan/sources/sources.ts';
import type { Restore } from '../restore/restore.ts';
import { collectionRoutes } from '../selection/routes.ts';
import { selectDocuments } from '../selection/select-documents.ts';
import type { Selection } from '../selection/selection.ts';
import { showBytes, showCounted } from '../text/quantities.ts';
import { type OptionValues, usage } from './command.ts';
import type { CommandContext } from './context.ts';
import { type EngineName, exchangeOf, type Task, taskOf } from './together-options.ts';
import { show } from './view.ts';

/** A selection to be shown, and what is left to do. */
interface Made {
  readonly selection: Selection;
  readonly hint?: Advice | undefined;
}

/** Returns the selection where there is one. Throws USAGE for options that do not go together. */
export async function selectTogether(
  context: CommandContext,
  restore: Restore,
  options: OptionValues,
): Promise<Made | undefined> {
  const { plan } = restore;
  const task = taskOf(context, options);
  // A worker says it to whoever waits for it.
  if (task.kind !== 'worker') restore.require();
  const asked = { context, restore, plan, options };
  const address = exchangeOf(context, options);
  const engine = 'engine' in task && task.engine ? await engineOf(asked, task, address) : undefined;
  if (task.kind === 'print') return await print(asked, { ...task, engine: engine as Engine }, address);
  const { source } = plan;
  const exchange = await Exchange.open(context, address, {
    source: source.location,
    patience: context.patience,
  });
  try {
    switch (task.kind) {
      case 'submit':
        return { selection: await submit(asked, { ...task, engine: engine as Engine }, exchange) };
      case 'worker':
        return await work(asked, task, exchange);
      case 'join':
        return await joinLevels(asked, task, exchange);
      case 'clean': {
        const files = await cleanExchange(plan, exchange, engine);
        return await say(context, `Removed ${showCounted(files, 'file')} from ${exchange.address}`);
      }
    }
  } finally {
    await exchange.close();
  }
}

interface Asked {
  readonly context: CommandContext;
  readonly restore: Restore;
  readonly plan: Plan;
  readonly options: OptionValues;
}

// One machine submits, waits and joins.

async function submit(
  asked: Asked,
  { engine, workers }: { readonly engine: Engine; readonly workers: number },
  exchange: Exchange,
): Promise<Selection> {
  const { context, restore, plan } = asked;
  let undertaking: Undertaking | undefined;
  const selection = await restore.select({
    runnerFor: async (backup) => {
      const begun = undertakingOf(plan, backup);
      undertaking = begun;
      const args = (level: number, count: number): string[] => [
        ...workerArguments(asked, engine, { level, workers: count, exchange: exchange.address }),
        ...['--selection', begun.key],
      ];
      return clusterRunner(
        context,
        { plan, engine, workers, arguments: args },
        { exchange, undertaking: begun },
      );
    },
  });
  if (undertaking !== undefined) await leaveNothing(context, { engine, exchange, undertaking });
  return selection;
}

/** Documents of a database lie there. The selection is made by then: what cannot be removed is said, and no failure. */
async function leaveNothing(
  { emit }: CommandContext,
  {
    engine,
    exchange,
    undertaking: { name, folder },
  }: { readonly engine: Engine; readonly exchange: Exchange; readonly undertaking: Undertaking },
): Promise<void> {
  try {
    await engine.clean((job) => job.startsWith(`${name}-`));
    await exchange.clear(folder);
  } catch (error) {
    if (!(error instanceof RestorePlanError)) throw error;
    const message = `the selection is made, but ${folder} of ${exchange.address} could not be removed (--clean does it later): ${error.message}`;
    emit({ type: 'warning', message });
  }
}

function workerArguments(
  asked: Asked,
  engine: Engine,
  {
    level,
    workers,
    exchange,
  }: { readonly level: number; readonly workers: number; readonly exchange: string },
): string[] {
  return [
    ...['select', ...planArguments(asked, engine), '--worker'],
    ...['--level', String(level), '--workers', String(workers), '--exchange', exchange],
  ];
}

/** The plan as a machine of the cluster finds it, and what it needs beside. */
function planArguments(asked: Asked, engine: Engine): string[] {
  if (engine.name !== 'kubernetes') return here(asked);
  const { plan, options } = asked;
  const { planPath = join(PLAN_FOLDER, relative(folderOf(plan), plan.file)) } = options;
  return [String(planPath), '--work-dir', WORKER_DIRECTORY, ...patienceOf(options)];
}

/** The same of this machine, and of others that share its users and folders. */
function here({ context, plan, options }: Asked): string[] {
  const { envFile } = options;
  return [
    plan.file,
    ...['--work-dir', context.workDirectory],
    ...(typeof envFile === 'string' ? ['--env-file', resolve(context.cwd, envFile)] : []),
    ...patienceOf(options),
  ];
}

function patienceOf({ patience }: OptionValues): string[] {
  return typeof patience === 'string' ? ['--patience', patience] : [];
}

/** The folder above all files that a plan consists of. */
function folderOf({ file, files }: Plan): string {
  let folder = dirname(file);
  while (files.some((each) => relative(folder, each).startsWith('..'))) folder = dirname(folder);
  return folder;
}

async function engineOf(
  { context, plan, options }: Asked,
  { kind, engine: name }: Pick<Task, 'kind'> & { readonly engine?: EngineName | undefined },
  address: string,
): Promise<Engine> {
  const isToRun = kind !== 'clean';
  if (plan.files.length === 0 || plan.file === resolve(context.cwd, STDIN))
    throw usage('a plan from stdin is on no other machine', 'Write it into a file.');
  const { location } = plan.source;
  if (name === 'slurm')
    return new Slurm({
      program: context.program,
      variables: passedVariables(context.env, { usersAreShared: true }),
      logs: isBucket(address) ? undefined : address,
    });
  if (isToRun && isStored(location) && storeLocation(location).kind === 'path')
    throw usage('the pods of Kubernetes see no source.path', 'Have the backup in S3, or use another engine.');
  if (isToRun && !isBucket(address))
    throw usage('the pods of Kubernetes share no folder', 'Name s3://bucket/prefix as --exchange.');
  const { image, namespace, serviceAccount, envSecret, cpu = '1', memory = '1Gi', planPath } = options;
  if (isToRun && image === undefined)
    throw usage('--image is missing', 'Name an image that has this program as `plan`.');
  const text = (value: OptionValues[string]): string | undefined =>
    typeof value === 'string' ? value : undefined;
  return new Kubernetes({
    image: String(image),
    namespace: text(namespace),
    serviceAccount: text(serviceAccount),
    secret: text(envSecret),
    cpu: String(cpu),
    memory: String(memory),
    variables: passedVariables(context.env, { usersAreShared: false }),
    files: isToRun && planPath === undefined ? await filesOf(plan) : [],
  });
}

/** Of what is made for a plan in a cluster before its backup is known. */
function selectionName(plan: Plan): string {
  return `${familyOf(plan)}-${plan.selectsDigest.slice(0, 16)}`;
}

async function filesOf(plan: Plan): Promise<{ readonly path: string; readonly text: string }[]> {
  const folder = folderOf(plan);
  return Promise.all(
    plan.files.map(async (file) => ({ path: relative(folder, file), text: await readFile(file, 'utf8') })),
  );
}

// The same by hand: what would be submitted, a worker, a join.

async function print(
  asked: Asked,
  { engine, workers }: { readonly engine: Engine; readonly workers: number },
  exchange: string,
): Promise<undefined> {
  const { context, plan } = asked;
  const levels = levelsOf(plan);
  const joining = (level: number): string[] => [
    ...['select', ...planArguments(asked, engine), '--join'],
    ...['--level', String(level), '--exchange', exchange],
  ];
  const steps = levels.flatMap((collections, level): (ArrayJob | Omit<ArrayJob, 'indexes'>)[] => {
    const read: ArrayJob = {
      name: `${selectionName(plan)}-l${level}`,
      title: titleOf(plan, level, collections),
      workers,
      indexes: Array.from({ length: workers }, (_, index) => index),
      arguments: workerArguments(asked, engine, { level, workers, exchange }),
    };
    const isLast = level === levels.length - 1;
    const name = `${selectionName(plan)}-j${level}`;
    const title = `the keys that level ${level + 1} is asked about, of what level ${level} chose`;
    return isLast ? [read] : [read, { name, title, workers: 1, arguments: joining(level) }];
  });
  const { namespace } = asked.options;
  const onThisMachine = (...task: readonly string[]): string[] => [
    'select',
    ...here(asked),
    ...task,
    '--exchange',
    exchange,
  ];
  const text = engine.print(steps, {
    join: onThisMachine('--join'),
    clean: onThisMachine(
      ...['--clean', '--engine', engine.name],
      ...(typeof namespace === 'string' ? ['--namespace', namespace] : []),
    ),
  });
  await show(context, { page: () => text, objects: () => [] });
  return undefined;
}

async function work(
  { context, restore, plan, options }: Asked,
  { level, index, workers }: Extract<Task, { kind: 'worker' }>,
  exchange: Exchange,
): Promise<undefined> {
  const { selection: key } = options;
  let undertaking = typeof key === 'string' ? Undertaking.named(plan, key) : undefined;
  try {
    restore.require();
    const done = await withBackup(context, plan, async (backup) => {
      const own = undertakingOf(plan, backup);
      if (undertaking !== undefined && undertaking.key !== own.key) throw another(backup, own, undertaking);
      undertaking = own;
      return doShare(context, { plan, backup, exchange, undertaking: own, level, index, workers });
    });
    const before = done.before === 0 ? '' : `, ${done.before} of them before`;
    const words = `Worker ${index} of ${workers}, level ${level}: handed in ${showCounted(done.slices, 'slice')}${before}; ${showBytes(done.bytesRead)} read`;
    return await say(context, words);
  } catch (error) {
    if (undertaking !== undefined)
      // What stopped it is what is told, also where nobody else can be.
      await reportFailure({ exchange, undertaking }, { level, id: String(index) }, error).catch(
        () => undefined,
      );
    throw error;
  }
}

function another({ identity }: Backup, own: Undertaking, expected: Undertaking): RestorePlanError {
  return new RestorePlanError(
    'BACKUP',
    `this machine would make another selection (${own.key}) than is asked for (${expected.key}): from ${identity.location}, ${identity.fingerprint}`,
    {
      hint: 'The plan, its variables, or the backup that it leads to differ from those of the machine that submitted the job.',
      facts: { selection: own.key, expected: expected.key },
    },
  );
}

async function joinLevels(
  { context, restore, plan }: Asked,
  { level }: Extract<Task, { kind: 'join' }>,
  exchange: Exchange,
): Promise<Made | undefined> {
  const routes = collectionRoutes(plan);
  const runner = (backup: Backup, until?: number): ExchangeRunner =>
    new ExchangeRunner(context, {
      exchange,
      undertaking: undertakingOf(plan, backup),
      routes,
      ...(until !== undefined && { until }),
    });
  if (level === undefined) {
    const selection = await restore.select({ runnerFor: async (backup) => runner(backup) });
    return { selection, hint: await leftBehind(plan, exchange) };
  }
  const levels = levelsOf(plan).length;
  if (level >= levels - 1)
    throw usage(
      `level ${level} is ${level === levels - 1 ? 'the last' : 'none'} of the plan: no further one needs its keys`,
      '--join without --level makes the selection.',
    );
  await withBackup(context, plan, async (backup) => {
    try {
      await selectDocuments(context, {
        plan,
        backup,
        patience: context.patience,
        runner: runner(backup, level),
      });
    } catch (error) {
      if (!(error instanceof LevelReady)) throw error;
    }
  });
  return say(context, `Joined level ${level}: the workers of level ${level + 1} can begin`);
}

/** Documents of a database lie there, and nobody who joins by hand has asked for their removal. Undefined: nothing does. */
async function leftBehind(plan: Plan, exchange: Exchange): Promise<Advice | undefined> {
  const { address } = exchange;
  if ((await foldersOf(exchange, familyOf(plan))).length === 0) return undefined;
  return advice`The parts still lie in ${address}, documents of the database among them: ${{ command: 'select', options: { clean: true, exchange: address } }} removes all that this plan has there.`;
}

async function withBackup<T>(
  context: CommandContext,
  plan: Plan,
  act: (backup: Backup) => Promise<T>,
): Promise<T> {
  const backup = await openBackup(context, plan.source, {
    wanted: collectionNames(plan),
    patience: context.patience,
  });
  try {
    return await act(backup);
  } finally {
    await backup.close();
  }
}

async function say(context: CommandContext, words: string): Promise<undefined> {
  await show(context, { page: () => [words], objects: () => [] });
  return undefined;
}
