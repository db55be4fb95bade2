/**
 * `plan sources`: each source that could answer for a plan is asked how far it reaches: pre-images, the server's own history, the oplog, the
 * backups. Reads no document, and changes nothing.
 *
 * Each is asked by itself: one that cannot be reached says so in its answer, and keeps no other from being asked.
 */

import { type BackupListing, type ListedBackup, listBackups } from '../backup/list-backups.ts';
import { askHistory, askSnapshot, type KeptHistory, type NamedServer } from '../backup/live/kept-history.ts';
import type { RemotePatience } from '../backup/remote/patience.ts';
import { showIsoDate } from '../bson/extended-json-types.ts';
import { RestorePlanError } from '../errors.ts';
import { checkOplog, type OplogCheck } from '../oplog/check-oplog.ts';
import { timeOf } from '../oplog/entry.ts';
import type { EntrySource } from '../oplog/sources/entry-source.ts';
import { LiveOplog } from '../oplog/sources/live-oplog.ts';
import { openStoredOplog } from '../oplog/sources/stored-oplog.ts';
import type { Instant } from '../plan/instant.ts';
import { collectionNames, type Plan } from '../plan/plan.ts';
import type { SetOplog } from '../plan/sources/oplog.ts';
import { isStored } from '../plan/sources/sources.ts';
import { neededSince } from '../plan/windows.ts';
import type { Run } from '../run.ts';
import { showDuration } from '../text/quantities.ts';
import {
  backupTold,
  lasting,
  NOTHING,
  preImagesTold,
  type SourceAnswer,
  type SourceName,
  sentence,
  type Told,
  unknown,
} from './source-answer.ts';

export interface SourcesAsked {
  readonly database: string;
  readonly at: Instant | undefined;
  /** The server that was asked; undefined: none is named. */
  readonly server: string | undefined;
  readonly answers: readonly SourceAnswer[];
}

/** A server that has, or had, the documents. */
export interface AskedServer extends NamedServer {
  readonly database: string;
}

/** What is known of where the documents were. */
export interface Clues {
  /** Undefined: nothing is known but a server. */
  readonly plan: Plan | undefined;
  readonly server: AskedServer | undefined;
}

/** The server that lost the documents, as far as a plan names it. */
export function serverOf({ source, targets }: Plan): AskedServer | undefined {
  const { location, oplog, database } = source;
  const named = (uri: NamedServer['uri'] | undefined, where: string, of = database): AskedServer[] =>
    uri === undefined ? [] : [{ uri, named: where, database: of }];
  const { production } = targets;
  return [
    ...(location.kind === 'snapshot' || location.kind === 'preImages'
      ? named(location.uri, `source.${location.kind}`)
      : []),
    ...(production === undefined ? [] : named(production.uri, 'targets.production', production.database)),
    ...(oplog?.kind === 'mongodb' ? named(oplog.uri, 'source.oplog.mongodb') : []),
  ][0];
}

/** Throws only the signal's reason and bugs. */
export async function askSources(run: Run, clues: Clues, patience: RemotePatience): Promise<SourcesAsked> {
  const asking = new Asking(run, clues, patience);
  const answers = await Promise.all([asking.preImages(), asking.snapshot(), asking.oplog(), asking.backup()]);
  const { server, plan } = clues;
  const at = plan?.source.at;
  const database = server?.database ?? plan?.source.database ?? '';
  return { database, at, server: await asking.hosts(), answers };
}

const NO_SERVER =
  'the plan names no server that lost the documents: targets.production, source.oplog.mongodb, source.snapshot or source.preImages, with its variable set';

class Asking {
  readonly #run: Run;
  readonly #clues: Clues;
  readonly #patience: RemotePatience;
  readonly #wanted: ReadonlySet<string> | undefined;
  #history: Promise<KeptHistory | undefined> | undefined;
  #listing: Promise<BackupListing | undefined> | undefined;

  constructor(run: Run, clues: Clues, patience: RemotePatience) {
    this.#run = run;
    this.#clues = clues;
    this.#patience = patience;
    this.#wanted = clues.plan && collectionNames(clues.plan);
  }

  async hosts(): Promise<string | undefined> {
    return (await this.#kept().catch(() => undefined))?.hosts;
  }

  preImages(): Promise<SourceAnswer> {
    return this.#answer('preImages', async () => {
      const history = await this.#kept();
      if (history === undefined) return unknown('no server is named', NO_SERVER);
      const told = preImagesTold(history, { wanted: this.#wanted, at: this.#at });
      const { server } = this.#clues;
      if (told.answers !== 'yes' || server === undefined || this.#isSource('preImages')) return told;
      return { ...told, write: this.#lines('preImages', server) };
    });
  }

  snapshot(): Promise<SourceAnswer> {
    return this.#answer('snapshot', async () => {
      const history = await this.#kept();
      const { server } = this.#clues;
      if (history === undefined || server === undefined) return unknown('no server is named', NO_SERVER);
      const { serverTime } = history;
      const second = new Date(Math.floor(serverTime / 1000) * 1000 - 1000);
      const at = this.#at ?? { epochMs: second.getTime(), text: second.toISOString() };
      const source = {
        ...{ at, database: server.database, location: { kind: 'snapshot', uri: server.uri } as const },
        ...({ maxAgeMs: undefined, integrity: 'whole', maxDecompressionRatio: undefined } as const),
      };
      const wanted = this.#wanted ?? new Set<string>();
      const { refusal, holds, warnings } = await askSnapshot(this.#run, source, wanted);
      const windowMs = history.windowMs ?? USUAL_WINDOW_MS;
      const window = `the server keeps its history for ${showDuration(windowMs)}${history.windowMs === undefined ? ', unless its minSnapshotHistoryWindowInSeconds says otherwise' : ''}`;
      if (refusal !== undefined)
        return { ...NOTHING, answers: 'no', sum: 'gone', facts: [sentence(refusal)] };
      const lacks = [...wanted].filter((name) => !holds.includes(name));
      const leftMs = Math.max(0, at.epochMs + windowMs - serverTime);
      return {
        answers: 'yes',
        sum:
          this.#at === undefined
            ? `back by ${showDuration(windowMs)}`
            : `${showDuration(leftMs, 'down')} left`,
        from: serverTime - windowMs,
        until: this.#at === undefined ? undefined : at.epochMs + windowMs,
        facts: [
          window,
          ...warnings,
          ...(holds.length === 0 ? [] : [`it holds ${holds.join(', ')}`]),
          ...(lacks.length === 0 ? [] : [`it lacks ${lacks.join(', ')}`]),
        ],
        missingRights: [],
        write: this.#isSource('snapshot') ? [] : this.#lines('snapshot', server),
      };
    });
  }

  oplog(): Promise<SourceAnswer> {
    return this.#answer('oplog', async () => {
      const { plan } = this.#clues;
      if (plan !== undefined && (plan.source.oplog?.kind === 'backup' || plan.source.oplog?.kind === 'pbm'))
        return unknown('in the backup', 'it lies in the backup: `plan oplog check` tells how far it reaches');
      const oplog = this.#setOplog;
      if (oplog === undefined && plan?.source.oplog !== undefined)
        return unknown('one for each shard', '`plan oplog check` tells how far each of them reaches');
      const entries = await this.#openOplog();
      if (entries === undefined) return unknown('no server is named', NO_SERVER);
      try {
        // A server that nobody writes to has an entry of any moment within some seconds.
        const isPast = entries.room !== undefined && (this.#at?.epochMs ?? 0) <= this.#run.now();
        const check = await checkOplog(this.#run, {
          entries,
          plan: oplog && { oplog, at: isPast ? undefined : this.#at, since: plan && neededSince(plan) },
          namespaces: [...(this.#wanted ?? [])].map((name) => `${plan?.source.database}.${name}`),
        });
        // A backup that cannot be listed says so in its own answer.
        const listing = await this.#backups().catch(() => undefined);
        return this.#oplogTold(
          check,
          listing?.backups.find(({ chosen }) => chosen),
        );
      } finally {
        await entries.close();
      }
    });
  }

  backup(): Promise<SourceAnswer> {
    return this.#answer('backup', async () => {
      const { plan } = this.#clues;
      const listing = await this.#backups();
      if (listing === undefined || plan === undefined) {
        const kind = plan?.source.location.kind;
        return kind === 'mongodb'
          ? unknown('a live database', 'source.mongodb answers by itself: `plan select` reads it')
          : {
              ...NOTHING,
              answers: 'no',
              sum: 'none is named',
              facts: ['source.path or source.s3 would name the backups'],
            };
      }
      return backupTold(listing);
    });
  }

  get #at(): Instant | undefined {
    return this.#clues.plan?.source.at;
  }

  /** Undefined for a sharded cluster, too: each shard has one. */
  get #setOplog(): SetOplog | undefined {
    const oplog = this.#clues.plan?.source.oplog;
    return oplog?.kind === 'shards' ? undefined : oplog;
  }

  #isSource(kind: string): boolean {
    return this.#clues.plan?.source.location.kind === kind;
  }

  /** What cannot be asked is an answer, too. */
  async #answer(source: SourceName, ask: () => Promise<Told>): Promise<SourceAnswer> {
    try {
      return { source, ...(await ask()) };
    } catch (error) {
      this.#run.signal.throwIfAborted();
      if (!(error instanceof RestorePlanError)) throw error;
      const { hint } = error;
      const facts = [sentence(error), ...(hint === undefined ? [] : [hint.replace(/\.$/, '')])];
      return { source, ...NOTHING, answers: 'unknown', sum: 'cannot be asked', facts };
    }
  }

  #kept(): Promise<KeptHistory | undefined> {
    const { server } = this.#clues;
    this.#history ??=
      server === undefined
        ? Promise.resolve(undefined)
        : askHistory(this.#run, server, { database: server.database, wanted: this.#wanted });
    return this.#history;
  }

  #backups(): Promise<BackupListing | undefined> {
    const { plan } = this.#clues;
    const location = plan?.source.location;
    this.#listing ??=
      plan === undefined || location === undefined || !isStored(location)
        ? Promise.resolve(undefined)
        : listBackups(
            this.#run,
            { ...plan.source, location },
            { wanted: collectionNames(plan), patience: this.#patience },
          );
    return this.#listing;
  }

  async #openOplog(): Promise<EntrySource | undefined> {
    const { server } = this.#clues;
    const oplog = this.#setOplog;
    // An oplog of the other kinds lies in the backup, and was not asked for.
    if (oplog?.kind === 'mongodb') return LiveOplog.open(this.#run, oplog.uri);
    if (oplog?.kind === 'stored') return openStoredOplog(this.#run, oplog.from, this.#patience);
    return server && LiveOplog.open(this.#run, server.uri);
  }

  #oplogTold(check: OplogCheck, backup: ListedBackup | undefined): Told {
    const { first, last, problems, unknown: open, rollsOver } = check;
    const now = this.#run.now();
    const { plan, server } = this.#clues;
    const isAlone = this.#isSource('oplog');
    const begins = this.#setOplog?.begins?.epochMs ?? backup?.time;
    const fromMs = first.seconds * 1000;
    const isLate = begins !== undefined && fromMs > begins;
    const isShown = check.needed === undefined && isLate;
    const facts = [
      ...problems,
      ...(isShown
        ? [`it begins after the backup of ${showIsoDate(begins as number)}, and cannot roll it forward`]
        : []),
      ...(isAlone || begins !== undefined
        ? []
        : ['no backup is known that it could roll forward; `plan history` tells what happened']),
      ...(isAlone || begins === undefined || isLate ? [ALONE] : []),
      ...(rollsOver === undefined ? [] : [lasting(rollsOver)]),
      ...(rollsOver === undefined ? open.filter((each) => each.startsWith('how long')) : []),
      `its newest entry is of ${showIsoDate(timeOf(last))}`,
    ];
    return {
      answers: problems.length > 0 || isLate ? 'no' : begins === undefined && !isAlone ? 'unknown' : 'yes',
      sum: `back to ${showIsoDate(fromMs)}`,
      from: fromMs,
      until: rollsOver === undefined ? undefined : now + rollsOver.inMs,
      facts,
      missingRights: [],
      write:
        plan?.source.oplog !== undefined || server === undefined
          ? []
          : [
              'source:',
              '  oplog:',
              `    mongodb: { uri: ${uriText(server)} }`,
              isLate || begins === undefined
                ? '# and no path or s3: by itself; with `deleted` or `changed` in each entry'
                : `    begins: ${showIsoDate(begins)} # when the dump was begun, or earlier`,
            ],
    };
  }

  #lines(kind: 'snapshot' | 'preImages', server: AskedServer): string[] {
    const at =
      this.#at === undefined && kind === 'snapshot'
        ? ['  at: … # the last moment at which the data was good, with its offset']
        : [];
    return [
      'source:',
      ...at,
      `  database: ${JSON.stringify(server.database)}`,
      `  ${kind}: { uri: ${uriText(server)} }`,
      ...(kind === 'preImages'
        ? ['# and `deleted` or `changed` in each entry: `plan history` prints them']
        : []),
    ];
  }
}

const ALONE =
  'without a backup it gives back what was deleted or changed, where it holds the insert as well; a query only of a collection whose creation it holds';

/** minSnapshotHistoryWindowInSeconds where nobody changed it. */
const USUAL_WINDOW_MS = 300_000;

function uriText({ uri }: AskedServer): string {
  return uri.variable === undefined ? '…' : JSON.stringify(`\${${uri.variable}}`);
}
