/** `plan oplog check|save`: how far an oplog reaches, and a copy of what is needed of it before it is overwritten. Reads no document. */
import { mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Backup } from '../../backup/backup.ts';
import { openBackup } from '../../backup/open-backup.ts';
import { RestorePlanError } from '../../errors.ts';
import { checkOplog } from '../../oplog/check-oplog.ts';
import { beginOf } from '../../oplog/dump.ts';
import { saveOplog } from '../../oplog/save-oplog.ts';
import type { SavedScope } from '../../oplog/saved-scope.ts';
import type { EntrySource } from '../../oplog/sources/entry-source.ts';
import { LiveOplog } from '../../oplog/sources/live-oplog.ts';
import { openEntries } from '../../oplog/sources/open-entries.ts';
import { nearest } from '../../plan/nearest.ts';
import { collectionNames, type Plan } from '../../plan/plan.ts';
import { requireVariables } from '../../restore/targets.ts';
import { Secret } from '../../secret.ts';
import { makeWorkDirectory, PRIVATE_DIRECTORY, workDirectoryFault } from '../../selection/directory.ts';
import type { ExitName, OptionValues } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { loadIncompletePlan } from '../load-plan.ts';
import { show } from '../view.ts';
import { checkView, saveView } from '../views/oplog.ts';

/** Whose entries are meant, and where they lie. */
export interface OplogPlace {
  readonly name: string;
  readonly scope: SavedScope;
  /** Undefined: only a connection string was given. */
  readonly plan: Plan | undefined;
  /** `backup` only where the oplog lies in it. */
  open(backup?: Backup): Promise<EntrySource>;
}

const ACTIONS = { check, save } as const;

export async function run(
  context: CommandContext,
  [word = '', file]: readonly string[],
  options: OptionValues,
): Promise<ExitName> {
  if (!Object.hasOwn(ACTIONS, word)) {
    const near = nearest(word, Object.keys(ACTIONS));
    throw usage(
      `plan oplog knows no ${word}`,
      near === undefined ? 'It knows check and save.' : `Did you mean ${near}?`,
    );
  }
  const action = word as keyof typeof ACTIONS;
  if (action === 'check' && options['to'] !== undefined)
    throw usage('--to is for plan oplog save', 'Leave it out.');
  const place = await placeOf(context, file, options);
  await context.follow(['oplog']);
  return ACTIONS[action](context, place, options);
}

/** From the plan, or from `--uri-env` and `--database`. Throws USAGE. */
export async function placeOf(
  context: CommandContext,
  file: string | undefined,
  options: OptionValues,
): Promise<OplogPlace> {
  const server = serverWithoutPlan(context, file, options);
  if (file === undefined || server !== undefined) {
    if (server === undefined) throw usage('say which oplog is meant', WITHOUT_PLAN);
    const { uri, database } = server;
    const open = (): Promise<EntrySource> => LiveOplog.open(context, uri);
    return { name: database, scope: { database }, plan: undefined, open };
  }
  const plan = await loadIncompletePlan(context, file);
  const { oplog } = plan.source;
  if (oplog === undefined)
    throw usage(
      'the plan names no oplog',
      'Name it in source.oplog.mongodb.uri; or give --uri-env and --database without a plan.',
    );
  const scope = { database: plan.source.database, collections: [...collectionNames(plan)] };
  const { patience } = context;
  return {
    ...{ name: plan.name, scope, plan },
    open: (backup) => openEntries(context, oplog, { backup: backup as Backup, patience }),
  };
}

/** What `--uri-env` and `--database` name in the place of a plan file; undefined where a file is given, or neither. Throws USAGE. */
export function serverWithoutPlan(
  { env }: CommandContext,
  file: string | undefined,
  { uriEnv, database }: OptionValues,
): { readonly uri: Secret; readonly database: string } | undefined {
  if (uriEnv === undefined && database === undefined) return undefined;
  if (file !== undefined) throw usage('--uri-env and --database stand for a plan file', WITHOUT_PLAN);
  if (typeof uriEnv !== 'string' || typeof database !== 'string')
    throw usage('--uri-env and --database are needed together', WITHOUT_PLAN);
  const uri = env[uriEnv];
  if (!uri)
    throw usage(`the variable ${uriEnv} is not set`, 'Set it to the connection string of the replica set.');
  return { uri: new Secret(uri, uriEnv), database };
}

export const WITHOUT_PLAN = 'Name a plan file, or: --uri-env <variable> --database <name>';

async function check(context: CommandContext, place: OplogPlace): Promise<ExitName> {
  const { plan, scope } = place;
  const unknown: string[] = [];
  const backup = plan && (await backupOf(context, plan, unknown));
  let entries: EntrySource | undefined;
  try {
    entries = await place.open(backup);
    const found = await checkOplog(context, {
      entries,
      source: plan?.source,
      // Of a stream it could be known only by reading all of it.
      backup: backup?.access === 'random' ? backup : undefined,
      namespaces: (scope.collections ?? []).map((name) => `${scope.database}.${name}`),
    });
    await show(context, checkView({ ...found, unknown: [...unknown, ...found.unknown] }, plan?.source.at));
    return found.problems.length > 0 ? 'BACKUP' : 'OK';
  } finally {
    await entries?.close();
    await backup?.close();
  }
}

/** A backup that cannot be opened is no reason not to look at an oplog that does not lie in it. */
async function backupOf(context: CommandContext, plan: Plan, unknown: string[]): Promise<Backup | undefined> {
  requireVariables(plan, []);
  const wanted = collectionNames(plan);
  try {
    return await openBackup(context, plan.source, { wanted, patience: context.patience });
  } catch (error) {
    const isBackup = error instanceof RestorePlanError && error.code === 'BACKUP';
    const isApart = plan.source.oplog?.kind === 'mongodb' || plan.source.oplog?.kind === 'stored';
    if (!isBackup || !isApart) throw error;
    unknown.push(`when the dump began: ${error.message.replace(/\.$/, '')}`);
    return undefined;
  }
}

async function save(context: CommandContext, place: OplogPlace, { to }: OptionValues): Promise<ExitName> {
  const { plan, scope, name } = place;
  const kind = plan?.source.oplog?.kind ?? 'mongodb';
  if (kind !== 'mongodb' && kind !== 'stored')
    throw usage(
      'the oplog of this plan lies in its backup',
      'There is nothing to save: it stays as long as the backup does.',
    );
  const path = await pathOf(context, name, to);
  const entries = await place.open();
  try {
    const saved = await saveOplog(context, {
      ...{ entries, scope, path },
      begins: plan && beginOf(plan.source),
      at: plan?.source.at?.epochMs,
    });
    await show(
      context,
      saveView({ ...saved, origin: entries.origin, scope, at: plan?.source.at, cwd: context.cwd }),
    );
    return 'OK';
  } finally {
    await entries.close();
  }
}

/** Where it is saved; the folder is there then. */
async function pathOf(context: CommandContext, name: string, to: unknown): Promise<string> {
  if (typeof to === 'string') {
    if (/^[a-z0-9]+:\/\//i.test(to))
      throw usage(`--to ${to} is no file`, 'Save it to a file, and copy that.');
    return resolve(context.cwd, to);
  }
  const slug = name.replace(/[^A-Za-z0-9._-]+/g, '-').slice(0, 80);
  const path = join(context.workDirectory, 'oplog', `${slug}.bson`);
  try {
    await makeWorkDirectory(context.workDirectory);
    await mkdir(dirname(path), { recursive: true, mode: PRIVATE_DIRECTORY });
  } catch (error) {
    throw workDirectoryFault(error, path);
  }
  return path;
}

function usage(message: string, hint: string): RestorePlanError {
  return new RestorePlanError('USAGE', message, { hint });
}
