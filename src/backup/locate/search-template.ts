/**
 * Finds what a location template matches, folder by folder: a part without `{time}` or `*` is never listed, and a
 * folder is listed only one level deep. Nothing is kept; 100,000 matches pass by in pages.
 */

import { Temporal } from 'temporal-polyfill';
import { RestorePlanError } from '../../errors.ts';
import type { LocationTemplate, TemplatePart, TimeField } from '../../plan/location-template.ts';
import { JoinedSource } from '../storage/derived-sources.ts';
import { newestOf, type Store, type StoredFile, type StoredFolder } from '../storage/store.ts';

interface TemplateMatch {
  /** Full path or key; ends in `/` where the template does. It may not exist: only patterns are looked up. */
  readonly path: string;
  readonly fields: LocalFields;
}

/** Whether the template has anything to search for. */
export function isPattern({ parts }: LocationTemplate): boolean {
  return parts.some(({ kind }) => kind !== 'literal');
}

export async function* searchTemplate(
  store: Store,
  template: LocationTemplate,
): AsyncGenerator<TemplateMatch> {
  yield* searchFrom({ store, segments: segmentsOf(template) }, 0, { path: '', fields: {} });
}

/** The same template, for the file of one collection. */
export function withCollection({ parts, fields }: LocationTemplate, collection: string): LocationTemplate {
  const literal = { kind: 'literal', text: collection } as const;
  return { parts: parts.map((part) => (part.kind === 'collection' ? literal : part)), fields };
}

/** The path that the template gives for a moment and a collection; what is not given stays as it is written. */
export function fillTemplate({ parts }: LocationTemplate, fields: LocalFields, collection?: string): string {
  return parts
    .map((part) => {
      if (part.kind === 'literal') return part.text;
      if (part.kind === 'collection') return collection ?? '{collection}';
      return part.kind === 'any' ? '*' : String(fields[part.field] ?? '').padStart(part.digits, '0');
    })
    .join('');
}

/** The folder above the first part that is a pattern. */
export function fixedFolder(template: LocationTemplate): string {
  const segments = segmentsOf(template);
  const fixed = segments.slice(
    0,
    segments.findIndex((segment) => !isLiteral(segment)),
  );
  return fixed.map((segment) => `${literalOf(segment)}/`).join('');
}

interface Search {
  readonly store: Store;
  readonly segments: readonly (readonly TemplatePart[])[];
}

async function* searchFrom(
  search: Search,
  depth: number,
  above: TemplateMatch,
): AsyncGenerator<TemplateMatch> {
  const { store, segments } = search;
  const segment = segments[depth] as readonly TemplatePart[];
  const isLast = depth === segments.length - 1;
  if (isLiteral(segment)) {
    const match = { path: above.path + literalOf(segment), fields: above.fields };
    if (isLast) yield match;
    else yield* searchFrom(search, depth + 1, { ...match, path: `${match.path}/` });
    return;
  }
  const pattern = patternOf(segment, isLast);
  const start = segment[0]?.kind === 'literal' ? segment[0].text : '';
  for await (const item of store.list(above.path, start)) {
    const groups = pattern.exec(nameOf(item.path))?.groups;
    if (groups === undefined || (!isLast && item.kind === 'file')) continue;
    const fields = { ...above.fields, ...fieldsOf(groups) };
    if (!isLast) yield* searchFrom(search, depth + 1, { path: item.path, fields });
    else yield { path: item.path.slice(0, item.path.length - (groups['chunk']?.length ?? 0)), fields };
  }
}

/** Parts between slashes. */
function segmentsOf({ parts }: LocationTemplate): TemplatePart[][] {
  const segments: TemplatePart[][] = [[]];
  for (const part of parts) {
    if (part.kind !== 'literal') {
      segments.at(-1)?.push(part);
      continue;
    }
    part.text.split('/').forEach((text, i) => {
      if (i > 0) segments.push([]);
      if (text !== '') segments.at(-1)?.push({ kind: 'literal', text });
    });
  }
  return segments;
}

function isLiteral(segment: readonly TemplatePart[]): boolean {
  return segment.every(({ kind }) => kind === 'literal');
}

function literalOf(segment: readonly TemplatePart[]): string {
  return segment.map((part) => (part.kind === 'literal' ? part.text : '')).join('');
}

/** A file that was split into chunks (`db.tar-aa`, `db.tar-ab`) stands for the whole. */
function patternOf(segment: readonly TemplatePart[], isLast: boolean): RegExp {
  const body = segment.map((part) => {
    if (part.kind === 'literal') return part.text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    if (part.kind === 'time') return `(?<${part.field}>\\d{${part.digits}})`;
    return '[^/]*';
  });
  const mayBeSplit = isLast && segment.at(-1)?.kind === 'literal';
  return new RegExp(`^${body.join('')}${mayBeSplit ? '(?<chunk>-[a-z]{2,5})?' : '(?<chunk>)'}$`, 's');
}

function fieldsOf(groups: Readonly<Record<string, string | undefined>>): LocalFields {
  const fields: Partial<Record<TimeField, number>> = {};
  for (const field of ['year', 'month', 'day', 'hour', 'minute', 'second'] as const) {
    const digits = groups[field];
    if (digits !== undefined) fields[field] = Number(digits);
  }
  return fields;
}

function nameOf(path: string): string {
  const end = path.endsWith('/') ? path.length - 1 : path.length;
  return path.slice(path.lastIndexOf('/', end - 1) + 1, end);
}

// The time in a backup's name: a wall clock's reading in a zone, which can mean two instants (clocks go back) or none
// (clocks go forward). The reading is never guessed.

/** As found in a name; a field the template does not have is absent. */
export type LocalFields = Readonly<Partial<Record<TimeField, number>>>;

export type BackupTime =
  | { readonly kind: 'once'; readonly epochMs: number }
  /** twice: both readings happened. never: the clocks skipped it; the readings are as if they had not yet, or already. */
  | { readonly kind: 'twice' | 'never'; readonly readings: readonly [earlier: number, later: number] };

/** What a name does not say is the first of its kind. */
function completed(fields: LocalFields): Readonly<Record<TimeField, number>> {
  return { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0, ...fields };
}

/** The fields as if the zone were UTC, UTC milliseconds: cheap, and in the order of the clock on the wall. */
export function wallClock(fields: LocalFields): number {
  const { year, month, day, hour, minute, second } = completed(fields);
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

/** What an instant's wall clock in `zone` shows, in the terms of `wallClock`. */
export function wallClockAt(epochMs: number, zone: string): number {
  const local = Temporal.Instant.fromEpochMilliseconds(epochMs).toZonedDateTimeISO(zone);
  return epochMs + local.offsetNanoseconds / 1e6;
}

/** Whether there is such a day and time in any zone: no month 13, no hour 24. Cheap, as every match is asked about. */
export function isPossible(fields: LocalFields): boolean {
  const { year, month, day, hour, minute, second } = completed(fields);
  // Days repeat every 400 years; Date takes years below 100 for others.
  const days = new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate();
  return month >= 1 && month <= 12 && day >= 1 && day <= days && hour < 24 && minute < 60 && second < 60;
}

/** `2016-02-30 24:00:00`, as far as a name goes, whether there is such a time or not. */
export function showFields(fields: LocalFields): string {
  const part = (separator: string, ...names: readonly TimeField[]): string =>
    names
      .flatMap((name) => fields[name] ?? [])
      .map((value) => String(value).padStart(2, '0'))
      .join(separator);
  const parts = [part('-', 'year', 'month', 'day'), part(':', 'hour', 'minute', 'second')];
  return parts.filter((each) => each !== '').join(' ');
}

/** Of a time that `isPossible`. `zone` is an IANA name. */
export function readBackupTime(fields: LocalFields, zone: string): BackupTime {
  const local = Temporal.PlainDateTime.from(completed(fields), { overflow: 'reject' });
  // A name with no hour means the day: it begins when the zone's day begins, be that at 01:00.
  if (fields.hour === undefined) {
    return { kind: 'once', epochMs: local.toPlainDate().toZonedDateTime(zone).epochMilliseconds };
  }
  const earlier = local.toZonedDateTime(zone, { disambiguation: 'earlier' });
  const later = local.toZonedDateTime(zone, { disambiguation: 'later' });
  if (earlier.epochMilliseconds === later.epochMilliseconds) {
    return { kind: 'once', epochMs: earlier.epochMilliseconds };
  }
  const happened = earlier.toPlainDateTime().equals(local);
  const readings = [earlier.epochMilliseconds, later.epochMilliseconds] as const;
  return { kind: happened ? 'twice' : 'never', readings };
}

/** `2016-09-13 08:00:00 America/New_York` */
export function showLocal(epochMs: number, zone: string): string {
  return `${wallText(wallClockAt(epochMs, zone))} ${zone}`;
}

/** `2016-09-13 08:00:00 America/New_York (12:00:00 UTC)`, with the day again where it differs. */
export function showInstant(epochMs: number, zone: string | undefined): string {
  const utc = wallText(epochMs);
  if (zone === undefined || zone === 'UTC') return `${utc} UTC`;
  const local = wallText(wallClockAt(epochMs, zone));
  return `${local} ${zone} (${local.slice(0, 10) === utc.slice(0, 10) ? utc.slice(11) : utc} UTC)`;
}

/** `2016-09-13 08:00:00` */
function wallText(wallMs: number): string {
  return new Date(wallMs).toISOString().slice(0, 19).replace('T', ' ');
}

// What lies at one path: a file, a folder, or a file that was split into chunks beside each other.

/** Undefined when nothing is there. */
export async function findStored(store: Store, path: string): Promise<StoredFile | StoredFolder | undefined> {
  const found = await store.find(path);
  if (found !== undefined || path.endsWith('/')) return found;
  return joinChunks(store, path, await chunksOf(store, path));
}

/** `db.tar-aa`, `db.tar-ab` … as `split` and the Ruby `backup` gem name them, sorted. */
async function chunksOf(store: Store, path: string): Promise<StoredFile[]> {
  const cut = path.lastIndexOf('/') + 1;
  const chunks: StoredFile[] = [];
  for await (const item of store.list(path.slice(0, cut), `${path.slice(cut)}-`)) {
    if (item.kind === 'file' && /^-[a-z]{2,5}$/.test(item.path.slice(path.length))) chunks.push(item);
  }
  return chunks.sort((a, b) => (a.path < b.path ? -1 : 1));
}

function joinChunks(store: Store, path: string, chunks: readonly StoredFile[]): StoredFile | undefined {
  const first = chunks[0];
  if (first === undefined) return undefined;
  const width = first.path.length - path.length - 1;
  chunks.forEach((chunk, i) => {
    const expected = `${path}-${suffix(i, width)}`;
    if (chunk.path === expected) return;
    throw new RestorePlanError('BACKUP', `${store.describe(expected)} is missing.`, {
      hint: `The backup was split into chunks; there are ${chunks.length}, but not this one. Take another backup.`,
    });
  });
  refuseCutChunk(chunks, store);
  return {
    kind: 'file',
    path,
    size: chunks.reduce((sum, { size }) => sum + size, 0),
    modified: newestOf(chunks),
    fingerprint: chunks.map(({ fingerprint }) => fingerprint).join('+'),
    open: () =>
      new JoinedSource(
        store.describe(path),
        chunks.map((chunk) => chunk.open()),
      ),
  };
}

/**
 * `split` makes chunks of one size; only the last may be smaller, or (of as many chunks as were asked for) larger by fewer
 * bytes than there are chunks. A chunk that was cut off would move all that follows it.
 */
function refuseCutChunk(chunks: readonly StoredFile[], store: Store): void {
  const size = Math.max(...chunks.slice(0, -1).map((chunk) => chunk.size), 0);
  const last = chunks.at(-1) as StoredFile;
  const cut =
    chunks.slice(0, -1).find((chunk) => chunk.size < size) ??
    (chunks.length > 1 && last.size >= size + chunks.length ? chunks[0] : undefined);
  if (cut === undefined) return;
  throw new RestorePlanError(
    'BACKUP',
    `${store.describe(cut.path)} is cut off: it is smaller than other chunks.`,
    {
      hint: 'Its upload or copy did not finish. Nothing of it was used; take another backup.',
    },
  );
}

/** The letters of chunk `index`: aa, ab … az, ba … */
function suffix(index: number, width: number): string {
  let letters = '';
  for (let rest = index, i = 0; i < width; i++, rest = Math.floor(rest / 26)) {
    letters = String.fromCharCode(97 + (rest % 26)) + letters;
  }
  return letters;
}
