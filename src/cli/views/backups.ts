/** `plan backups` as a page: the candidates around the wanted moment, newest first, the chosen one marked. */

import type { BackupListing, ListedBackup } from '../../backup/list-backups.ts';
import { showBytes, showCounted, showDuration } from '../../text/quantities.ts';
import type { PageStyle } from '../../text/terminal.ts';
import { columnsOf, padded, wrapped } from '../../text/terminal.ts';
import type { View } from '../view.ts';

const INDENT = '  ';
const NONE = '-';

/** Lines without newlines. */
export function* backupsPage(listing: BackupListing, style: PageStyle): Generator<string> {
  const { backups, unplaced, total, timezone } = listing;
  const rest = total - backups.length - unplaced.length;
  yield `${showCounted(total, 'backup')} found${rest > 0 ? nearestShown(backups.length) : ''}`;
  yield '';
  if (backups.length > 0) yield* table(backups, timezone, style);
  for (const { location, reason } of unplaced)
    for (const paragraph of [location, reason])
      yield* wrapped(paragraph, { columns: style.columns, indent: 2 * INDENT.length });
}

function nearestShown(count: number): string {
  if (count === 0) return '';
  return count === 1 ? ', the nearest is shown' : `, the ${count} nearest are shown`;
}

function* table(backups: readonly ListedBackup[], timezone: string, style: PageStyle): Generator<string> {
  const isLocal = timezone !== 'UTC';
  const head = [...(isLocal ? [`time in ${timezone}`] : []), 'time in UTC', 'from at', 'size', 'kind'];
  const rows = backups.map((backup) => cells(backup, isLocal));
  const widths = head.map((title, i) =>
    Math.max(...[head, ...rows].map((row) => columnsOf(row[i] ?? title))),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => padded(cell, widths[i] as number))
      .join(INDENT)
      .trimEnd();
  yield style.paint.quiet(INDENT + line(head));
  for (const [i, backup] of backups.entries()) {
    const shown = line(rows[i] as string[]);
    yield backup.chosen ? style.paint.good(`> ${shown}`) : INDENT + shown;
    yield* details(backup, style);
  }
}

function cells({ time, localTime, beforeAtMs, size, kind }: ListedBackup, isLocal: boolean): string[] {
  return [
    ...(isLocal ? [localTime?.slice(0, 19) ?? NONE] : []),
    time === undefined ? NONE : new Date(time).toISOString().slice(0, 19).replace('T', ' '),
    distance(beforeAtMs),
    size === undefined ? NONE : showBytes(size),
    kind ?? NONE,
  ];
}

function distance(beforeAtMs: number | undefined): string {
  if (beforeAtMs === undefined) return NONE;
  if (beforeAtMs === 0) return 'exactly';
  return `${showDuration(Math.abs(beforeAtMs))} ${beforeAtMs > 0 ? 'before' : 'after'}`;
}

function* details(backup: ListedBackup, { paint, columns }: PageStyle): Generator<string> {
  const paragraphs = [backup.location, ...holdings(backup), backup.reason];
  for (const paragraph of paragraphs) {
    const lines = wrapped(paragraph, { columns, indent: 2 * INDENT.length });
    yield* backup.chosen ? lines : lines.map(paint.quiet);
  }
}

function holdings({ holds }: ListedBackup): string[] {
  const those = (held: boolean | undefined): string =>
    holds
      .filter((one) => one.held === held)
      .map(({ collection }) => collection)
      .join(', ');
  const facts = [
    ['holds', those(true)],
    ['lacks', those(false)],
    ['may hold', those(undefined)],
  ].filter(([, names]) => names !== '');
  return facts.length === 0 ? [] : [facts.map((fact) => fact.join(' ')).join('; ')];
}

export function backupsView(listing: BackupListing): View {
  const { refusal: _, ...shown } = listing;
  return { page: (style) => backupsPage(listing, style), objects: () => [{ type: 'backups', ...shown }] };
}
