/** Reads an oplog for what happened to collections. */
import type { Run } from '../run.ts';
import { showCounted } from '../text/quantities.ts';
import { compareTimestamps, OplogEntry, showTimestamp, type Timestamp, timeOf } from './entry.ts';
import { following, OplogFault } from './faults.ts';
import { History } from './history.ts';
import type { HistoryRun } from './history-runs.ts';
import { Operations, WaitingTransactions } from './operations.ts';
import { RecordLog } from './record-log.ts';
import { STRAYS_MS } from './replay.ts';
import { type CollectionFacts, type EntrySource, fromBeginning } from './sources/entry-source.ts';

export interface HistoryRequest {
  readonly entries: EntrySource;
  readonly database: string;
  readonly collections: readonly string[] | undefined;
  /** UTC milliseconds; undefined: as far as the oplog goes. */
  readonly since: number | undefined;
  readonly until: number | undefined;
  /** Moments that no run reaches across, UTC milliseconds. */
  readonly breaks?: readonly number[];
  /** False: nothing behind `until` is read, so that nobody knows what came back. */
  readonly looksOn?: boolean;
  /** Path with which the names of temporary files begin. */
  readonly spillPath: string;
}

export interface OplogHistory {
  readonly origin: string;
  /** What was read, UTC milliseconds. */
  readonly from: number;
  readonly till: number;
  /** In the order in which they began. */
  readonly runs: readonly HistoryRun[];
  readonly minutes: ReadonlyMap<string, ReadonlyMap<number, number>>;
  /** What could not be told, a sentence each without its end. */
  readonly notes: readonly string[];
  /** Of these, what there is in the oplog and could not be followed. */
  readonly passedOver: readonly string[];
}

const MARGIN_SECONDS = 2;
/** Entries that are named because they could not be understood. */
const FAULTS_NAMED = 20;

/** Throws RestorePlanError BACKUP where the oplog cannot be read. */
export async function readHistory(run: Run, request: HistoryRequest): Promise<OplogHistory> {
  const { entries, since } = request;
  return fromBeginning(entries, (oldest) => {
    const seconds = since === undefined ? 0 : Math.floor(since / 1000) - MARGIN_SECONDS;
    const wanted = { seconds, ordinal: 0 };
    return read(run, request, compareTimestamps(wanted, oldest) > 0 ? wanted : oldest);
  });
}

async function read(run: Run, request: HistoryRequest, from: Timestamp): Promise<OplogHistory> {
  const { entries, database, collections, since = 0, until = Number.POSITIVE_INFINITY, spillPath } = request;
  const notes: string[] = [];
  let faults = 0;
  const passedOver: string[] = [];
  const known = await entries.describe?.(database);
  if (known === undefined)
    notes.push(
      'which collections have a TTL index or are capped is not known: deletions may have been expiry or overruns',
    );
  const facts = (name: string): CollectionFacts | undefined => known?.get(name);
  const history = new History({ database, collections, since, until, breaks: request.breaks, facts });
  const transactions = new WaitingTransactions(new RecordLog(`${spillPath}transactions`));
  const operations = new Operations({ wanted: history, commands: history, transactions }, history);
  const entry = new OplogEntry();
  let till = from.seconds * 1000;
  const take = (bytes: Buffer, start: number): void => {
    entry.read(bytes, start);
    till = Math.max(till, timeOf(entry));
    try {
      operations.follow(entry);
    } catch (fault) {
      if (!(fault instanceof OplogFault)) throw fault;
      if (++faults <= FAULTS_NAMED)
        passedOver.push(`the entry ${showTimestamp(entry)} was passed over: ${fault.message}`);
    }
  };
  const names = collections?.map((name) => ({
    collection: name,
    namespace: `${database}.${name}`,
    uuid: '',
  }));
  try {
    const range = { from, cut: 'end', collections: names, database } as const;
    for await (const { bytes, starts, count } of entries.entries(range)) {
      run.signal.throwIfAborted();
      following(entries.origin, {}, () => {
        for (let i = 0; i < count; i++) take(bytes, starts[i] as number);
      });
      if (request.looksOn === false && till > until + STRAYS_MS) break;
    }
  } finally {
    transactions.close();
  }
  if (faults > FAULTS_NAMED)
    passedOver.push(
      `${showCounted(faults - FAULTS_NAMED, 'further entry was', 'further entries were')} passed over`,
    );
  const { runs, timeline } = history;
  const told = { notes: [...notes, ...passedOver, ...history.notes()], passedOver };
  return {
    origin: entries.origin,
    from: from.seconds * 1000,
    till,
    runs,
    minutes: timeline.minutes,
    ...told,
  };
}
