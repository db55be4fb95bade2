/**
 * What other collections lost in the same run as the documents of an entry with `dependents: auto`, and by which field it hangs on them.
 *
 * 1. The history of the oplog says which collections lost documents together with the entry's own, in the span of `deleted` and just beside it:
 *    whoever deletes children before their parents does so before the first of these.
 * 2. What these lost is given as it was just before, as for `deleted` in a plan, and its fields are held against the `_id`s of the documents that
 *    were chosen; then, level by level, against those of what was found to hang on them.
 *
 * Nothing of it is restored: a person puts the proposal into the plan.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Backup, BackupPiece } from '../../backup/backup.ts';
import type { RemotePatience } from '../../backup/remote/patience.ts';
import { findId } from '../../bson/documents.ts';
import { showIsoDate } from '../../bson/extended-json-types.ts';
import { KeySet } from '../../bson/key-set.ts';
import { RestorePlanError } from '../../errors.ts';
import { lostWith } from '../../oplog/history.ts';
import { PAUSE_MS } from '../../oplog/history-runs.ts';
import { readHistory } from '../../oplog/read-history.ts';
import { rollForward } from '../../oplog/roll-forward.ts';
import { openEntries } from '../../oplog/sources/open-entries.ts';
import type { Instant } from '../../plan/instant.ts';
import { type CollectionPlan, collectionNames, type Plan } from '../../plan/plan.ts';
import type { SetOplog } from '../../plan/sources/oplog.ts';
import { type Window, windowKey, windowsOf } from '../../plan/windows.ts';
import type { Run } from '../../run.ts';
import { selectedIds } from '../../selection/file-batches.ts';
import { type Selection, selectedOf } from '../../selection/selection.ts';
import { showDuration } from '../../text/quantities.ts';
import {
  MOST_BYTES,
  MOST_IDS,
  type Parent,
  PassingCollection,
  type ReferenceCount,
} from './passing-collections.ts';
import { kept } from './suggest.ts';
import type { Suggestion } from './suggestion.ts';

/** Beside the manifest: what the oplog told once is known when it has been overwritten. */
const FILE = 'lost-together.json';

/** Part of the key of what is kept: answers that were found in another way are not taken for these. */
const ANSWERS = 'with what was lost beside the span';

/** A field of small values, which may be equal by chance, is worth a word where so much of what it holds is the `_id` of something that was lost. */
const SHARE_OF_SMALL = 0.9;

const TOO_MANY = `more than ${MOST_IDS} documents were lost that they may hang on`;
const TOO_LARGE = `only ${MOST_BYTES / 1024 ** 2} MB of lost documents are looked at, and others came first`;

/** Collections that are looked at one by one where not all of them can be followed. */
const MOST_ONE_BY_ONE = 20;

export interface LossSource {
  readonly plan: Plan;
  readonly selection: Selection;
  /** That of the selection. It is asked for only where the answer is not kept, and not closed. */
  readonly backup: () => Promise<Backup>;
  readonly patience?: RemotePatience;
}

type LostTogether = Extract<Suggestion, { kind: 'lostTogether' }>;

/** For each entry with `dependents: auto`, in their order, what most refers first; none where no entry says so. */
export async function lostTogether(run: Run, source: LossSource): Promise<readonly Suggestion[]> {
  const entries = source.plan.collections.filter(({ proposesDependents }) => proposesDependents);
  if (entries.length === 0) return [];
  const asked = entries.map((entry) => `${entry.collection} ${windowsOf(entry).map(windowKey)}`);
  const key = [ANSWERS, ...asked].join('\n');
  return kept(join(source.selection.directory, FILE), key, async () => {
    const found: Suggestion[] = [];
    for (const entry of entries) found.push(...(await lostWithEntry(run, source, entry)));
    return found;
  });
}

async function lostWithEntry(run: Run, source: LossSource, entry: CollectionPlan): Promise<Suggestion[]> {
  const { oplog, location } = source.plan.source;
  const window = windowsOf(entry).find(({ kind }) => kind === 'deleted');
  if (window === undefined || oplog === undefined) return [];
  // Both restore what is named; what was lost beside it would be looked for in one oplog, against one backup.
  if (oplog.kind === 'shards' || location.kind === 'oplog') {
    const which = oplog.kind === 'shards' ? 'the oplogs of shards' : 'an oplog without a backup';
    const reason = `${which} cannot tell it; \`plan history\` names the collections that lost documents then`;
    return [{ kind: 'notProposed', entry: entry.collection, reason }];
  }
  const loss = new Loss(run, {
    ...source,
    entry: entry.collection,
    window,
    oplog,
    backup: await source.backup(),
  });
  try {
    return await loss.find();
  } catch (error) {
    return [{ kind: 'notProposed', entry: entry.collection, reason: reasonIn(error) }];
  }
}

/** Only of what is wrong with the backup or its oplog. */
function reasonIn(error: unknown): string {
  if (error instanceof RestorePlanError && error.code === 'BACKUP') return error.message.replace(/\.$/, '');
  throw error;
}

interface LossOfEntry extends Omit<LossSource, 'backup'> {
  /** Its collection. */
  readonly entry: string;
  readonly window: Window;
  readonly oplog: SetOplog;
  readonly backup: Backup;
}

/** What a collection lost, by the history of the oplog. */
interface Lost {
  /** Undefined where an entry does not say how many. */
  readonly documents: number | undefined;
  /** UTC milliseconds of the first and the last. */
  readonly first: number;
  readonly last: number;
}

/** What was seen of a collection's lost documents. */
interface Seen {
  documents: number;
  /** Undefined where they are too many to be held against other collections. */
  ids: KeySet | undefined;
  readonly counts: ReferenceCount[];
}

class Loss {
  readonly #run: Run;
  readonly #of: LossOfEntry;
  readonly #spillPath: string;
  #idsLeft = MOST_IDS;
  #bytesLeft = MOST_BYTES;
  /** By collection: what it lost in the same run. */
  #losses: ReadonlyMap<string, Lost> = new Map();
  /** Documents that the entry's own collection lost in it outside the span. */
  #ownBeside = 0;

  constructor(run: Run, of: LossOfEntry) {
    this.#run = run;
    this.#of = of;
    this.#spillPath = join(run.workDirectory, `.lost-${randomBytes(6).toString('hex')}-`);
  }

  /** Throws RestorePlanError BACKUP where the oplog cannot be read. */
  async find(): Promise<Suggestion[]> {
    const unknown = await this.#readLosses();
    if (this.#losses.size === 0) return unknown;
    const { backup } = this.#of;
    const held = await backup.collections();
    const isThere = (name: string): boolean =>
      held === undefined || held.some(({ collection, type }) => collection === name && type === 'collection');
    const names = [...this.#losses.keys()];
    const found = [
      ...(await this.#lookAt(names.filter(isThere))),
      ...names
        .filter((name) => !isThere(name))
        .map((name) => this.#unseen(name, 'the backup lacks it, so that it was made later')),
    ];
    return [...found.sort((a, b) => (b.referring ?? 0) - (a.referring ?? 0)), ...unknown];
  }

  /** Finds what each other collection lost in the same run. Returns what could not be known of it. */
  async #readLosses(): Promise<Suggestion[]> {
    const { plan, entry, window, oplog, backup, patience } = this.#of;
    const { database } = plan.source;
    const beside = { backup, patience, spillPath: this.#spillPath };
    const entries = await openEntries(this.#run, oplog, beside);
    try {
      const span = { from: window.from.epochMs, until: window.until.epochMs };
      const { runs, passedOver, from, origin } = await readHistory(this.#run, {
        ...{ entries, database, collections: undefined, looksOn: false, spillPath: this.#spillPath },
        ...{ since: span.from - PAUSE_MS, until: span.until + PAUSE_MS, breaks: [span.from, span.until] },
      });
      const [gap] = passedOver;
      if (gap !== undefined) throw new RestorePlanError('BACKUP', `${entries.origin}: ${gap}`);
      const named = collectionNames(plan);
      const losses = new Map<string, Lost>();
      let firstOwn = Number.POSITIVE_INFINITY;
      for (const { namespace, count, first, last } of lostWith(runs, `${database}.${entry}`, span)) {
        const name = namespace.slice(database.length + 1);
        if (name === entry) {
          if (first < span.from || first >= span.until) this.#ownBeside += count ?? 0;
          else firstOwn = Math.min(firstOwn, first);
        }
        if (name === '' || named.has(name) || name.startsWith('system.')) continue;
        const { documents, ...times } = losses.get(name) ?? { documents: 0, first, last };
        losses.set(name, {
          documents: documents === undefined || count === undefined ? undefined : documents + count,
          first: Math.min(times.first, first),
          last: Math.max(times.last, last),
        });
      }
      this.#losses = losses;
      // Only its second is known.
      if (from + 1_000 <= firstOwn - PAUSE_MS) return [];
      const reason = `${origin} begins at ${showIsoDate(from)}, so that it does not hold all of what was lost in the ${showDuration(PAUSE_MS)} before ${showIsoDate(firstOwn)}`;
      return [{ kind: 'notProposed', entry, reason }];
    } finally {
      await entries.close();
    }
  }

  /** All together; one by one where one of them cannot be followed. */
  async #lookAt(names: readonly string[]): Promise<LostTogether[]> {
    if (names.length === 0) return [];
    const { selection, entry } = this.#of;
    const chosen = selectedOf(selection.manifest, entry)?.count ?? 0;
    if (chosen > MOST_IDS) return names.map((name) => this.#unseen(name, TOO_MANY));
    try {
      return await this.#lookAtAll(names);
    } catch (error) {
      const reason = reasonIn(error);
      // The backup may not reach back as far as what was lost first.
      const earlier = names.filter((name) => this.#beside(name).since !== undefined);
      if (earlier.length > 0 && earlier.length < names.length) {
        const others = names.filter((name) => !earlier.includes(name));
        return [...(await this.#lookAt(others)), ...(await this.#lookAt(earlier))];
      }
      if (names.length === 1 || names.length > MOST_ONE_BY_ONE)
        return names.map((name) => this.#unseen(name, reason));
    }
    const found: LostTogether[] = [];
    for (const name of names) found.push(...(await this.#lookAt([name])));
    return found;
  }

  async #lookAtAll(names: readonly string[]): Promise<LostTogether[]> {
    const { plan, oplog, backup, patience } = this.#of;
    const window = this.#windowOver(names);
    const { at = window.from } = plan.source;
    const source = { ...plan.source, at: window.from.epochMs < at.epochMs ? window.from : at };
    const windows = {
      views: new Map(names.map((name) => [name, { isAt: false, windows: [window] }])),
      until: window.until,
    };
    const order = { source, oplog, backup, wanted: new Set(names), patience, windows };
    const rolled = await rollForward(this.#run, { ...order, spillPath: this.#spillPath });
    try {
      return await this.#byLevel(rolled.backup, names);
    } finally {
      rolled.rolling.close();
    }
  }

  /** That of the entry, as wide as the losses of these collections are. */
  #windowOver(names: readonly string[]): Window {
    let { from, until } = this.#of.window;
    for (const name of names) {
      const { since, till } = this.#beside(name);
      if (since !== undefined && since < from.epochMs) from = instantAt(since);
      if (till !== undefined && till > until.epochMs) until = instantAt(till);
    }
    return { kind: 'deleted', from, until };
  }

  /** What of a collection's losses lies outside the span of the entry. */
  #beside(collection: string): Pick<LostTogether, 'since' | 'till'> {
    const { from, until } = this.#of.window;
    const { first, last } = this.#losses.get(collection) as Lost;
    return {
      ...(first < from.epochMs && { since: first }),
      ...(last >= until.epochMs && { till: last + 1 }),
    };
  }

  /** Those that refer to the chosen documents, then those that refer to these, until none is left or none refers. */
  async #byLevel(backup: Backup, names: readonly string[]): Promise<LostTogether[]> {
    const found: LostTogether[] = [];
    /** Without a field that surely leads there; what was seen first, of those that were chosen, counts. */
    const undecided = new Map<string, LostTogether>();
    const { selection, entry } = this.#of;
    let parents = parentOf(entry, await selectedIds(selection, entry));
    for (let open = names; open.length > 0 && parents.length > 0; open = [...undecided.keys()]) {
      this.#idsLeft = MOST_IDS - parents.reduce((sum, { ids }) => sum + ids.size, 0);
      const seen = await this.#read(backup, open, parents);
      parents = [];
      for (const name of open) {
        const told = this.#told(name, seen.get(name));
        if (told === undefined) continue; // by expiry alone, which is no loss
        if (told.field === undefined) {
          if (!undecided.has(name)) undecided.set(name, told);
          continue;
        }
        found.push(told);
        undecided.delete(name);
        parents.push(...parentOf(name, seen.get(name)?.ids));
      }
    }
    const isCut = found.length > 0 && this.#idsLeft < 0;
    return [
      ...found,
      ...[...undecided.values()].map((each) => (isCut ? { ...each, unseen: TOO_MANY } : each)),
    ];
  }

  /** Goes through the lost documents of some collections. */
  async #read(
    backup: Backup,
    names: readonly string[],
    parents: readonly Parent[],
  ): Promise<Map<string, Seen>> {
    const seen = new Map(
      names.map((name): [string, Seen] => [name, { documents: 0, ids: new KeySet(), counts: [] }]),
    );
    const passing = new Map<string, PassingCollection>();
    for await (const piece of backup.read(new Set(names))) {
      this.#run.signal.throwIfAborted();
      if (piece.type !== 'documents' && piece.type !== 'ended') continue;
      const { collection } = piece.member;
      const of = seen.get(collection) as Seen;
      const search = passing.get(collection) ?? this.#search(of, parents);
      passing.set(collection, search);
      if (piece.type === 'ended') {
        search.end();
        passing.delete(collection);
        continue;
      }
      this.#note(of, piece);
      search.take(piece);
    }
    return seen;
  }

  #search({ counts }: Seen, parents: readonly Parent[]): PassingCollection {
    return new PassingCollection(parents, {
      bytesLeft: () => this.#bytesLeft,
      counted: (count, bytes) => {
        this.#bytesLeft -= bytes;
        counts.push(count);
      },
    });
  }

  #note(of: Seen, { bytes, starts, count }: BackupPiece & { type: 'documents' }): void {
    of.documents += count;
    for (let i = 0; i < count && of.ids !== undefined; i++) {
      const id = findId(bytes, starts[i] as number);
      if (id === undefined || !of.ids.add(id)) continue;
      if (--this.#idsLeft < 0) of.ids = undefined;
    }
  }

  /** Undefined where nothing was lost but by expiry. */
  #told(collection: string, seen: Seen | undefined): LostTogether | undefined {
    if (seen === undefined || seen.documents === 0) return undefined;
    const fields = seen.counts
      .flatMap(({ candidates }) => candidates)
      .filter(
        ({ documents, held, isTelling }) =>
          documents > 0 && (isTelling || documents >= SHARE_OF_SMALL * held),
      )
      .sort((a, b) => Number(b.isTelling) - Number(a.isTelling) || b.documents - a.documents);
    const best = fields.find(({ isTelling }) => isTelling);
    return {
      ...this.#head(collection),
      documents: seen.documents,
      ...(best && { field: best.field, parent: best.parent.collection, referring: best.documents }),
      ...(best === undefined && this.#bytesLeft <= 0 && { unseen: TOO_LARGE }),
      otherFields: [...new Set(fields.map(({ field }) => field))].filter((field) => field !== best?.field),
    };
  }

  #unseen(collection: string, unseen: string): LostTogether {
    const documents = this.#losses.get(collection)?.documents;
    return {
      ...this.#head(collection),
      ...(documents !== undefined && { documents }),
      otherFields: [],
      unseen,
    };
  }

  #head(collection: string) {
    const { entry, window } = this.#of;
    const span = { from: window.from.epochMs, until: window.until.epochMs };
    const beside = this.#beside(collection);
    const hasOwn = this.#ownBeside > 0 && Object.keys(beside).length > 0;
    return {
      ...({ kind: 'lostTogether', entry, ...span, collection, ...beside } as const),
      ...(hasOwn && { ownBeside: this.#ownBeside }),
    };
  }
}

function instantAt(epochMs: number): Instant {
  return { epochMs, text: new Date(epochMs).toISOString() };
}

function parentOf(collection: string, ids: KeySet | undefined): Parent[] {
  return ids === undefined || ids.size === 0 ? [] : [{ collection, ids, lostTogether: true }];
}
