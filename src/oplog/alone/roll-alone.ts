/**
 * Documents out of an oplog by itself, without a backup.
 *
 * 1. It is read for the collections that had the wanted names at the moment that the plan asks about (`Tenures`).
 * 2. What is asked by a query must be of a collection whose creation it holds: of another one, documents that nothing happened to are not known.
 * 3. It is replayed on nothing, as on a backup whose collections are empty. A document that is wanted and was inserted before is a hole.
 */
import type { Backup } from '../../backup/backup.ts';
import { LiveBackup, noDocuments } from '../../backup/live/live-backup.ts';
import type { RemotePatience } from '../../backup/remote/patience.ts';
import { EMPTY_DOCUMENT } from '../../bson/document-builder.ts';
import type { Instant } from '../../plan/instant.ts';
import type { Plan } from '../../plan/plan.ts';
import type { SetOplog } from '../../plan/sources/oplog.ts';
import {
  type CollectionViews,
  momentOfViews,
  neededSince,
  neededUntil,
  viewsOf,
} from '../../plan/windows.ts';
import type { Run } from '../../run.ts';
import { wantedIn } from '../dump.ts';
import { compareTimestamps, isBehind, type Moment, showMoment, type Timestamp } from '../entry.ts';
import { oplogError } from '../faults.ts';
import { cutOf, follow, type RolledForward, warningsOf } from '../roll-forward.ts';
import { Rolling } from '../rolled-backup.ts';
import { type EntrySource, fromBeginning } from '../sources/entry-source.ts';
import { openEntries } from '../sources/open-entries.ts';
import { Holes } from './holes.ts';
import { readTenures, type Tenure, type Tenures } from './tenures.ts';

export interface AloneOrder {
  readonly plan: Plan;
  readonly oplog: SetOplog;
  /** What stands in the place of a backup. */
  readonly backup: Backup;
  /** Path with which the names of temporary files begin. */
  readonly spillPath: string;
  readonly patience: RemotePatience | undefined;
}

const WITH_A_BACKUP = 'Name a backup, in source.path or source.s3, that this oplog rolls forward';

/** Throws RestorePlanError BACKUP where the oplog does not hold what is needed, or something that cannot be followed. */
export async function rollAlone(run: Run, order: AloneOrder): Promise<RolledForward> {
  const entries = await openEntries(run, order.oplog, order);
  try {
    return await fromBeginning(entries, (from) => rollFrom(run, order, { entries, from }));
  } finally {
    await entries.close();
  }
}

interface Reading {
  readonly entries: EntrySource;
  readonly from: Timestamp;
}

async function rollFrom(run: Run, order: AloneOrder, { entries, from }: Reading): Promise<RolledForward> {
  const { plan, spillPath } = order;
  const { source } = plan;
  const { origin } = entries;
  const views = viewsOf(plan);
  const until = neededUntil(plan) as Instant;
  const cut = cutOf(until);
  const begin = await beginningAt(entries, from, neededSince(plan) as Instant);
  const namespaces = new Set([...views.keys()].map((name) => `${source.database}.${name}`));
  const { database } = source;
  const tenures = await readTenures(run, entries, { namespaces, database, from, cut, spillPath });
  const found = new Map<string, Tenure>();
  for (const [name, wanted] of views)
    found.set(name, tenureOf(name, wanted, { tenures, origin, begin, source }));
  const { backup, warnings } = await withCollections(order, { entries, tenures, found, views });
  const collections = await wantedIn({ source, backup, wanted: new Set(views.keys()) });
  const windows = [...views.values()].some((each) => each.windows.length > 0) ? { views, until } : undefined;
  const followed = await follow(run, entries, {
    order: { source, oplog: order.oplog, backup, wanted: new Set(views.keys()), spillPath, windows },
    ...{ collections, bounds: { begin: from, said: 'oplog', cut }, span: undefined },
  });
  const { replay } = followed;
  const partly = collections.flatMap(({ collection }, i) =>
    tenures.createdAt(found.get(collection) as Tenure) === undefined
      ? [{ collection, windows: replay.windows[i] }]
      : [],
  );
  const holes = new Holes({ plan, origin, begin, partly });
  const rolling = new Rolling([{ replay, origin, views, holes }], collections);
  return {
    ...{ backup: rolling.of(backup), record: followed.record, rolling },
    warnings: [
      ...warningsOf({ ...followed, isOfDump: true }, entries.notes),
      ...[...warnings, ...holes.notes()].map((note) => `${origin}: ${note}`),
    ],
  };
}

/** The first entry. Throws BACKUP where it was written after a moment that the plan asks about. */
async function beginningAt(entries: EntrySource, from: Timestamp, moment: Instant): Promise<Moment> {
  const first = await entries.first();
  const begin = compareTimestamps(first, from) < 0 ? { ...from, wall: from.seconds * 1000 } : first;
  if (!isBehind(begin, cutOf(moment))) return begin;
  throw oplogError(
    entries.origin,
    `it begins at ${showMoment(begin)}, later than ${moment.text}, from which on the plan asks what happened`,
    `${WITH_A_BACKUP}; another member, or a saved file, may hold a longer one.`,
  );
}

interface Asked {
  readonly tenures: Tenures;
  readonly origin: string;
  readonly begin: Moment;
  readonly source: Plan['source'];
}

/** The collection that is meant. Throws BACKUP where the oplog cannot answer what the plan asks of it. */
function tenureOf(name: string, views: CollectionViews, { tenures, origin, begin, source }: Asked): Tenure {
  const moment = momentOfViews(views, source);
  const found = tenures.tenureAt(`${source.database}.${name}`, cutOf(moment));
  if (found === undefined)
    throw oplogError(
      origin,
      `no entry of it is about ${source.database}.${name} ${views.isAt ? `as of ${moment.text}` : `after ${moment.text}`}`,
      `${views.isAt ? 'Documents that nothing happened to are not in an oplog' : 'Nothing was deleted or changed, as far as it says'}. ${WITH_A_BACKUP}; or look with \`plan history\` what it holds.`,
    );
  const { tenure, isThere } = found;
  if (!views.isAt) return tenure;
  const created = tenures.createdAt(tenure);
  if (!isThere)
    throw oplogError(
      origin,
      `${name} was not there at ${moment.text}: it was made at ${showMoment(tenure.from as Moment)}`,
      'Let source.at be later than that.',
    );
  if (created === undefined)
    throw oplogError(
      origin,
      `it begins at ${showMoment(begin)}, after ${name} was created: documents that nothing happened to since are not known, so no query can be answered`,
      `${WITH_A_BACKUP}; or choose by what happened: \`deleted\` or \`changed\`, which \`plan history\` prints.`,
    );
  return tenure;
}

interface Held {
  readonly entries: EntrySource;
  readonly tenures: Tenures;
  readonly found: ReadonlyMap<string, Tenure>;
  readonly views: ReadonlyMap<string, CollectionViews>;
}

/** The collections without documents, with what is known of them. */
async function withCollections(
  { plan: { source }, backup }: AloneOrder,
  { entries, tenures, found, views }: Held,
): Promise<{ readonly backup: Backup; readonly warnings: readonly string[] }> {
  const warnings: string[] = [];
  const metadata = new Map<string, ReturnType<Tenures['metadataAt']>>();
  for (const [name, tenure] of found) {
    const moment = cutOf(momentOfViews(views.get(name) as CollectionViews, source));
    const isWhole = tenures.createdAt(tenure) !== undefined;
    const described = isWhole ? undefined : await entries.describeOne?.(source.database, name);
    const now = described?.uuid === tenure.uuid ? described : undefined;
    if (!isWhole && now === undefined)
      warnings.push(
        `the options and indexes that ${name} had before are not known: expiry by a TTL index cannot be told from deletions, and where a target lacks the collection it is made without them`,
      );
    metadata.set(name, tenures.metadataAt(name, tenure, { now, moment }));
  }
  const empty = new LiveBackup({
    identity: backup.identity,
    collections: [...found.keys()].map((name) => ({ name, type: 'collection', raw: EMPTY_DOCUMENT })),
    describe: async ({ name }) => metadata.get(name) as ReturnType<Tenures['metadataAt']>,
    documents: () => noDocuments(),
    close: () => backup.close(),
  });
  return { backup: empty, warnings };
}
