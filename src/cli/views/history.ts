/** `plan history` as a page and as an object. */
import { addId, type HistoryRun, type RunOrigin } from '../../oplog/history-runs.ts';
import type { OplogHistory } from '../../oplog/read-history.ts';
import { neutral, yamlWord } from '../../text/escape.ts';
import { showCount, showCounted } from '../../text/quantities.ts';
import { fitted, type PageStyle, padded, wrapped } from '../../text/terminal.ts';
import type { View } from '../view.ts';

const ORIGINS: Readonly<Record<RunOrigin, string>> = {
  user: '',
  expired: 'expired (TTL index)',
  maybeExpired: 'maybe expired (TTL index)',
  overrun: 'overrun of a capped collection',
  migration: 'moved between shards',
  internal: 'copies of the server itself',
};

const HOW: Readonly<Record<HistoryRun['how'], string>> = {
  one: '',
  many: ', many at once',
  transaction: ', in transactions',
};

/** `users`: names by the hash that sessions carry. */
export function historyView(history: OplogHistory, users: ReadonlyMap<string, string>): View {
  return {
    page: (style) => historyPage(history, users, style),
    objects: () => [
      {
        type: 'history',
        source: history.origin,
        from: iso(history.from),
        till: iso(history.till),
        runs: undoneTogether(history.runs).map((run) => runObject(run, users)),
        notes: history.notes,
      },
    ],
  };
}

function runObject(run: HistoryRun, users: ReadonlyMap<string, string>) {
  const { namespace, kind, origin, how, first, last, count, fields, ids, cameBack, user, detail } = run;
  const entry = entryOf(run);
  return {
    namespace,
    kind,
    origin,
    how,
    first: iso(first),
    last: iso(last),
    ...(count !== undefined && { count }),
    ...(fields.size > 0 && { fields: Object.fromEntries(fields) }),
    ids,
    ...(kind === 'deletes' && { cameBack }),
    ...(user !== undefined && { user: users.get(user) ?? null, userSha256: user }),
    ...(detail !== undefined && { detail }),
    ...(entry !== undefined && { entry }),
  };
}

/**
 * Runs with their entries, but for those that one entry undoes: a deleteMany ends with an operation that stands alone where one document is left
 * for its last batch. Told apart they would give the same entry twice, which a plan may not hold.
 */
function undoneTogether(runs: readonly HistoryRun[]): HistoryRun[] {
  const told = new Map<string, HistoryRun>();
  const byMoment = [...runs].sort((a, b) => Number(a.how === 'one') - Number(b.how === 'one'));
  for (const run of byMoment) {
    const { namespace, kind, origin, user, first, last, count = 0 } = run;
    const isAlone = run.detail !== undefined || run.kind !== 'deletes' || entryOf(run) === undefined;
    const traits = [namespace, kind, origin, user];
    const key = isAlone ? String(run.number) : JSON.stringify([...traits, first, last]);
    const ends = JSON.stringify([...traits, 'ends', last]);
    const into = told.get(key) ?? (first === last && !isAlone ? told.get(ends) : undefined);
    if (into === undefined) {
      const own = { ...run, ids: [...run.ids] }; // the history's own stays as it is
      told.set(key, own);
      if (!isAlone && run.how === 'many') told.set(ends, own);
      continue;
    }
    into.count = (into.count ?? 0) + count;
    into.cameBack += run.cameBack;
    for (const id of run.ids) addId(into, id);
  }
  return [...new Set(told.values())].sort((a, b) => a.number - b.number);
}

/** Fields by which a merge is proposed; a run that touched more is undone whole. */
const FIELDS_NAMED = 20;

interface PlanEntry {
  readonly collection: string;
  readonly deleted?: { readonly from: string; readonly until: string };
  readonly changed?: { readonly from: string; readonly until: string; readonly fields?: readonly string[] };
  readonly whenMatched?: 'merge' | 'replace';
}

/** What a plan says to undo the run; undefined where nothing is to be undone. */
function entryOf({
  namespace,
  kind,
  origin,
  first,
  last,
  fields,
  hasOddFields,
  isLoss,
}: HistoryRun): PlanEntry | undefined {
  const dot = namespace.indexOf('.');
  if (dot < 0 || (origin !== 'user' && origin !== 'maybeExpired')) return undefined;
  const collection = namespace.slice(dot + 1);
  // The last moment counts.
  const span = { from: iso(first), until: iso(last + 1) };
  if (isLoss) return { collection, deleted: span };
  if (kind === 'replacements') return { collection, changed: span, whenMatched: 'replace' };
  if (kind !== 'updates') return undefined;
  const outer = [...fields.keys()].filter(
    (path) => ![...fields.keys()].some((other) => path.startsWith(`${other}.`)),
  );
  return fields.size === 0 || fields.size > FIELDS_NAMED || hasOddFields
    ? { collection, changed: span, whenMatched: 'replace' }
    : { collection, changed: { ...span, fields: outer.sort() }, whenMatched: 'merge' };
}

/** As it is pasted below `collections:`. */
function entryLines({ collection, deleted, changed, whenMatched }: PlanEntry): string[] {
  const flow = ({ from, until, fields }: NonNullable<PlanEntry['changed']>): string =>
    `{ from: ${from}, until: ${until}${fields === undefined ? '' : `, fields: [${fields.map(yamlWord).join(', ')}]`} }`;
  return [
    `  - collection: ${yamlWord(collection)}`,
    ...(deleted === undefined ? [] : [`    deleted: ${flow(deleted)}`]),
    ...(changed === undefined ? [] : [`    changed: ${flow(changed)}`]),
    ...(whenMatched === undefined ? [] : [`    whenMatched: ${whenMatched}`]),
  ];
}

const iso = (ms: number): string => new Date(ms).toISOString();

function* historyPage(
  history: OplogHistory,
  users: ReadonlyMap<string, string>,
  style: PageStyle,
): Generator<string> {
  const { paint, columns } = style;
  yield `${paint.strong('oplog')}  ${neutral(history.origin)}`;
  yield `       ${iso(history.from)} to ${iso(history.till)}`;
  yield '';
  yield* timeline(history, style);
  if (history.runs.length === 0) yield 'Nothing happened to these collections.';
  const runs = undoneTogether(history.runs).sort((a, b) => a.first - b.first);
  for (const run of runs) yield* runLines(run, users, style);
  for (const note of history.notes) {
    yield '';
    yield* wrapped(`note: ${note}`, { columns, hanging: 2 }).map(paint.odd);
  }
}

const BARS = '▁▂▃▄▅▆▇█';
const NAME = 24;

/** A line for each collection: how much happened to it, in equal parts of the time between the first and the last operation. */
function* timeline({ minutes }: OplogHistory, { columns, paint }: PageStyle): Generator<string> {
  const all = [...minutes.values()].flatMap((each) => [...each.keys()]);
  if (all.length === 0) return;
  let [first, last] = [Number.POSITIVE_INFINITY, 0];
  for (const minute of all) {
    first = Math.min(first, minute);
    last = Math.max(last, minute);
  }
  const width = Math.max(1, Math.min(60, columns - NAME - 2, last - first + 1));
  for (const [namespace, counts] of minutes) {
    const parts = new Array<number>(width).fill(0);
    for (const [minute, count] of counts) {
      const place = Math.min(width - 1, Math.floor(((minute - first) / (last - first + 1)) * width));
      parts[place] = (parts[place] as number) + count;
    }
    const most = Math.max(...parts);
    const bars = parts.map((count) =>
      count === 0
        ? ' '
        : (BARS[Math.min(BARS.length - 1, Math.floor((count / most) * BARS.length))] as string),
    );
    yield `${padded(fitted(neutral(namespace), NAME), NAME)}  ${paint.quiet(bars.join(''))}`;
  }
  yield `${' '.repeat(NAME + 2)}${paint.quiet(`${iso(first * 60_000).slice(0, 16)}Z to ${iso(last * 60_000).slice(0, 16)}Z`)}`;
  yield '';
}

function* runLines(run: HistoryRun, users: ReadonlyMap<string, string>, style: PageStyle): Generator<string> {
  const { paint, columns } = style;
  const { namespace, kind, origin, how, first, last, count, fields, ids, cameBack, user, detail, isLoss } =
    run;
  const time = first === last ? iso(first) : `${iso(first)} to ${iso(last)}`;
  const what =
    detail === undefined
      ? `${showCounted(count ?? 0, 'document')}: ${kind}${HOW[how]}`
      : `${detail}${count === undefined ? '' : ` with ${showCounted(count, 'document')}`}`;
  const isBad = origin === 'user' && (isLoss || detail !== undefined);
  const head = `${time}  ${namespace}  ${what}`;
  yield* wrapped(neutral(head), { columns, hanging: 4 }).map(
    isBad ? paint.bad : origin === 'user' ? (line) => line : paint.quiet,
  );
  const facts = [
    ...(ORIGINS[origin] === '' ? [] : [ORIGINS[origin]]),
    ...(fields.size === 0
      ? []
      : [`fields: ${[...fields.keys()].slice(0, 10).join(', ')}${fields.size > 10 ? ' …' : ''}`]),
    ...(ids.length === 0 ? [] : [`_id ${ids.join(', ')}${(count ?? 0) > ids.length ? ' …' : ''}`]),
    ...(user === undefined ? [] : [`by ${users.get(user) ?? `a user with the hash ${user.slice(0, 12)}`}`]),
    ...(origin === 'user' && kind !== 'inserts' && (kind !== 'rename' || isLoss)
      ? [`before it: source.at: ${iso(first)}`]
      : []),
    ...(cameBack === 0
      ? []
      : [`${showCount(cameBack)} of them ${cameBack === 1 ? 'is' : 'are'} there again`]),
  ];
  for (const fact of facts) yield* wrapped(neutral(fact), { columns, indent: 4 }).map(paint.quiet);
  const entry = entryOf(run);
  // Not wrapped: it is to be copied.
  if (entry !== undefined) yield* entryLines(entry).map((line) => neutral(line));
}
