/** The text of a new plan, commented, from what is known so far. What is not known stays empty, so that a check names it. */

import { type DraftLocation, storeOf } from './sources/stores.ts';

export interface PlanDraft {
  readonly name: string;
  readonly reason: string | undefined;
  readonly at: string | undefined;
  readonly database: string | undefined;
  readonly location: DraftLocation | undefined;
  readonly collections: readonly DraftCollection[];
  /** Collections that the backup is known to hold. */
  readonly known: readonly string[];
  readonly stagingDatabase: string | undefined;
  /** Undefined: a plan without production. */
  readonly production: { readonly database: string | undefined } | undefined;
}

export interface DraftCollection {
  readonly collection: string;
  /** As it was typed, in shell syntax or Extended JSON. */
  readonly query: string | undefined;
  readonly dependents?: readonly DraftDependent[];
}

export interface DraftDependent {
  readonly collection: string;
  readonly foreignKey: string;
  readonly dependents: readonly DraftDependent[];
}

/** `schema`: path of the schema file from the folder of the plan. */
export function draftText(draft: PlanDraft, schema: string): string {
  const { name, reason, collections, known, stagingDatabase, production } = draft;
  const entries = collections.length === 0 ? [{ collection: '', query: undefined }] : collections;
  return `# yaml-language-server: $schema=${schema}
# Check this file with \`plan validate\`; \`plan explain\` says in prose what it will do.
version: 1
name: ${scalar(name)}
# Why the restore is needed, for the people who review it.
reason:${value(reason)}

source:
${sourceLines(draft)}

collections:${knownLines(known)}
${entries.map(collectionLines).join('\n')}

targets:
  # Always the first. Addresses come from the environment; credentials do not belong in this file.
  staging:
    uri: \${STAGING_MONGODB_URI}
    database:${value(stagingDatabase)}
${production === undefined ? '' : productionLines(production.database)}
# What must not be forgotten afterwards; each is tracked until it is done.
# followUps:
#   - name: Clear the caches
#     on: staging
#     run: [./scripts/clear-cache.sh]
#   - name: Tell those who noticed
#     on: both
#     manual: Answer the ticket.
`;
}

function sourceLines({ at, database, location }: PlanDraft): string {
  const isTimed = at !== undefined || JSON.stringify(location ?? '').includes('{time:');
  const time = isTimed
    ? `  # Last moment at which the data was known to be good, with its offset. The newest backup at or before it is used.
  at:${value(at)}
  # Refuse a backup that was begun longer before that.
  # maxAge: 26h
`
    : '';
  return `${time}  # Name of the database inside the backup.
  database:${value(database)}
${locationLines(location)}`;
}

function locationLines(location: DraftLocation | undefined): string {
  if (location === undefined) {
    return `  # A dump directory or an archive, relative to this file; or s3: { bucket, key } instead.
  path:`;
  }
  return storeOf(location).draft(location, { scalar, zone });
}

function zone(timezone: string | undefined, indent: string): string {
  if (timezone === undefined) return '';
  return `\n${indent}# Time zone in which the times in the name were written.\n${indent}timezone: ${scalar(timezone)}`;
}

/** Wrapped, so that a long list stays readable; names with line ends or control characters are left out. */
function knownLines(known: readonly string[]): string {
  const lines: string[] = [];
  for (const name of known.filter((each) => /^[\x20-\x7e]+$/.test(each))) {
    const last = lines.at(-1);
    if (last === undefined || last.length + name.length > 90) lines.push(name);
    else lines[lines.length - 1] = `${last}, ${name}`;
  }
  return lines.length === 0
    ? ''
    : `\n  # The backup holds:\n${lines.map((line) => `  #   ${line}`).join('\n')}`;
}

function collectionLines({ collection, query, dependents = [] }: DraftCollection, index: number): string {
  const hints =
    index > 0
      ? ''
      : `
    # What to do with a document that a target holds with other content: keepExisting, replace or fail.
    # whenMatched: keepExisting${dependents.length > 0 ? '' : NO_DEPENDENTS}`;
  const hint = index > 0 ? '' : '\n    # Extended JSON, or a text in shell syntax. {} takes every document.';
  return `  - collection:${value(collection === '' ? undefined : collection)}${hint}
    query:${query === undefined ? '' : ` ${queryScalar(query)}`}${hints}${dependentLines(dependents, '    ')}`;
}

const NO_DEPENDENTS = `
    # What was removed together with these documents:
    # dependents:
    #   - collection: children
    #     foreignKey: parent_id`;

function dependentLines(dependents: readonly DraftDependent[], indent: string): string {
  if (dependents.length === 0) return '';
  const entries = dependents.map(
    ({ collection, foreignKey, dependents: below }) =>
      `\n${indent}  - collection: ${scalar(collection)}\n${indent}    foreignKey: ${scalar(foreignKey)}` +
      dependentLines(below, `${indent}    `),
  );
  return `\n${indent}dependents:${entries.join('')}`;
}

function productionLines(database: string | undefined): string {
  return `  production:
    uri: \${PRODUCTION_MONGODB_URI}
    database:${value(database)}
    # Conditions besides the one that cannot be switched off: that staging was applied and verified first.
    # gate: { soak: 15m, approvals: 1 }
`;
}

function value(text: string | undefined): string {
  return text === undefined ? '' : ` ${scalar(text)}`;
}

/** Plain where YAML reads the same text back, else in double quotes, whose escapes are those of JSON. */
function scalar(text: string): string {
  const isPlain =
    /^[A-Za-z./][\w./@+-]*(?: [\w./@+,;-]+)*$/.test(text) &&
    !/^(?:(?:true|false|null|\.nan|\.inf)$|\.\d)/i.test(text);
  const isTimeOrAddress = /^(?:\d{4}-\d{2}-\d{2}T[\d:.]+(?:Z|[+-]\d{2}:\d{2})|https?:\/\/[\w.:/-]+)$/.test(
    text,
  );
  return isPlain || isTimeOrAddress ? text : JSON.stringify(text);
}

/** A query of several lines keeps them, below its key. */
function queryScalar(query: string): string {
  const text = query.trim().replaceAll('\r\n', '\n');
  if (text === '{}') return text;
  if (/[^\P{Cc}\n\t]/u.test(text)) return JSON.stringify(text);
  return text.includes('\n') ? `|-\n${text.replace(/^/gm, '      ')}` : `'${text.replaceAll("'", "''")}'`;
}
