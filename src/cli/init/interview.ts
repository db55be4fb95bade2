/** From options and answers to the draft of a plan. */
import { RestorePlanError } from '../../errors.ts';
import type { DraftCollection, DraftLocation, PlanDraft } from '../../plan/draft.ts';
import { neutral } from '../../report/neutral.ts';
import type { OptionValues } from '../command.ts';
import type { CommandContext } from '../context.ts';
import {
  endpointFault,
  instantFault,
  nameFault,
  queryFault,
  sourceFault,
  zoneFault,
} from './answer-faults.ts';
import { contentsOf, databasesOf } from './backup-contents.ts';
import { answerTo, chosenFrom, isAgreed, type Question, say } from './questions.ts';

export interface Interview {
  readonly context: CommandContext;
  readonly options: OptionValues;
  /** Folder of the plan to be, absolute: relative paths start there. */
  readonly folder: string;
  /** Name that the file suggests. */
  readonly suggestedName: string;
}

export async function interview(about: Interview): Promise<PlanDraft> {
  const name = await ask(about, 'name', {
    ask: 'Name of the plan',
    otherwise: about.suggestedName,
    fault: nameFault,
  });
  const reason = await ask(about, 'reason', { ask: 'Why is the restore needed' });
  const { location, at } = await askWhere(about);
  const { database, known } = await askDatabase(about, location, at);
  const collections = await askCollections(about, known);
  const usual = database === undefined ? {} : { otherwise: database };
  const stagingDatabase = await ask(about, 'staging-database', { ask: 'Database in staging', ...usual });
  const productionDatabase = await ask(about, 'production-database', {
    ask: 'Database in production (- for a plan without production)',
    ...usual,
  });
  const production = productionDatabase === '-' ? undefined : { database: productionDatabase };
  const targets = { stagingDatabase, production };
  return {
    name: name ?? about.suggestedName,
    reason,
    at,
    database,
    location,
    collections,
    known,
    ...targets,
  };
}

/** One question, or the option of that name. */
function ask(
  { context, options }: Interview,
  option: string,
  question: Omit<Question, 'option' | 'given'>,
): Promise<string | undefined> {
  return answerTo(context, { option: `--${option}`, given: textOption(options, option), ...question });
}

async function askWhere(
  about: Interview,
): Promise<{ readonly location: DraftLocation | undefined; readonly at: string | undefined }> {
  const source = await ask(about, 'source', {
    about:
      'Where the backup is: a path, or s3://bucket/key. In it, {time:yyyy.MM.dd.HH.mm.ss} stands for the time of the backup, * for any text, a / at the end for a folder.',
    ask: 'Backup',
    fault: sourceFault,
  });
  const isAsked = (option: string) =>
    source?.includes('{time:') || textOption(about.options, option) !== undefined;
  const zone = { ask: 'Time zone of the times in the name', fault: zoneFault };
  const moment = {
    about:
      'The last moment at which the data was good, with its offset, such as 2016-09-13T09:00:00-04:00. The newest backup at or before it is taken.',
    ask: 'Data good until',
    fault: instantFault,
  };
  const timezone = isAsked('timezone') ? await ask(about, 'timezone', zone) : undefined;
  const at = isAsked('at') ? await ask(about, 'at', moment) : undefined;
  if (source === undefined) return { location: undefined, at };
  const endpoint = source.startsWith('s3://')
    ? await ask(about, 'endpoint', { ask: 'Address of the store, if it is not AWS', fault: endpointFault })
    : undefined;
  return { location: locationOf(source, timezone, endpoint), at };
}

/** The database inside the backup, and the collections that it is known to hold. */
async function askDatabase(
  { context, options, folder }: Interview,
  location: DraftLocation | undefined,
  at: string | undefined,
): Promise<{ readonly database: string | undefined; readonly known: readonly string[] }> {
  const given = textOption(options, 'database');
  const question = { option: '--database', given, ask: 'Database inside the backup' };
  const isLooking =
    location !== undefined &&
    (options['look'] === true || (await isAgreed(context, 'Look into the backup, to offer what it holds')));
  if (!isLooking) return { database: (await chosenFrom(context, [], question))[0], known: [] };

  const backup = { location, at, folder };
  const databases =
    given === undefined ? await offered(context, () => databasesOf(context, backup)) : undefined;
  const [database] = await chosenFrom(context, databases ?? [], question);
  if (database === undefined) return { database, known: [] };
  const contents = await offered(context, () => contentsOf(context, { ...backup, database }));
  if (contents?.collections !== undefined) context.stderr.write(`${neutral(contents.location)}:\n`);
  else if (contents !== undefined)
    say(context, `Only reading all of ${neutral(contents.location)} would show what it holds.`, 2);
  return { database, known: contents?.collections ?? [] };
}

/** A backup that cannot be opened now does not keep anybody from writing a plan. */
async function offered<T>(context: CommandContext, look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof RestorePlanError) || error.code !== 'BACKUP') throw error;
    say(context, `The backup was not opened: ${error.message}`, 2);
    if (error.hint !== undefined) say(context, error.hint, 2);
    return undefined;
  }
}

/** `--collection artworks` or `--collection 'artworks={ partner_id: 5 }'`, any number of times. */
async function askCollections(
  { context, options }: Interview,
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
    const query = await answerTo(context, {
      option: '--collection',
      given: undefined,
      fault: queryFault,
      about: `Which documents of ${collection}: a query such as { partner_id: ObjectId("57d17993a09a6759d8000d9e") }; {} for all.`,
      ask: `Query of ${neutral(collection)}`,
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

/** Undefined unless the option was given as text. */
function textOption(options: OptionValues, name: string): string | undefined {
  const value = options[camelCased(name)];
  return typeof value === 'string' ? value : undefined;
}

function camelCased(option: string): string {
  return option.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
