/** What is asked of the oplog of a server, and the batches of entries that it answers with. */
import { BSONRegExp, Timestamp as DriverTimestamp, UUID } from 'bson';
import type { Document, FindCursor } from 'mongodb';
import type { WholeDocuments } from '../../backup/backup.ts';
import { asBuffer, takeFetched } from '../../mongo/raw-messages.ts';
import { type Cut, isBehind, OplogEntry, type Timestamp } from '../entry.ts';
import type { EntryRange } from './entry-source.ts';

const KNOWN_OPERATIONS = ['i', 'u', 'd', 'c', 'n', 'ci', 'cu', 'cd', 'km'];

/** The entries that a cursor has fetched; it has none of them afterwards. */
export function fetchedBy(cursor: FindCursor): WholeDocuments {
  const fetched = takeFetched(cursor);
  return fetched === undefined ? together(cursor.readBufferedDocuments()) : within(fetched);
}

/** Entries where they lie in a reply. */
function within({
  bytes,
  offsets,
}: {
  readonly bytes: Buffer;
  readonly offsets: readonly number[];
}): WholeDocuments {
  const count = offsets.length;
  const starts = new Int32Array(count + 1);
  starts.set(offsets);
  const last = starts[count - 1] as number;
  starts[count] = last + bytes.readInt32LE(last);
  return { bytes, starts, count };
}

/** Entries that came one by one, as documents back to back. */
function together(entries: readonly unknown[]): WholeDocuments {
  const buffers = entries.map(asBuffer);
  const starts = new Int32Array(buffers.length + 1);
  for (const [i, { length }] of buffers.entries()) starts[i + 1] = (starts[i] as number) + length;
  return { bytes: Buffer.concat(buffers), starts, count: buffers.length };
}

/** The place of the first entry that does not count; the number of entries where all of them do. */
export function placeOfCut({ bytes, starts, count }: WholeDocuments, cut: Exclude<Cut, 'end'>): number {
  const entry = new OplogEntry();
  for (let i = 0; i < count; i++) if (isBehind(entry.read(bytes, starts[i] as number), cut)) return i;
  return count;
}

export function isLastBehind({ bytes, starts, count }: WholeDocuments, cut: Exclude<Cut, 'end'>): boolean {
  return isBehind(new OplogEntry().read(bytes, starts[count - 1] as number), cut);
}

/**
 * Which entries the server is asked for: those of the collections by UUID or name, commands, and whatever kind is not known here. Empty: all.
 *
 * Few filters, for each is held against every entry: names and commands as one take the server two thirds of the time.
 */
export function filterFor({
  collections,
  database,
}: Pick<EntryRange, 'collections' | 'database'>): readonly Document[] {
  if (collections === undefined && database === undefined) return [];
  const namespaces = collections?.map(({ namespace }) => namespace) ?? [];
  const databases = new Set(namespaces.map((namespace) => namespace.slice(0, namespace.indexOf('.'))));
  if (database !== undefined) databases.add(database);
  const ofDatabase = startOf(database ?? '');
  const names = collections === undefined ? [ofDatabase] : namespaces;
  const commands = ['admin', ...databases].map((each) => `${each}.$cmd`);
  const uuids = (collections ?? []).filter(({ uuid }) => uuid !== '');
  return [
    ...(uuids.length === 0 ? [] : [{ ui: { $in: uuids.map(({ uuid }) => new UUID(uuid).toBinary()) } }]),
    { ns: { $in: [...names, ...commands] } },
    { op: { $nin: KNOWN_OPERATIONS } },
  ];
}

/** Namespaces of a database. */
export function startOf(database: string): BSONRegExp {
  return new BSONRegExp(`^${database.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')}\\.`);
}

export function anyOf(filters: readonly Document[]): Document {
  return filters.length === 0 ? {} : { $or: filters };
}

export function timestamp({ seconds, ordinal }: Timestamp): DriverTimestamp {
  return new DriverTimestamp({ t: seconds, i: ordinal });
}
