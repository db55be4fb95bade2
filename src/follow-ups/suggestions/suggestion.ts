/** Loose ends that nobody wrote into the plan, as far as backup and selection show them. */
import { showIsoDate } from '../../bson/extended-json-types.ts';

export type Suggestion =
  | {
      readonly kind: 'forgottenDependent';
      /** Collection of the backup that the plan does not name. */
      readonly collection: string;
      /** Dotted path of the field that refers. */
      readonly field: string;
      /** Collection of the plan that it refers to. */
      readonly parent: string;
      /** Documents that refer to selected ones. */
      readonly documents: number;
      /** False when reading was stopped for its size: there may be more. */
      readonly complete: boolean;
    }
  | {
      readonly kind: 'notLookedAt';
      /** Collections of the backup that were not searched for references; empty = those that are not known. */
      readonly collections: readonly string[];
      /** A clause that says why. */
      readonly reason: string;
    }
  | {
      readonly kind: 'oldDocuments';
      readonly collection: string;
      /** The plan's `updatedAt`. */
      readonly field: string;
      readonly documents: number;
      readonly selected: number;
      /** UTC milliseconds. */
      readonly oldest: number;
      /** How long before `at` counts as old, days. */
      readonly days: number;
    }
  | {
      readonly kind: 'noUpdateTimes';
      readonly collection: string;
      /** The plan's `updatedAt`. */
      readonly field: string;
      readonly selected: number;
    };

/** What the fields of each kind are, as JSON has them. */
const SHAPES: { readonly [K in Suggestion['kind']]: Shape<Extract<Suggestion, { kind: K }>> } = {
  forgottenDependent: {
    collection: 'string',
    field: 'string',
    parent: 'string',
    documents: 'number',
    complete: 'boolean',
  },
  notLookedAt: { collections: 'names', reason: 'string' },
  oldDocuments: {
    collection: 'string',
    field: 'string',
    documents: 'number',
    selected: 'number',
    oldest: 'number',
    days: 'number',
  },
  noUpdateTimes: { collection: 'string', field: 'string', selected: 'number' },
};
type Shape<S> = Readonly<Record<Exclude<keyof S, 'kind'>, 'string' | 'number' | 'boolean' | 'names'>>;

/** Whether a file's JSON is what was written into it. */
export function areSuggestions(value: unknown): value is readonly Suggestion[] {
  return Array.isArray(value) && value.every(isSuggestion);
}

function isSuggestion(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const given = value as Readonly<Record<string, unknown>>;
  const kind = String(given['kind']);
  if (!Object.hasOwn(SHAPES, kind)) return false;
  return Object.entries(SHAPES[kind as Suggestion['kind']]).every(([key, type]) => {
    const field = given[key];
    if (type !== 'names') return typeof field === type;
    return Array.isArray(field) && field.every((name) => typeof name === 'string');
  });
}

/** One sentence, without collection or field names neutralised. */
export function suggestionText(suggestion: Suggestion): string {
  if (suggestion.kind === 'forgottenDependent') {
    const { collection, field, parent, documents, complete } = suggestion;
    const many = `${complete ? '' : 'at least '}${documents}`;
    const verb = documents === 1 ? 'document refers' : 'documents refer';
    return `${collection}.${field}: ${many} ${verb} to the selection (${parent}); not in this plan`;
  }
  if (suggestion.kind === 'notLookedAt') {
    const { collections, reason } = suggestion;
    const which = collections.length === 0 ? 'other collections' : listed(collections);
    return `not looked for references to the selection in ${which}: ${reason}`;
  }
  if (suggestion.kind === 'noUpdateTimes') {
    const { collection, field, selected } = suggestion;
    return `${collection}: no date in ${field} (updatedAt) in any of ${selected} selected documents; none can be called stale`;
  }
  const { collection, field, documents, selected, oldest, days } = suggestion;
  return (
    `${collection}: ${documents} of ${selected} selected documents were last updated more than ${days} days before \`at\` ` +
    `(${field}, oldest ${showIsoDate(oldest)?.slice(0, 10) ?? 'before the year 0'}); see whether they are still current`
  );
}

/** A database may hold thousands. */
const MOST_NAMES = 12;

function listed(names: readonly string[]): string {
  const more = names.length - MOST_NAMES;
  return names.slice(0, MOST_NAMES).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

export type Forgotten = Extract<Suggestion, { kind: 'forgottenDependent' | 'notLookedAt' }>;

/** Order of reports: what refers most to the chosen documents comes first. */
export function mostFirst(a: Forgotten, b: Forgotten): number {
  const documents = (each: Forgotten): number => (each.kind === 'forgottenDependent' ? each.documents : 0);
  return documents(b) - documents(a) || (nameIn(a) < nameIn(b) ? -1 : 1);
}

function nameIn(each: Forgotten): string {
  return each.kind === 'forgottenDependent' ? each.collection : (each.collections[0] ?? '');
}
