/** `plan oplog check|save`: how far an oplog reaches, and a copy of what is needed of it before it is overwritten. Reads no document. */
import { stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Backup } from '../../backup/backup.ts';
import { openBackup } from '../../backup/open-backup.ts';
import { RestorePlanError } from '../../errors.ts';
import { makeDirectory, SHARED_DIRECTORY, workDirectoryFault } from '../../files.ts';
import { checkOplog, type OplogCheck } from '../../oplog/check-oplog.ts';
import { beginOf } from '../../oplog/dump.ts';
import { notWritten } from '../../oplog/faults.ts';
import type { SavedScope } from '../../oplog/saved-scope.ts';
import { type EntryStore, saveOplog } from '../../oplog/saving/save-oplog.ts';
import { SavedFile } from '../../oplog/saving/saved-file.ts';
import { SavedSeries } from '../../oplog/saving/saved-series.ts';
import { partOf } from '../../oplog/shards/roll-shards.ts';
import type { EntrySource } from '../../oplog/sources/entry-source.ts';
import { LiveOplog } from '../../oplog/sources/live-oplog.ts';
import { openEntries } from '../../oplog/sources/open-entries.ts';
import { nearest } from '../../plan/nearest.ts';
import { collectionNames, type Plan } from '../../plan/plan.ts';
import { type SetOplog, setOplogs } from '../../plan/sources/oplog.ts';
import { bucketAddress, type S3Location } from '../../plan/sources/s3.ts';
import { isStored, storeLocation } from '../../plan/sources/sources.ts';
import { neededSince, neededUntil } from '../../plan/windows.ts';
import { requireVariables } from '../../restore/targets.ts';
import { makeWorkDirectory, slugOf, trusted, trustedEntry } from '../../selection/directory.ts';
import { type ExitName, type OptionValues, usage } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { loadIncompletePlan } from '../load-plan.ts';
import { show } from '../view.ts';
import { checkView, type ShardCheck, type ShardSave, saveView } from '../views/oplog.ts';
import { databaseWithoutPlan, WITHOUT_PLAN } from '../without-plan.ts';

/** Whose entries are meant, and where they lie. */
export interface OplogPlace {
  readonly name: string;
  readonly scope: SavedScope;
  /** Undefined: only a connection string was given. */
  readonly plan: Plan | undefined;
  /** At least one; one for each shard of a cluster. */
  readonly oplogs: readonly PlacedOplog[];
}

export interface PlacedOplog {
  /** The folder of the shard, as the plan names it. */
  readonly shard: string | undefined;
  /** What the plan says of it. */
  readonly oplog: SetOplog | undefined;
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
  const server = databaseWithoutPlan(context, file, options);
  if (file === undefined || server !== undefined) {
    if (server === undefined) throw usage('say which oplog is meant', WITHOUT_PLAN);
    const { uri, database } = server;
    const meaning = { named: `--uri-env ${options['uriEnv']}`, mayBeShard: true };
    const open = async (): Promise<EntrySource> => {
      const oplog = await LiveOplog.open(context, uri, meaning);
      try {
        await requireDatabase(oplog, database);
        return oplog;
      } catch (error) {
        await oplog.close();
        throw error;
      }
    };
    const oplogs = [{ shard: undefined, oplog: undefined, open }];
    return { name: database, scope: { database }, plan: undefined, oplogs };
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
  const oplogs = setOplogs(oplog).map(
    ({ folder: shard, oplog: one }): PlacedOplog => ({
      ...{ shard, oplog: one },
      open: (backup) => openEntries(context, one, { backup: backup as Backup, patience, shard }),
    }),
  );
  return { name: plan.name, scope, plan, oplogs };
}

/** Throws USAGE where neither the oplog nor, as far as that may be asked, the server knows the database: an empty file would be no help. */
async function requireDatabase(oplog: EntrySource, database: string): Promise<void> {
  const others = await oplog.databasesBut?.(database);
  if (others === undefined) return;
  const collections = await oplog.describe?.(database);
  if (collections !== undefined && collections.size > 0) return;
  const near = nearest(database, others);
  const what = collections === undefined ? '' : ', and the server has no collection in it';
  const known = others.length === 0 ? 'It names no database.' : `It names ${others.slice(0, 20).join(', ')}.`;
  throw usage(
    `--database ${database}: no entry of ${oplog.origin} names it${what}`,
    near === undefined ? known : `Did you mean ${near}? ${known}`,
  );
}

async function check(context: CommandContext, place: OplogPlace): Promise<ExitName> {
  const { plan, oplogs } = place;
  const unknown: string[] = [];
  const whole = plan && (await backupOf(context, plan, unknown));
  try {
    const checks: ShardCheck[] = [];
    for (const each of oplogs) {
      const { shard } = each;
      const backup = whole && (shard === undefined ? whole : partOf(whole, shard));
      const found = await checkOne(context, each, { place, backup });
      checks.push({ ...found, shard, unknown: [...unknown, ...found.unknown] });
    }
    await show(context, checkView(checks, plan && neededUntil(plan)));
    return checks.some(({ problems }) => problems.length > 0) ? 'BACKUP' : 'OK';
  } finally {
    await whole?.close();
  }
}

async function checkOne(
  context: CommandContext,
  { oplog, open }: PlacedOplog,
  { place: { plan, scope }, backup }: { readonly place: OplogPlace; readonly backup: Backup | undefined },
): Promise<OplogCheck> {
  const entries = await open(backup);
  try {
    return await checkOplog(context, {
      entries,
      plan: oplog && { oplog, at: plan && neededUntil(plan), since: plan && neededSince(plan) },
      // Of a stream it could be known only by reading all of it.
      backup: backup?.access === 'random' ? backup : undefined,
      namespaces: (scope.collections ?? []).map((name) => `${scope.database}.${name}`),
    });
  } finally {
    await entries.close();
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
    const oplogs = plan.source.oplog === undefined ? [] : setOplogs(plan.source.oplog);
    const isApart = oplogs.every(({ oplog }) => oplog.kind === 'mongodb' || oplog.kind === 'stored');
    if (!isBackup || !isApart) throw error;
    unknown.push(`when the dump began: ${error.message.replace(/\.$/, '')}`);
    return undefined;
  }
}

/** What a proposal of dependents is to be made of may have been lost from any collection. */
function savedScope({ plan, scope }: OplogPlace): SavedScope {
  const isAll = plan?.collections.some(({ proposesDependents }) => proposesDependents) === true;
  return isAll ? { database: scope.database } : scope;
}

async function save(context: CommandContext, place: OplogPlace, { to }: OptionValues): Promise<ExitName> {
  const { plan, oplogs } = place;
  const scope = savedScope(place);
  const isLive = ({ oplog }: PlacedOplog): boolean =>
    oplog === undefined || oplog.kind === 'mongodb' || oplog.kind === 'stored';
  if (!oplogs.some(isLive))
    throw usage(
      'the oplog of this plan lies in its backup',
      'There is nothing to save: it stays as long as the backup does.',
    );
  const saves: ShardSave[] = [];
  const at = plan && neededUntil(plan);
  for (const each of oplogs.filter(isLive)) {
    const { shard, oplog } = each;
    const begins = oplog && beginOf(oplog);
    await withPlace(context, { of: place, each }, to, async (target) => {
      const entries = await each.open();
      try {
        const saved = await saveOplog(context, { entries, scope, place: target, begins, at: at?.epochMs });
        saves.push({ ...saved, shard, origin: entries.origin });
      } finally {
        await entries.close();
      }
    });
  }
  await show(context, saveView(saves, { scope, at, cwd: context.cwd }));
  return 'OK';
}

/** Where it is saved: a file, or a series of objects in a bucket; for shards one each. */
async function withPlace(
  context: CommandContext,
  { of, each }: { readonly of: OplogPlace; readonly each: PlacedOplog },
  to: unknown,
  save: (place: EntryStore) => Promise<void>,
): Promise<void> {
  const { shard } = each;
  const named = typeof to === 'string' ? bucketAddress(to) : undefined;
  if (named === undefined) return save(new SavedFile(await pathOf(context, { name: of.name, shard }, to)));
  const { bucket } = named;
  const prefix = named.prefix.replace(/\/+$/, '');
  if (prefix === '')
    throw usage(
      `--to ${to} names a whole bucket`,
      `Name a prefix in it: --to s3://${bucket}/${slugOf(of.name)}`,
    );
  if (/[*{}]/.test(prefix))
    throw usage(
      `--to ${to} could not be read again`,
      'A plan takes *, { and } in a key for a pattern. Leave them out.',
    );
  const own = shard === undefined ? prefix : `${prefix}/${slugOf(shard)}`;
  const near = nearestBucket(of.plan, each);
  const series = await SavedSeries.open(context, { bucket, prefix: own, near }, context.patience);
  try {
    await save(series);
  } finally {
    await series.close();
  }
}

/** The bucket that the plan names for this oplog, else for its backup. */
function nearestBucket(plan: Plan | undefined, { oplog }: PlacedOplog): S3Location | undefined {
  const source = plan?.source.location;
  const places = [
    oplog?.kind === 'stored' ? oplog.from : undefined,
    source !== undefined && isStored(source) ? storeLocation(source) : undefined,
  ];
  return places.find((place) => place?.kind === 's3');
}

/** For shards a file each; the folder is there then. */
async function pathOf(
  context: CommandContext,
  { name, shard }: { readonly name: string; readonly shard: string | undefined },
  to: unknown,
): Promise<string> {
  if (typeof to === 'string') {
    if (/^[a-z0-9]+:\/\//i.test(to))
      throw usage(`--to ${to} is no place to save to`, 'Name a file, or s3://bucket/prefix.');
    const path = resolve(context.cwd, to);
    const isFolder = (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
    if (shard === undefined && isFolder)
      throw usage(`--to ${to} is a folder`, `Name a file in it: --to ${join(to, `${slugOf(name)}.bson`)}`);
    if (shard === undefined) return path;
    try {
      await makeDirectory(path, SHARED_DIRECTORY);
    } catch (error) {
      throw notWritten(error, path);
    }
    return join(path, `${slugOf(shard)}.bson`);
  }
  const ofShard = shard === undefined ? '' : `.${slugOf(shard)}`;
  const path = join(context.workDirectory, 'oplog', `${slugOf(name)}${ofShard}.bson`);
  try {
    await makeWorkDirectory(context.workDirectory);
    await makeDirectory(dirname(path));
    // What lies there is gone on from.
    await trusted(context.workDirectory, 'oplog');
    for (const file of [path, `${path}.partial`]) await trustedEntry(file);
  } catch (error) {
    throw workDirectoryFault(error, path);
  }
  return path;
}
