/** What a dump says of itself that a roll-forward needs: from when to when it was taken, and which collections it holds. */
import type { Backup, CollectionMetadata } from '../backup/backup.ts';
import { showIsoDate } from '../bson/extended-json-types.ts';
import { RestorePlanError } from '../errors.ts';
import type { Instant } from '../plan/instant.ts';
import type { Source } from '../plan/plan.ts';
import type { SetOplog } from '../plan/sources/oplog.ts';
import { type Moment, momentOf, OP, OplogEntry, type Timestamp, timeless } from './entry.ts';
import { following } from './faults.ts';
import type { EntrySource } from './sources/entry-source.ts';
import { ownOplog } from './sources/open-entries.ts';
import { pbmSpan } from './sources/pbm-oplog.ts';
import type { WantedCollection } from './wanted.ts';

/** Clocks are rounded down to the second in timestamps, and the oplog's time may be a little behind. */
const BEGIN_MARGIN_SECONDS = 1;

/** The dump that a plan restores from. */
export interface DumpOfPlan<Oplog = SetOplog> {
  readonly source: Source;
  readonly oplog: Oplog;
  readonly backup: Backup;
  /** Names of every collection of the plan. */
  readonly wanted: ReadonlySet<string>;
}

/** The first and the last entry of the oplog that a dump took along. */
export interface Span {
  readonly first: Moment;
  readonly last: Moment;
  /** Whether the first may be an entry without content, which some keep no copy of. */
  readonly isLoose: boolean;
}

/** Undefined where the dump took none along. */
export async function spanOf({
  backup,
  oplog,
}: Pick<DumpOfPlan, 'backup' | 'oplog'>): Promise<Span | undefined> {
  const isPbm = oplog.kind === 'pbm' || backup.slices !== undefined;
  const slices = isPbm ? await pbmSpan(backup) : undefined;
  if (slices !== undefined)
    return { first: timeless(slices.from), last: timeless(slices.till), isLoose: true };
  const entry = new OplogEntry();
  const own = ownOplog(backup);
  let isLoose = false;
  let first: Moment | undefined;
  let last: Moment | undefined;
  for await (const { bytes, starts, count } of own.everything()) {
    const at = (i: number): Moment =>
      following(own.origin, {}, () => momentOf(entry.read(bytes, starts[i] as number)));
    first ??= at(0);
    if (last === undefined) isLoose = entry.op === OP.NOOP;
    last = at(count - 1);
  }
  return first === undefined || last === undefined ? undefined : { first, last, isLoose };
}

/** Where the plan says that the dump began, if it does. */
export function beginOf({ begins }: Pick<SetOplog, 'begins'>): Timestamp | undefined {
  return begins && somewhatBefore(begins);
}

function somewhatBefore({ epochMs }: Instant): Timestamp {
  return { seconds: Math.max(0, Math.floor(epochMs / 1000) - BEGIN_MARGIN_SECONDS), ordinal: 0 };
}

/** The same, where it must. */
export function saidToBegin({ oplog, backup: { identity } }: DumpOfPlan, at: Instant): Timestamp {
  const { begins } = oplog;
  if (begins === undefined) {
    throw new RestorePlanError('BACKUP', `${identity.location} does not say when it was begun.`, {
      hint:
        'Say it in source.oplog.begins: a moment that is certainly no later than the start of mongodump. Earlier does no harm, later gives wrong documents. ' +
        'A dump made with `mongodump --oplog` says it itself.',
    });
  }
  if (begins.epochMs >= at.epochMs)
    throw new RestorePlanError(
      'BACKUP',
      `source.oplog.begins ${begins.text} is not before source.at ${at.text}.`,
    );
  const latest = identity.modified;
  // Object servers keep whole seconds.
  if (latest !== undefined && begins.epochMs >= latest + 1000) {
    throw new RestorePlanError(
      'BACKUP',
      `source.oplog.begins ${begins.text} is later than the end of the backup: ${identity.location} was finished at ${showIsoDate(latest)}.`,
      { hint: 'Name a moment that is certainly no later than the start of mongodump.' },
    );
  }
  return somewhatBefore(begins);
}

/** The wanted collections with their UUIDs, as the backup says them. */
export async function wantedIn({
  source,
  backup,
  wanted,
}: Omit<DumpOfPlan, 'oplog'>): Promise<WantedCollection[]> {
  const found = new Map<string, CollectionMetadata>();
  for (const each of (await backup.collections()) ?? [])
    if (wanted.has(each.collection)) found.set(each.collection, each);
  if (found.size === 0 && backup.holds([...wanted][0] ?? '') === undefined) {
    // A stream: its metadata lies among the documents.
    for await (const piece of backup.read(wanted)) {
      if (piece.type === 'metadata') found.set(piece.metadata.collection, piece.metadata);
      if (found.size === wanted.size) break;
    }
  }
  // What the backup lacks, or holds as something else, is refused by whoever reads it.
  return [...found.values()]
    .filter(({ type }) => type === 'collection')
    .map((metadata) => {
      const { collection } = metadata;
      const namespace = `${source.database}.${collection}`;
      return { collection, namespace, uuid: uuidOf(metadata, backup), metadata: metadata.text };
    });
}

function uuidOf({ collection, text }: CollectionMetadata, { identity }: Backup): string {
  const { uuid, options } = (text === undefined ? {} : JSON.parse(text)) as {
    readonly uuid?: unknown;
    readonly options?: { readonly capped?: unknown };
  };
  if (typeof uuid !== 'string' || !/^[0-9a-f]{32}$/i.test(uuid)) {
    throw new RestorePlanError(
      'BACKUP',
      `${identity.location} does not say the UUID of ${collection}, by which it would be followed in an oplog.`,
      {
        hint: 'mongodump writes it into the .metadata.json of each collection, since 4.0. Leave out source.oplog, or use such a dump.',
      },
    );
  }
  if (options?.capped === true) {
    throw new RestorePlanError('BACKUP', `${collection} is capped and cannot be rolled forward.`, {
      hint: 'Servers before 6.0 do not write into the oplog what a capped collection overran. Leave out source.oplog.',
    });
  }
  return uuid.toLowerCase();
}

/** Whether the server itself has one of the collections, by its UUID. */
export async function hasCollectionOf(
  entries: EntrySource,
  collections: readonly WantedCollection[],
): Promise<boolean> {
  const [first] = collections;
  const database = first?.namespace.slice(0, first.namespace.indexOf('.'));
  const there = database === undefined ? undefined : await entries.uuids?.(database);
  const known = new Set(there?.values());
  return collections.some(({ uuid }) => known.has(uuid));
}
