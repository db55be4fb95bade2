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
  /** How documents may be rolled forward from the backup; undefined: nothing is proposed. */
  readonly oplog?: DraftOplog | undefined;
  /** Undefined: a plan without production. */
  readonly production: { readonly database: string | undefined } | undefined;
}

export interface DraftOplog {
  /** Name of the variable with the connection string; undefined: it is proposed as a comment. */
  readonly variable: string | undefined;
  /** When the dump began: said by an oplog that it took along; by its name (RFC 3339); or nothing is known. */
  readonly begins: 'dump' | { readonly before: string } | undefined;
  /** Command that saves what is needed of it. */
  readonly save: string;
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

function sourceLines({ at, database, location, oplog }: PlanDraft): string {
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
${locationLines(location)}${isTimed && oplog !== undefined ? oplogLines(oplog) : ''}`;
}

const OPLOG_VARIABLE = 'PRODUCTION_OPLOG_URI';

function oplogLines({ variable, begins, save }: DraftOplog): string {
  const lines = ['oplog:', '  mongodb:', `    uri: \${${variable ?? OPLOG_VARIABLE}}`];
  if (begins === 'dump') lines.push('  # The dump took its oplog along, which says when it began.');
  else if (begins === undefined)
    lines.push(
      '  # Where the dump took no oplog along: a moment no later than its start. Earlier does no harm, later gives wrong documents, and nothing would tell.',
      '  # begins:',
    );
  else
    lines.push(
      '  # No later than the start of the dump, which does not say it: the time in its name less five minutes. Earlier does no harm, later gives',
      '  # wrong documents, and nothing would tell.',
      `  begins: ${scalar(begins.before)}`,
    );
  // A proposal is to be read as one: its own comments lie a step further in.
  const shown = lines.map((line) => (variable === undefined ? `  # ${line}` : `  ${line}`));
  return `
  # What changed between the backup and \`at\` comes back too, by the oplog of the replica set that was dumped. It is overwritten as it goes on,
  # so keep what is needed first: \`${save}\`
${shown.join('\n')}`;
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
