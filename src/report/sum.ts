/**
 * The sum of a restore in one target, in one line: the same words before the question, at the end of a dry-run, of an apply and of a revert, and in reports.
 *
 *     production shop: +1,285 inserts, =3 there already, ≠4 kept, !1 conflict · backup of 28 Nov 02:15 New York · 1 warning
 */
import type { BackupIdentity } from '../backup/backup.ts';
import type { TargetName } from '../events.ts';
import {
  COMPARED,
  DANGLING,
  type DocumentClass,
  keysOf,
  OUTCOMES,
  type Outcome,
  type OutcomeWords,
  TROUBLES,
  UNWRITTEN,
} from '../outcomes.ts';
import { neutral } from '../text/escape.ts';
import { countedAs, showCounted } from '../text/quantities.ts';
import { type Paint, wrapped } from '../text/terminal.ts';
import type { ClassCounts, OutcomeCounts } from './document-classes.ts';

export interface Sum {
  readonly target: TargetName;
  readonly database: string;
  readonly outcomes: OutcomeCounts;
  /** Of restored documents. */
  readonly danglingReferences?: number;
  readonly backup: Pick<BackupIdentity, 'location' | 'time' | 'localTime'>;
  readonly warnings: number;
  /** UTC milliseconds: a backup of another year is shown with its year. */
  readonly now: number;
}

/** `+1,285 inserts`, `=3 there already`: what occurs, in the table's order. */
export function countedParts<Key extends string>(
  table: Readonly<Record<Key, OutcomeWords>>,
  counts: Readonly<Partial<Record<Key, number | undefined>>>,
): string[] {
  return keysOf<Key>(table)
    .filter((key) => (counts[key] ?? 0) > 0)
    .map((key) => `${table[key].symbol}${countedAs(table[key], counts[key] ?? 0)}`);
}

/** What goes as it should. It begins with what is written, also where that is nothing. */
export function calmParts(outcomes: OutcomeCounts): string[] {
  const { inserted = 0, replaced = 0 } = outcomes;
  const nothing =
    inserted + replaced > 0 ? [] : [`${OUTCOMES.inserted.symbol}${countedAs(OUTCOMES.inserted, 0)}`];
  const calm = Object.fromEntries(
    Object.entries(outcomes).filter(([key]) => !TROUBLES.includes(key as Outcome)),
  );
  return [...nothing, ...countedParts<Outcome>(OUTCOMES, calm)];
}

/** What needs a person. */
function troubleParts(outcomes: OutcomeCounts): string[] {
  const troubles = Object.fromEntries(TROUBLES.map((each) => [each, outcomes[each] ?? 0]));
  return countedParts<Outcome>(OUTCOMES, troubles);
}

/** What a reviewer has to think about. */
export function troublesOf({
  outcomes,
  counts,
  danglingReferences,
}: Pick<Sum, 'outcomes'> & { readonly counts: ClassCounts; readonly danglingReferences: number }): string[] {
  return [
    ...troubleParts(outcomes),
    ...countedParts<DocumentClass>(COMPARED, { stale: counts.stale }),
    ...danglingParts(danglingReferences),
  ];
}

function danglingParts(count: number): string[] {
  return countedParts({ dangling: DANGLING }, { dangling: count });
}

/** Documents that cannot be written. */
export function unwrittenOf(outcomes: OutcomeCounts): number {
  return UNWRITTEN.reduce((sum, outcome) => sum + (outcomes[outcome] ?? 0), 0);
}

/** Lines without newlines, broken between the parts where the terminal is narrow. */
export function sumLines(
  sum: Sum,
  { paint, columns }: { readonly paint: Paint; readonly columns: number },
): string[] {
  const { target, database, outcomes, danglingReferences = 0, backup, warnings, now } = sum;
  const counts = [...calmParts(outcomes), ...troubleParts(outcomes), ...danglingParts(danglingReferences)];
  const facts = [
    `${unbroken(`${target} ${neutral(database)}:`)} ${counts.map(unbroken).join(', ')}`,
    backupText(backup, now),
    ...(warnings > 0 ? [unbroken(showCounted(warnings, 'warning'))] : []),
  ];
  const isStuck = troubleParts(outcomes).length > 0;
  const color = isStuck ? paint.bad : warnings + danglingReferences > 0 ? paint.odd : paint.good;
  return wrapped(facts.join(`${NO_BREAK}· `), { columns, hanging: 2 }).map((line) =>
    color(line.replaceAll(NO_BREAK, ' ')),
  );
}

const NO_BREAK = '\u00a0';

function unbroken(text: string): string {
  return text.replaceAll(' ', NO_BREAK);
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `backup of 28 Nov 02:15 New York`, in the zone of the backup's name; without a time, where it lies. */
function backupText({ location, time, localTime }: Sum['backup'], now: number): string {
  if (time === undefined) return `from ${location}`;
  const local = localTime ?? `${new Date(time).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
  const [date = '', clock = '', zone = ''] = local.split(' ');
  const [year, month, day] = date.split('-');
  const years = year === new Date(now).toISOString().slice(0, 4) ? '' : ` ${year}`;
  const place = zone.replace(/^.*\//, '').replaceAll('_', ' ');
  return unbroken(
    `backup of ${Number(day)} ${MONTHS[Number(month) - 1]}${years} ${clock.slice(0, 5)} ${place}`,
  );
}
