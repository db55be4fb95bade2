/** From options and answers to the draft of a plan. */

import { RestorePlanError } from '../../errors.ts';
import type { DraftCollection, DraftLocation, PlanDraft } from '../../plan/draft.ts';
import { parseInstant } from '../../plan/instant.ts';
import { parseLocationTemplate } from '../../plan/location-template.ts';
import { isTimeZone, nearTimeZone } from '../../plan/time-zone.ts';
import { compileQuery } from '../../query/compile-query.ts';
import { parseQuery } from '../../query/parse-query.ts';
import { QueryFault } from '../../query/query-fault.ts';
import { neutral } from '../../report/neutral.ts';
import type { OptionValues } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { type BackupQuestion, contentsOf, databasesOf } from './backup-contents.ts';
import { answerTo, chosenFrom, isAgreed } from './questions.ts';

export interface Interview {
  readonly context: CommandContext;
  readonly options: OptionValues;
  /** Folder of the plan to be, absolute: relative paths start there. */
  readonly folder: string;
  /** Name that the file suggests. */
  readonly suggestedName: string;
}

export async function interview({ context, options, folder, suggestedName }: Interview): Promise<PlanDraft> {
  const text = (name: string): string | undefined =>
    typeof options[name] === 'string' ? options[name] : undefined;
  const ask = (
    option: string,
    question: string,
    more: { otherwise?: string; fault?: (answer: string) => string | undefined } = {},
  ) => answerTo(context, { option: `--${option}`, given: text(camelCased(option)), ask: question, ...more });

  const name =
    (await ask('name', 'Name of the plan', { otherwise: suggestedName, fault: nameFault })) ?? suggestedName;
  const reason = await ask('reason', 'Why is the restore needed');
  const source = await ask(
    'source',
    'Where is the backup: a path, or s3://bucket/key.\n{time:yyyy.MM.dd.HH.mm.ss} stands for a time, * for any text, a / at the end for a folder',
    { fault: sourceFault },
  );
  const isTimed = source?.includes('{time:') === true;
  const timezone =
    isTimed || text('timezone') !== undefined
      ? await ask('timezone', 'Time zone of the times in the name', { fault: zoneFault })
      : undefined;
  const at =
    isTimed || text('at') !== undefined
      ? await ask('at', 'Last moment at which the data was good, such as 2016-09-13T09:00:00-04:00', {
          fault: instantFault,
        })
      : undefined;
  const location = source === undefined ? undefined : locationOf(source, timezone, text('endpoint'));

  const backup = location === undefined ? undefined : { location, at, folder };
  const isLooking =
    backup !== undefined &&
    (options['look'] === true || (await isAgreed(context, 'Look into the backup, to offer what it holds')));
  const databases =
    isLooking && text('database') === undefined
      ? await offered(context, () => databasesOf(context, backup))
      : undefined;
  const [database] = await chosenFrom(context, databases ?? [], {
    option: '--database',
    given: text('database'),
    ask: 'Database inside the backup',
  });
  const contents =
    isLooking && database !== undefined
      ? await offered(context, () => contentsOf(context, { ...backup, database } satisfies BackupQuestion))
      : undefined;
  if (contents !== undefined) context.stderr.write(`${neutral(contents.location)}:\n`);

  const collections = await collectionsOf(context, options, contents?.collections ?? []);
  const stagingDatabase = await ask(
    'staging-database',
    'Database in staging',
    database === undefined ? {} : { otherwise: database },
  );
  const productionDatabase = await ask(
    'production-database',
    'Database in production (- for a plan without production)',
    database === undefined ? {} : { otherwise: database },
  );
  const production = productionDatabase === '-' ? undefined : { database: productionDatabase };
  const known = contents?.collections ?? [];
  return { name, reason, at, database, location, collections, known, stagingDatabase, production };
}

/** A backup that cannot be opened now does not keep anybody from writing a plan. */
async function offered<T>(context: CommandContext, look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof RestorePlanError) || error.code !== 'BACKUP') throw error;
    context.stderr.write(`  The backup was not opened: ${neutral(error.message)}\n`);
    return undefined;
  }
}

/** `--collection artworks` or `--collection 'artworks={ partner_id: 5 }'`, any number of times. */
async function collectionsOf(
  context: CommandContext,
  options: OptionValues,
  known: readonly string[],
): Promise<DraftCollection[]> {
  const given = options['collection'];
  if (Array.isArray(given)) {
    return given.map((text: string) => {
      const [collection = '', ...query] = text.split('=');
      if (query.length === 0) return { collection, query: undefined };
      const fault = queryFault(query.join('='));
      if (fault !== undefined)
        throw new RestorePlanError('USAGE', `--collection ${neutral(collection)}: ${fault}`);
      return { collection, query: query.join('=') };
    });
  }
  const names = await chosenFrom(context, known, {
    option: '--collection',
    given: undefined,
    ask: 'Collections to restore from, separated by commas',
  });
  const collections: DraftCollection[] = [];
  for (const collection of names) {
    const ask = `Which documents of ${neutral(collection)}, such as { partner_id: ObjectId("…") }; {} for all`;
    const query = await answerTo(context, {
      option: '--collection',
      given: undefined,
      ask,
      fault: queryFault,
    });
    collections.push({ collection, query });
  }
  return collections;
}

function locationOf(
  source: string,
  timezone: string | undefined,
  endpoint: string | undefined,
): DraftLocation {
  const s3 = /^s3:\/\/([^/]+)\/(.*)$/s.exec(source);
  if (s3 === null) return { kind: 'path', path: source, timezone };
  return { kind: 's3', bucket: s3[1] ?? '', key: s3[2] ?? '', timezone, endpoint };
}

function nameFault(name: string): string | undefined {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name)) return undefined;
  return 'letters, digits, dots, dashes and underscores, at most 100';
}

function sourceFault(source: string): string | undefined {
  if (/^s3:\/\/[^/]*\/?$/.test(source)) return 'a bucket and a key, as in s3://bucket/db.tar';
  const template = parseLocationTemplate(source.replace(/^s3:\/\/[^/]*\//, ''));
  return 'fault' in template ? `${template.fault.message}; expected ${template.fault.expected}` : undefined;
}

function zoneFault(zone: string): string | undefined {
  if (isTimeZone(zone)) return undefined;
  const near = nearTimeZone(zone);
  return `there is no such time zone${near === undefined ? '; it is a name such as America/New_York' : `; did you mean ${near}?`}`;
}

function instantFault(text: string): string | undefined {
  const reading = parseInstant(text);
  return 'instant' in reading ? undefined : `${reading.message}; expected ${reading.expected}`;
}

function queryFault(text: string): string | undefined {
  try {
    compileQuery(parseQuery(text));
    return undefined;
  } catch (error) {
    if (error instanceof QueryFault) return error.message;
    throw error;
  }
}

function camelCased(option: string): string {
  return option.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
