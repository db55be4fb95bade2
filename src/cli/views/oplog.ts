/** `plan oplog` as pages and objects. */
import { relative } from 'node:path';
import type { OplogCheck, RollsOver } from '../../oplog/check-oplog.ts';
import { type Moment, showMoment, showTimestamp, type Timestamp, timeOf } from '../../oplog/entry.ts';
import type { SavedScope } from '../../oplog/saved-scope.ts';
import type { SavedOplog } from '../../oplog/saving/save-oplog.ts';
import type { Instant } from '../../plan/instant.ts';
import type { StoreLocation } from '../../plan/sources/stores.ts';
import { showBytes, showCount, showCounted, showDuration } from '../../text/quantities.ts';
import { type PageStyle, wrapped } from '../../text/terminal.ts';
import type { View } from '../view.ts';

const LABEL = 12;

function* row(label: string, text: string, { paint, columns }: PageStyle): Generator<string> {
  let shown = label;
  for (const line of wrapped(text, { columns: columns - LABEL })) {
    yield `${paint.strong(shown)}${' '.repeat(LABEL - shown.length)}${line}`;
    shown = '';
  }
}

const SAID = {
  dump: 'as the dump says',
  plan: 'as source.oplog.begins says',
  moment: 'the first moment that the plan asks about',
} satisfies Record<NonNullable<OplogCheck['needed']>['said'], string>;

/** As programs are told it. */
function momentObject(moment: Timestamp & Partial<Moment>) {
  const time = timeOf({ wall: Number.NaN, ...moment });
  return { ts: showTimestamp(moment), time: new Date(time).toISOString() };
}

export interface ShardCheck extends OplogCheck {
  /** The folder of the shard; undefined: it is of no cluster. */
  readonly shard: string | undefined;
}

export function checkView(checks: readonly ShardCheck[], at: Instant | undefined): View {
  return {
    page: function* (style) {
      for (const [i, check] of checks.entries()) {
        if (i > 0) yield '';
        yield* checkPage(check, at, style);
      }
    },
    objects: () =>
      checks.map(({ shard, origin, first, last, needed, rollsOver, problems, unknown }) => ({
        type: 'oplog-check',
        ...(shard !== undefined && { shard }),
        source: origin,
        first: momentObject(first),
        last: momentObject(last),
        windowMs: (last.seconds - first.seconds) * 1000,
        ...(needed && { needed: { ...momentObject(needed.from), said: needed.said } }),
        ...(at && { at: at.text }),
        ...(rollsOver && { rollsOver }),
        serves: problems.length === 0,
        problems,
        unknown,
      })),
  };
}

function* checkPage(
  { shard, origin, first, last, needed, rollsOver, problems, unknown }: ShardCheck,
  at: Instant | undefined,
  style: PageStyle,
): Generator<string> {
  if (shard !== undefined) yield* row('shard', shard, style);
  yield* row('oplog', origin, style);
  const length = showDuration((last.seconds - first.seconds) * 1000);
  yield* row('reaches', `from ${showMoment(first)} to ${showMoment(last)}: ${length}`, style);
  if (needed !== undefined) {
    yield* row(
      'needed',
      `from ${momentObject(needed.from).time} on, ${SAID[needed.said]}${at === undefined ? '' : `, up to ${at.text}`}`,
      style,
    );
  } else if (at !== undefined) yield* row('needed', `up to ${at.text}`, style);
  if (rollsOver !== undefined)
    yield* row('overwritten', overwrittenText(rollsOver, needed !== undefined), style);
  for (const each of unknown) yield* row('unknown', each, style);
  yield '';
  if (problems.length === 0)
    yield style.paint.good('It has what is needed, as far as can be told without reading it.');
  for (const problem of problems)
    yield* wrapped(`It does not serve: ${problem}.`, { columns: style.columns, hanging: 2 }).map(
      style.paint.bad,
    );
}

function overwrittenText({ inMs, isFull }: RollsOver, isNeeded: boolean): string {
  const what = isNeeded ? 'what is needed' : 'its oldest entry';
  if (inMs < 60_000 && isFull)
    return `${what} may be overwritten at any moment: \`plan oplog save\` keeps it`;
  return `${what} goes in about ${showDuration(inMs)} at the pace so far${isFull ? '' : ' (it is not full yet)'}: \`plan oplog save\` keeps it`;
}

export interface ShardSave extends SavedOplog {
  /** The folder of the shard; undefined: it is of no cluster. */
  readonly shard: string | undefined;
  readonly origin: string;
}

interface SavedFor {
  readonly scope: SavedScope;
  readonly at: Instant | undefined;
  readonly cwd: string;
}

export function saveView(saves: readonly ShardSave[], saved: SavedFor): View {
  const { scope } = saved;
  return {
    page: (style) => savePage(saves, saved, style),
    objects: () =>
      saves.map(({ shard, origin, place, from, till, entries, resumedFrom, bytes }) => ({
        type: 'oplog-save',
        ...(shard !== undefined && { shard }),
        source: origin,
        file: place.name,
        database: scope.database,
        ...(scope.collections && { collections: scope.collections }),
        from: momentObject(from),
        till: momentObject(till),
        entries,
        resumedFrom,
        bytes,
      })),
  };
}

function* savePage(saves: readonly ShardSave[], saved: SavedFor, style: PageStyle): Generator<string> {
  for (const each of saves) {
    yield* saveLines(each, saved, style);
    yield '';
  }
  yield 'To restore by it, in the plan:';
  yield '  oplog:';
  const source = ({ place: { location } }: ShardSave): string => sourceText(location, saved.cwd);
  if (saves.some(({ shard }) => shard !== undefined)) yield '    shards:';
  for (const each of saves)
    yield each.shard === undefined
      ? `    ${source(each)}`
      : `      ${JSON.stringify(each.shard)}: { ${source(each)} }`;
}

/** What a plan says of a place. */
function sourceText(location: StoreLocation, cwd: string): string {
  if (location.kind === 'path')
    return `path: ${JSON.stringify(relative(cwd, location.path) || location.path)}`;
  const { bucket, key, region, profile, endpoint, forcePathStyle, requestPayer } = location;
  const said = Object.entries({ bucket, key, region, profile, endpoint, forcePathStyle, requestPayer });
  const keys = said.flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${JSON.stringify(value)}`],
  );
  return `s3: { ${keys.join(', ')} }`;
}

function* saveLines(save: ShardSave, { scope, at }: SavedFor, style: PageStyle): Generator<string> {
  const { shard, origin, place, from, till, entries, resumedFrom, bytes } = save;
  const what =
    scope.collections === undefined
      ? `all of ${scope.database}`
      : `${scope.collections.join(', ')} of ${scope.database}`;
  if (shard !== undefined) yield* row('shard', shard, style);
  yield* row('oplog', origin, style);
  yield* row(
    'saved',
    `${showCounted(entries, 'entry', 'entries')}, ${showBytes(bytes)}, for ${what}${resumedFrom > 0 ? ` (${showCount(resumedFrom)} were there already)` : ''}`,
    style,
  );
  yield* row('covers', `from ${momentObject(from).time} to ${showMoment(till)}`, style);
  yield* row(place.location.kind === 's3' ? 'objects' : 'file', place.name, style);
  if (at !== undefined && till.wall < at.epochMs) {
    yield '';
    yield* wrapped(`It does not reach ${at.text} yet, as the plan needs it: save again later.`, {
      columns: style.columns,
    }).map(style.paint.odd);
  }
}
