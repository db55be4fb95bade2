/** Loose ends as a page for the terminal, as JSON, and as an exit code. */

import type { CommandCall } from '../../advice.ts';
import type { EXIT_CODES } from '../../errors.ts';
import type { FollowUpState, FollowUpStatus } from '../../follow-ups/follow-up-status.ts';
import { kindOf } from '../../plan/follow-ups/kinds.ts';
import { neutral } from '../../text/escape.ts';
import type { PageStyle } from '../../text/terminal.ts';
import { type Paint, wrapped } from '../../text/terminal.ts';
import type { GivenWords } from '../given-words.ts';
import { lineOf, type View } from '../view.ts';

const INDENT = 4;

/** Lines of a failed command's output that are shown; `--json` has all that was kept. */
const OUTPUT_LINES = 8;

/** Every state in the words of the page. */
const WORDS: Readonly<Record<FollowUpState, string>> = {
  'not due': 'not due before the documents are verified',
  'not needed': 'not needed, nothing was written',
  waiting: 'waits',
  open: 'open',
  unknown: 'begun, end not known',
  failed: 'failed',
  done: 'done',
};

/** Lines without newlines. */
export function* followUpLines(
  statuses: readonly FollowUpStatus[],
  style: PageStyle,
  given: GivenWords,
): Generator<string> {
  for (const status of statuses) {
    const { followUp, target, state } = status;
    const paint = colorOf(state, style.paint);
    yield paint(
      neutral(`${state === 'done' ? '[x]' : '[ ]'} ${followUp.name} (${target}): ${wordsOf(status)}`),
    );
    for (const text of details(status)) yield* wrapped(text, { ...style, indent: INDENT });
    for (const { when, command } of nextSteps(status, given)) {
      yield* wrapped(when, { ...style, indent: INDENT });
      // Not wrapped: to be copied.
      yield `${' '.repeat(INDENT + 2)}${command}`;
    }
  }
}

function wordsOf(status: FollowUpStatus): string {
  const { state, waitsFor, record } = status;
  if (state === 'waiting') return `waits for ${waitsFor.map((name) => `"${name}"`).join(', ')}`;
  const detail = record?.detail === undefined || state === 'done' ? '' : `: ${record.detail}`;
  return WORDS[state] + ofRuns(status) + detail + (record === undefined ? '' : by(record));
}

/** Of which run, where that is not plain: ` for 98ae5f75`. */
function ofRuns({ state, run, due, isOfEarlierRun }: FollowUpStatus): string {
  const isToDo = state === 'open' || state === 'failed';
  if (isToDo && due.length > 1) return ` for ${due.map(shortSelection).join(', ')}`;
  const says = isToDo || state === 'done' || state === 'unknown';
  return says && isOfEarlierRun && run !== undefined ? ` for ${shortSelection(run)}` : '';
}

function shortSelection({ key }: { readonly key: { readonly selection: string } }): string {
  return key.selection.slice(0, 8);
}

function by({ by: { user, host }, startedAt, endedAt }: NonNullable<FollowUpStatus['record']>): string {
  return `, ${user}@${host}, ${(endedAt ?? startedAt).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

function* details({ followUp, state, record }: FollowUpStatus): Generator<string> {
  if (record?.note !== undefined) yield `Note: ${record.note}`;
  if (state === 'failed' && record?.output !== undefined) {
    yield* record.output.trimEnd().split('\n').slice(-OUTPUT_LINES);
  }
  const kind = kindOf(followUp.action);
  if (kind.isForPeople && (state === 'open' || state === 'waiting'))
    yield* kind.inShort(followUp.action).trimEnd().split('\n');
}

interface CommandToType {
  readonly when: string;
  readonly command: string;
}

function nextSteps({ followUp, target, state }: FollowUpStatus, given: GivenWords): CommandToType[] {
  const line = (action: 'done' | 'run', options?: CommandCall['options']): string =>
    lineOf(
      { command: `follow-up ${action}`, name: followUp.name, target, ...(options && { options }) },
      given,
    );
  const isManual = kindOf(followUp.action).isForPeople;
  if (state === 'unknown') {
    const done = {
      when: 'It may still be going on, or was cut off. If it did its work:',
      command: line('done'),
    };
    const again = { when: 'If it may be done once more:', command: line('run', { again: true }) };
    return isManual ? [done] : [done, again];
  }
  if (state === 'open' && isManual) return [{ when: 'When it is done:', command: line('done') }];
  return state === 'open' || state === 'failed' ? [{ when: 'Next:', command: line('run') }] : [];
}

function colorOf(state: FollowUpState, paint: Paint): (text: string) => string {
  if (state === 'done') return paint.good;
  if (state === 'failed' || state === 'unknown') return paint.bad;
  return state === 'open' || state === 'waiting' ? paint.odd : paint.quiet;
}

/** What a person has to do is no failure of the run; what was to go by itself and did not is. */
export function followUpExit(statuses: readonly FollowUpStatus[]): keyof typeof EXIT_CODES {
  const stuck = statuses.some(
    ({ state, followUp }) =>
      !kindOf(followUp.action).isForPeople && (state === 'failed' || state === 'unknown'),
  );
  return stuck ? 'INCOMPLETE' : 'OK';
}

/** One `follow-up-status` object of `--json`. */
export function followUpObject(status: FollowUpStatus) {
  const { followUp, target, state, waitsFor, record, run, due } = status;
  return {
    type: 'follow-up-status',
    target,
    name: followUp.name,
    action: followUp.action.kind,
    state,
    waitsFor,
    selection: run?.key.selection ?? null,
    dueFor: due.map(({ key }) => key.selection),
    by: record?.by ?? null,
    startedAt: record?.startedAt.toISOString() ?? null,
    endedAt: record?.endedAt?.toISOString() ?? null,
    detail: record?.detail ?? null,
    output: record?.output ?? null,
    note: record?.note ?? null,
  } as const;
}

/** `none`: what is said where there are none. */
export function followUpView(statuses: readonly FollowUpStatus[], given: GivenWords, none: string): View {
  return {
    page: (style) => (statuses.length === 0 ? [none] : followUpLines(statuses, style, given)),
    objects: () => statuses.map(followUpObject),
  };
}
