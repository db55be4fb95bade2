/**
 * What a saved oplog is of. `plan oplog save` leaves out the entries of other collections, so the file itself must say which it has: else the
 * missing ones of another plan would be taken for changes that never happened.
 *
 * The file begins with an entry of our own, a no-op that every reader of oplogs passes over, of the moment from which on nothing is missing.
 */
import { Timestamp as DriverTimestamp, deserialize, Long, serialize } from 'bson';
import { findElement } from '../bson/elements.ts';
import { BSON } from '../bson/types.ts';
import { VERSION } from '../version.ts';
import { OP, type OplogEntry, type Timestamp } from './entry.ts';
import { OplogFault } from './faults.ts';

/** Collections of one database whose entries are there, by their names; all of them where none is named. */
export interface SavedScope {
  readonly database: string;
  readonly collections?: readonly string[] | undefined;
}

const KEY = Buffer.from('restorePlanOplog');
const FORMAT = 1;

/** What lies in the files of a series before one of them. */
export interface SavedBefore {
  /** Those that an earlier file ends with and the next begins with count once. */
  readonly entries: number;
  readonly bytes: number;
  /** UUIDs of collections that were renamed in them, 32 hex digits. */
  readonly renamed: readonly string[];
}

/** The entry that a saved file begins with: it has everything that matters for the scope from `from` on. */
export function scopeEntry(
  { database, collections }: SavedScope,
  from: Timestamp,
  before?: SavedBefore,
): Buffer {
  const ts =
    from.ordinal === 0 ? { t: from.seconds - 1, i: 0xffff_ffff } : { t: from.seconds, i: from.ordinal - 1 };
  return Buffer.from(
    serialize({
      ts: new DriverTimestamp(ts),
      t: Long.fromNumber(-1),
      v: Long.fromNumber(2),
      op: 'n',
      ns: '',
      wall: new Date(from.seconds * 1000),
      o: {
        restorePlanOplog: {
          format: FORMAT,
          version: VERSION,
          database,
          ...(collections && { collections: [...collections].sort() }),
          ...(before && { before }),
        },
      },
    }),
  );
}

/** Undefined for every entry but ours. Throws OplogFault for one of a later format. */
export function scopeOf(entry: OplogEntry): SavedScope | undefined {
  const said = saidIn(entry);
  if (said === undefined) return undefined;
  const { format, database, collections } = said;
  if (format !== FORMAT || typeof database !== 'string')
    throw new OplogFault('it was saved by a later version', 'Use the version that saved it.');
  return { database, ...(Array.isArray(collections) && { collections: collections.map(String) }) };
}

/** Nothing for a file that is no part of a series, or the first of one. */
export function savedBefore(entry: OplogEntry): SavedBefore {
  const { entries, bytes, renamed } = (saidIn(entry)?.before ?? {}) as Partial<
    Record<keyof SavedBefore, unknown>
  >;
  return {
    entries: Number(entries ?? 0),
    bytes: Number(bytes ?? 0),
    renamed: Array.isArray(renamed) ? renamed.map(String) : [],
  };
}

interface Said {
  readonly format?: unknown;
  readonly database?: unknown;
  readonly collections?: unknown;
  readonly before?: unknown;
}

function saidIn({ bytes, op, o }: OplogEntry): Said | undefined {
  if (
    op !== OP.NOOP ||
    o < 0 ||
    bytes[o + 4] !== BSON.OBJECT ||
    bytes.compare(KEY, 0, KEY.length, o + 5, o + 5 + KEY.length) !== 0
  )
    return undefined;
  const value = findElement(bytes, o, KEY);
  if (value === undefined) return undefined;
  return deserialize(bytes.subarray(value.start, value.end)) as Said;
}

export function isSameScope(a: SavedScope, b: SavedScope): boolean {
  return (
    a.database === b.database &&
    String([...(a.collections ?? [])].sort()) === String([...(b.collections ?? [])].sort())
  );
}

/** Throws OplogFault where entries for a collection, `database.collection`, were not saved. */
export function requireSaved({ database, collections }: SavedScope, namespace: string): void {
  const name = namespace.startsWith(`${database}.`) ? namespace.slice(database.length + 1) : undefined;
  if (name !== undefined && (collections === undefined || collections.includes(name))) return;
  const what =
    collections === undefined ? `the database ${database}` : `${collections.join(', ')} of ${database}`;
  throw new OplogFault(
    `only the entries for ${what} were saved in it, and those for ${namespace === '' ? 'all of it' : namespace} are needed`,
    'Save it again with this plan, or name the whole oplog.',
  );
}
