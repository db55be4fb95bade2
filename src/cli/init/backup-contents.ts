/** What a backup holds, to be offered while a plan is written. Reads as little as the backup's form allows. */
import { type Backup, bytesOf } from '../../backup/backup.ts';
import { openBackup } from '../../backup/open-backup.ts';
import { BsonFault } from '../../bson/elements.ts';
import { KeySet } from '../../bson/key-set.ts';
import { RestorePlanError } from '../../errors.ts';
import { fieldsThatRefer } from '../../follow-ups/suggestions/passing-collections.ts';
import { parseInstant } from '../../plan/instant.ts';
import type { Source } from '../../plan/plan.ts';
import { type DraftLocation, storeOf } from '../../plan/sources/stores.ts';
import { compileQuery } from '../../query/compile-query.ts';
import { parseQuery } from '../../query/parse-query.ts';
import { QueryFault } from '../../query/query-fault.ts';
import { untold } from '../../run.ts';
import type { CommandContext } from '../context.ts';

interface WantedBackup {
  readonly location: DraftLocation;
  readonly at: string | undefined;
  /** Folder that a relative path starts from, absolute. */
  readonly folder: string;
}

interface BackupContents {
  /** For people: which backup was looked into. */
  readonly location: string;
  /** Undefined when only reading all of the backup would tell. */
  readonly collections: readonly string[] | undefined;
}

/** By its name, `field` of `collection` refers to `parent`. */
export interface KnownReference {
  readonly collection: string;
  readonly field: string;
  readonly parent: string;
}

interface MatchCount {
  readonly matching: number;
  /** Documents looked at. */
  readonly read: number;
  /** They are all that there are. */
  readonly isWhole: boolean;
}

/** Bytes and milliseconds after which counting stops: somebody waits for the next question. */
const COUNTED_BYTES = 1024 * 1024 * 1024;
const COUNTED_MS = 10_000;
/** Bytes of each collection that show its fields. */
const SAMPLE_BYTES = 64 * 1024;
/** Collections whose fields are looked at. */
const MOST_SAMPLES = 500;

/** Looks into one backup; what was seen is remembered. All methods throw RestorePlanError when it cannot be opened. */
export class BackupLook {
  readonly #context: CommandContext;
  readonly #question: WantedBackup;
  readonly #seen = new Map<string, Promise<unknown>>();

  constructor(context: CommandContext, question: WantedBackup) {
    this.#context = context;
    this.#question = question;
  }

  contents(database: string): Promise<BackupContents> {
    return this.#once(`contents ${database}`, () =>
      this.#open(database, async (backup) => {
        const collections = await backup.collections();
        return {
          location: backup.identity.location,
          collections: collections
            ?.filter(({ type, collection }) => type === 'collection' && !collection.startsWith('system.'))
            .map(({ collection }) => collection)
            .sort(),
        };
      }),
    );
  }

  /** When the dump began: `dump` where an oplog that it took along says so, else the time in its name, UTC milliseconds; undefined: unknown. */
  begun(database: string): Promise<'dump' | number | undefined> {
    return this.#once(`begun ${database}`, () =>
      this.#open(database, async (backup) => {
        // Of a stream only reading all of it would tell.
        if (backup.access === 'random')
          for await (const { length } of backup.oplog?.() ?? []) if (length > 0) return 'dump';
        return backup.identity.time;
      }),
    );
  }

  /** The refusal of a database that is not there names those that are. Undefined: not known. */
  databases(): Promise<readonly string[] | undefined> {
    return this.#once('databases', async () => {
      try {
        // No database has an empty name.
        await this.#open('', (backup) => backup.collections());
        return undefined;
      } catch (error) {
        const databases = error instanceof RestorePlanError ? error.facts['databases'] : undefined;
        if (Array.isArray(databases)) return databases as string[];
        throw error;
      }
    });
  }

  /** How many documents of a collection a query matches; undefined where that would mean reading the whole backup, or the query has no answer. */
  count(database: string, collection: string, query: string): Promise<MatchCount | undefined> {
    return this.#once(`count ${JSON.stringify([database, collection, query])}`, () =>
      this.#open(database, (backup) => countMatches(backup, collection, { query, ...this.#context })),
    );
  }

  /** Which of these collections refer to which, by the names of their fields; none where samples cannot be taken. */
  references(database: string, collections: readonly string[]): Promise<readonly KnownReference[]> {
    return this.#once(`references ${database}`, () =>
      this.#open(database, async (backup) => {
        const parents = collections.map((collection) => ({ collection, ids: new KeySet() }));
        const found: KnownReference[] = [];
        for (const collection of collections.slice(0, MOST_SAMPLES)) {
          this.#context.signal.throwIfAborted();
          const sample = await backup.sample?.(collection, SAMPLE_BYTES);
          if (sample === undefined) return [];
          for (const { field, parent } of fieldsThatRefer(sample, parents)) {
            if (parent.collection !== collection)
              found.push({ collection, field, parent: parent.collection });
          }
        }
        return found;
      }),
    );
  }

  /** A failure is not remembered: what was wrong may be mended by the next try. */
  #once<T>(key: string, look: () => Promise<T>): Promise<T> {
    const seen = (this.#seen.get(key) as Promise<T> | undefined) ?? look();
    this.#seen.set(key, seen);
    seen.catch(() => this.#seen.delete(key));
    return seen;
  }

  async #open<T>(database: string, look: (backup: Backup) => Promise<T>): Promise<T> {
    const backup = await openBackup(untold(this.#context), sourceOf(this.#question, database), {
      wanted: new Set(),
      patience: this.#context.patience,
    });
    try {
      return await look(backup);
    } finally {
      await backup.close();
    }
  }
}

async function countMatches(
  backup: Backup,
  collection: string,
  { query, signal, now }: { readonly query: string } & Pick<CommandContext, 'signal' | 'now'>,
): Promise<MatchCount | undefined> {
  if (backup.access !== 'random') return undefined;
  const matches = compileQuery(parseQuery(query));
  const until = now() + COUNTED_MS;
  let matching = 0;
  let read = 0;
  let bytesRead = 0;
  try {
    for await (const piece of backup.read(new Set([collection]))) {
      signal.throwIfAborted();
      if (piece.type !== 'documents') continue;
      const { bytes, starts, count } = piece;
      for (let i = 0; i < count; i++) if (matches(bytes, starts[i] as number)) matching++;
      read += count;
      bytesRead += bytesOf(piece);
      if (bytesRead > COUNTED_BYTES || now() > until) return { matching, read, isWhole: false };
    }
  } catch (error) {
    const isDamage = error instanceof RestorePlanError && error.cause instanceof BsonFault;
    if (isDamage || error instanceof BsonFault || error instanceof QueryFault) return undefined;
    throw error;
  }
  return { matching, read, isWhole: true };
}

function sourceOf({ location, at, folder }: WantedBackup, database: string): Source {
  const reading = at === undefined ? undefined : parseInstant(at);
  return {
    at: reading !== undefined && 'instant' in reading ? reading.instant : undefined,
    database,
    maxAgeMs: undefined,
    integrity: 'needed',
    maxDecompressionRatio: undefined,
    location: storeOf(location).locate(location, folder),
  };
}
