/**
 * Finds what a location template matches, folder by folder: a part without `{time}` or `*` is never listed, and a
 * folder is listed only one level deep. Nothing is kept; 100,000 matches pass by in pages.
 */
import type { LocationTemplate, TemplatePart, TimeField } from '../../plan/location-template.ts';
import type { Store } from '../storage/store.ts';
import type { LocalFields } from './backup-time.ts';

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
