/** Loose ends that nobody wrote into the plan, as far as backup and selection show them. */
import { showIsoDate } from '../../bson/extended-json-types.ts';
import { RestorePlanError } from '../../errors.ts';
import { yamlWord } from '../../text/escape.ts';
import { showCounted } from '../../text/quantities.ts';

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
    }
  | {
      readonly kind: 'lostTogether';
      /** Collection of the entry with `dependents: auto`, and the span of its `deleted`, UTC milliseconds. */
      readonly entry: string;
      readonly from: number;
      readonly until: number;
      /** It lost documents in the same run, and the plan does not name it. */
      readonly collection: string;
      /** How many; absent where that is not known. */
      readonly documents?: number;
      /** The first of them, where that was lost before `from`, UTC milliseconds. */
      readonly since?: number;
      /** Just behind the last of them, where that was lost at `until` or later. */
      readonly till?: number;
      /** Where it has one of these: how many documents the entry's own collection lost outside its span, in the same run. */
      readonly ownBeside?: number;
      /** The field by which most of them hang on others that were lost, those of `parent`, and how many do; absent where none surely does. */
      readonly field?: string;
      readonly parent?: string;
      readonly referring?: number;
      /** Further fields that hold `_id`s of lost documents, perhaps by chance. */
      readonly otherFields: readonly string[];
      /** Why its documents could not be looked at; absent where they were. */
      readonly unseen?: string;
    }
  | {
      readonly kind: 'notProposed';
      /** Collection of an entry with `dependents: auto`. */
      readonly entry: string;
      /** A clause that says why nobody knows what else was lost. */
      readonly reason: string;
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
  lostTogether: {
    ...({ entry: 'string', from: 'number', until: 'number', collection: 'string' } as const),
    ...({ documents: 'number?', field: 'string?', parent: 'string?', referring: 'number?' } as const),
    ...({ since: 'number?', till: 'number?', ownBeside: 'number?' } as const),
    ...({ otherFields: 'names', unseen: 'string?' } as const),
  },
  notProposed: { entry: 'string', reason: 'string' },
};
type FieldType = 'string' | 'number' | 'boolean' | 'names' | 'string?' | 'number?';
type Shape<S> = Readonly<Record<Exclude<keyof S, 'kind'>, FieldType>>;

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
    if (type.endsWith('?') && field === undefined) return true;
    if (type !== 'names') return typeof field === type.replace('?', '');
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
  if (suggestion.kind === 'lostTogether') return lostText(suggestion);
  if (suggestion.kind === 'notProposed')
    return `what else was lost in the same run as documents of ${suggestion.entry} is not known: ${suggestion.reason}`;
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

// What was lost together, for an entry with `dependents: auto`.

type LostTogether = Extract<Suggestion, { kind: 'lostTogether' }>;

function lostText(lost: LostTogether): string {
  const { collection, documents, entry, field, parent, referring, otherFields, unseen } = lost;
  const what = documents === 1 ? '1 document was' : `${documents ?? ''} documents were`.trim();
  const head = `${collection}: ${what} lost in the same run as those of ${entry}${besideText(lost)}`;
  if (unseen !== undefined) return `${head}; which field leads there is not known: ${unseen}`;
  if (field !== undefined) return `${head}; ${field} leads to ${parent} in ${referring} of them`;
  return otherFields.length === 0
    ? `${head}; no field of theirs leads there`
    : `${head}; perhaps by ${listed(otherFields)}, whose values may be equal by chance`;
}

/** Losses that the span of the entry leaves out: with it as it is, they would not come back. */
function besideText({ since, till }: LostTogether): string {
  const before = since === undefined ? '' : `, the first at ${iso(since)}, before its \`from\``;
  return till === undefined ? before : `${before}, the last at ${iso(till - 1)}, not before its \`until\``;
}

const iso = (ms: number): string => new Date(ms).toISOString();

interface Span {
  readonly from: number;
  readonly until: number;
}

/** As wide as the losses of all these need it. */
function widened(span: Span, lost: readonly LostTogether[]): Span {
  return {
    from: Math.min(span.from, ...lost.map(({ since = span.from }) => since)),
    until: Math.max(span.until, ...lost.map(({ till = span.until }) => till)),
  };
}

const deletedLine = ({ from, until }: Span): string =>
  `deleted: { from: ${iso(from)}, until: ${iso(until)} }`;

const isSame = (a: Span, b: Span): boolean => a.from === b.from && a.until === b.until;

/** Why a span is another one than that of the plan, and what comes along. */
function widerLines({ entry, from, until, ownBeside = 0 }: LostTogether, span: Span): string[] {
  if (isSame(span, { from, until })) return [];
  const sides = [
    ...(span.from < from ? [`before ${iso(from)}`] : []),
    ...(span.until > until ? [`after ${iso(until - 1)}`] : []),
  ];
  return [
    `    # Wider than it was: what hangs on it was lost ${sides.join(' and ')}, too.`,
    ...(ownBeside === 0
      ? []
      : [
          `    # With that, up to ${showCounted(ownBeside, 'more document')} of ${yamlWord(entry)} may be chosen.`,
        ]),
  ];
}

/** What was lost together comes first; what refers to the selection from the same collection is then nothing that was forgotten. */
export function withLosses(
  lost: readonly Suggestion[],
  forgotten: readonly Suggestion[],
): readonly Suggestion[] {
  const named = new Set(lost.flatMap((each) => (each.kind === 'lostTogether' ? [each.collection] : [])));
  return [
    ...lost,
    ...forgotten.filter((each) => each.kind !== 'forgottenDependent' || !named.has(each.collection)),
  ];
}

/** The entries of a plan that stand for one with `dependents: auto`. */
export interface ProposedEntry {
  /** Its collection. */
  readonly entry: string;
  /** Lines without newlines, as they are pasted below `collections:`. */
  readonly lines: readonly string[];
}

/** A block for each entry for which something is proposed. What does not surely hang on it stands in comments: whoever wants it takes them away. */
export function proposedEntries(suggestions: readonly Suggestion[]): ProposedEntry[] {
  const groups = new Map<string, LostTogether[]>();
  for (const each of suggestions) {
    if (each.kind !== 'lostTogether') continue;
    const key = JSON.stringify([each.entry, each.from, each.until]);
    groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  return [...groups.values()].map((lost) => {
    const [first] = lost as [LostTogether];
    const { entry } = first;
    const sure = lost.filter(({ field }) => field !== undefined);
    const span = widened(first, sure);
    const children = childLines(lost, [entry], '      ');
    const withOwn = sure.find(({ ownBeside }) => ownBeside !== undefined) ?? first;
    const unsure = lost.filter(({ field }) => field === undefined);
    const alone = unsure.filter(({ otherFields }) => otherFields.length === 0);
    return {
      entry,
      lines: [
        `  - collection: ${yamlWord(entry)}`,
        ...widerLines(withOwn, span),
        `    ${deletedLine(span)}`,
        `    dependents:${children.length > 0 ? '' : unsure.length > alone.length ? ' [] # or, in the place of []:' : ' []'}`,
        ...children,
        ...unsure.flatMap((each) => {
          const { collection, otherFields } = each;
          if (otherFields.length === 0) return [];
          const needed = widened(span, [each]);
          return [
            `      # - collection: ${yamlWord(collection)}`,
            `      #   foreignKey: ${otherFields.slice(0, MOST_NAMES).map(yamlWord).join(' or ')}`,
            ...(isSame(needed, span) ? [] : [`      #   # and above: ${deletedLine(needed)}`]),
          ];
        }),
        ...alone.flatMap((each) => [
          `  # - collection: ${yamlWord(each.collection)}`,
          `  #   ${deletedLine(widened(first, [each]))}`,
        ]),
      ],
    };
  });
}

/** `above`: the collection that they hang on, before it what that hangs on. What was kept on the disk may hang on itself. */
function childLines(lost: readonly LostTogether[], above: readonly string[], indent: string): string[] {
  return lost
    .filter(({ parent, collection }) => parent === above.at(-1) && !above.includes(collection))
    .flatMap(({ collection, field = '', documents, referring }) => {
      const below = childLines(lost, [...above, collection], `${indent}    `);
      return [
        `${indent}- collection: ${yamlWord(collection)}`,
        `${indent}  foreignKey: ${yamlWord(field)} # in ${referring} of ${documents}`,
        ...(below.length === 0 ? [] : [`${indent}  dependents:`, ...below]),
      ];
    });
}

/** Throws PLAN_INVALID, with the entries to paste, where anything is proposed, or nobody knows whether something is. */
export function refuseProposals(lost: readonly Suggestion[]): void {
  if (lost.length === 0) return;
  const entries = proposedEntries(lost);
  const remedy =
    entries.length === 0
      ? 'Write the dependents into the plan in the place of `auto`, or `dependents: []`.'
      : 'Say which of them come back. In the plan, in the place of `dependents: auto`, or `dependents: []` for none:';
  throw new RestorePlanError(
    'PLAN_INVALID',
    [
      '`dependents: auto` is a question, and it has an answer that nobody has accepted:',
      ...lost.map(suggestionText),
    ].join('\n  '),
    { hint: [remedy, ...entries.flatMap(({ lines }) => lines)].join('\n'), facts: { proposed: lost } },
  );
}
