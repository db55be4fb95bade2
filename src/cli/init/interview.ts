/** From options and answers to the draft of a plan. */
import { RestorePlanError } from '../../errors.ts';
import type { DraftCollection, DraftDependent, PlanDraft } from '../../plan/draft.ts';
import { type DraftLocation, storeTyped } from '../../plan/sources/stores.ts';
import { neutral, shellWord } from '../../text/escape.ts';
import { showCount, showCounted } from '../../text/quantities.ts';
import { camelCased, type OptionValues } from '../command.ts';
import { typed } from '../view.ts';
import { BackupLook, type KnownReference } from './backup-contents.ts';
import {
  instantFault,
  nameFault,
  type Question,
  queryFault,
  sourceFault,
  type Talk,
  zoneFault,
} from './questions.ts';

interface Interview {
  readonly talk: Talk;
  readonly options: OptionValues;
  /** Folder of the plan to be, absolute: relative paths start there. */
  readonly folder: string;
  /** The file of the plan to be, as it is named in commands. */
  readonly file: string;
  /** Name that the file suggests. */
  readonly suggestedName: string;
}

/** What was seen of backups, so that going through the interview again does not look again. */
type Seen = Map<string, BackupLook>;

export async function interview(about: Interview): Promise<PlanDraft> {
  const seen: Seen = new Map();
  return about.talk.through(() => askAll(about, seen));
}

async function askAll(about: Interview, seen: Seen): Promise<PlanDraft> {
  const name = await ask(about, 'name', {
    about: 'Enter takes what is proposed, < goes one step back, Ctrl-C keeps the answers for the next time.',
    ask: 'Name of the plan',
    otherwise: about.suggestedName,
    fault: nameFault,
  });
  const reason = await ask(about, 'reason', { ask: 'Why is the restore needed' });
  const { location, at } = await askWhere(about);
  const look = await lookAt(about, { location, at, seen });
  const database = await askDatabase(about, look);
  const known =
    database === undefined || look === undefined ? [] : await collectionsOf(about, look, database);
  const collections = await askCollections(about, { known, look, database });
  const usual = database === undefined ? {} : { otherwise: database };
  const stagingDatabase = await ask(about, 'staging-database', { ask: 'Database in staging', ...usual });
  const productionDatabase = await ask(about, 'production-database', {
    ask: 'Database in production (- for a plan without production)',
    ...usual,
  });
  const oplog = await proposedOplog(about, database === undefined ? undefined : { look, database });
  const production = productionDatabase === '-' ? undefined : { database: productionDatabase };
  return {
    name: name ?? about.suggestedName,
    ...{ reason, at, database, location, oplog, collections, known, stagingDatabase, production },
  };
}

/** A dump may begin a little before the time that its name says. */
const BEGINS_EARLIER_MS = 5 * 60_000;

async function proposedOplog(
  about: Interview,
  seen: { readonly look: BackupLook | undefined; readonly database: string } | undefined,
): Promise<PlanDraft['oplog']> {
  const { options, file } = about;
  const look = seen?.look;
  const begun = look && (await looked(about, () => look.begun(seen.database)));
  const begins =
    typeof begun === 'number'
      ? { before: new Date(begun - BEGINS_EARLIER_MS).toISOString().replace('.000Z', 'Z') }
      : begun;
  const variable = textOption(options, 'oplog-uri-env');
  if (variable !== undefined && !/^[A-Za-z_]\w*$/.test(variable))
    throw new RestorePlanError('USAGE', `--oplog-uri-env ${neutral(variable)} is no name of a variable`);
  return { variable, begins, save: `plan oplog save ${shellWord(file)}` };
}

/** One question, or the option of that name. */
function ask(
  { talk, options }: Interview,
  option: string,
  question: Omit<Question, 'option' | 'given'>,
): Promise<string | undefined> {
  return talk.answerTo({ option: `--${option}`, given: textOption(options, option), ...question });
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
  const location = await storeTyped(source).ask(source, timezone, (option, question) =>
    ask(about, option, question),
  );
  return { location, at };
}

interface LookFor {
  readonly location: DraftLocation | undefined;
  readonly at: string | undefined;
  readonly seen: Seen;
}

/** Undefined: nobody wants to look. */
async function lookAt(
  { talk, options, folder }: Interview,
  { location, at, seen }: LookFor,
): Promise<BackupLook | undefined> {
  if (location === undefined) return undefined;
  const isWanted =
    options['look'] === true || (await talk.isAgreed('look', 'Look into the backup, to offer what it holds'));
  if (!isWanted) return undefined;
  const key = JSON.stringify([location, at]);
  const look = seen.get(key) ?? new BackupLook(talk.context, { location, at, folder });
  seen.set(key, look);
  return look;
}

async function askDatabase(about: Interview, look: BackupLook | undefined): Promise<string | undefined> {
  const { talk, options } = about;
  const given = textOption(options, 'database');
  const databases = look && given === undefined ? await looked(about, () => look.databases()) : undefined;
  const question = { option: '--database', given, ask: 'Database inside the backup' };
  return (await talk.chosenFrom(databases ?? [], question))[0];
}

/** Collections that the backup is known to hold; they are listed where they are chosen from. */
async function collectionsOf(
  about: Interview,
  look: BackupLook,
  database: string,
): Promise<readonly string[]> {
  const contents = await looked(about, () => look.contents(database));
  const { talk } = about;
  if (contents?.collections === undefined) {
    if (contents !== undefined && !talk.knows(COLLECTIONS))
      talk.say(`Only reading all of ${neutral(contents.location)} would show what it holds.`, 2);
    return [];
  }
  if (!talk.knows(COLLECTIONS)) talk.context.stderr.write(`${neutral(contents.location)}:\n`);
  return contents.collections;
}

/**
 * A backup that cannot be opened is asked for anew where somebody can answer: a bucket, a region or a file may be misspelt. Elsewhere it
 * keeps nobody from writing a plan.
 */
async function looked<T>({ talk, options }: Interview, look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof RestorePlanError) || talk.context.signal.aborted) throw error;
    talk.say(`The backup was not opened: ${error.message}`, 2);
    if (error.advice !== undefined) talk.say(error.advice.say(typed()), 2);
    if (!talk.context.interactive) return undefined;
    talk.say('Enter takes the same once more; n, when asked whether to look, goes on without.', 2);
    const source = talk.answers.find(({ question }) => question === '--source')?.answer;
    throw talk.reopen('--source', source ?? textOption(options, 'source') ?? '');
  }
}

const COLLECTIONS = '--collection';

interface Choice {
  readonly known: readonly string[];
  readonly look: BackupLook | undefined;
  readonly database: string | undefined;
}

/** `--collection artworks` or `--collection 'artworks={ partner_id: 5 }'`, any number of times. */
async function askCollections(about: Interview, choice: Choice): Promise<DraftCollection[]> {
  const { talk, options } = about;
  const given = options['collection'];
  if (Array.isArray(given)) return given.map(givenCollection);
  const names = await talk.chosenFrom(choice.known, {
    option: COLLECTIONS,
    given: undefined,
    ask: 'Collections to restore from, separated by commas',
  });
  const collections: DraftCollection[] = [];
  for (const collection of names) {
    const query = await askQuery(about, collection, choice);
    collections.push({ collection, query, dependents: [] });
  }
  const references = await referencesOf(about, choice);
  if (references.length === 0) return collections;
  const taken = new Set(names);
  const complete: DraftCollection[] = [];
  for (const each of collections)
    complete.push({
      ...each,
      dependents: await askDependents(about, each.collection, { references, taken }),
    });
  return complete;
}

function givenCollection(text: string): DraftCollection {
  const [collection = '', ...query] = text.split('=');
  if (query.length === 0) return { collection, query: undefined, dependents: [] };
  const fault = queryFault(query.join('='));
  if (fault !== undefined)
    throw new RestorePlanError('USAGE', `--collection ${neutral(collection)}: ${fault}`);
  return { collection, query: query.join('='), dependents: [] };
}

/** Says how many documents match, where they can be counted; a query that matches none is asked for again, and taken when it is confirmed. */
async function askQuery(
  { talk }: Interview,
  collection: string,
  { look, database }: Choice,
): Promise<string | undefined> {
  let before: string | undefined;
  for (;;) {
    const option = `query of ${collection}${before === undefined ? '' : `, not ${before}`}`;
    const isNew = !talk.knows(option);
    const query = await talk.answerTo({
      option,
      given: undefined,
      ...(before === undefined ? {} : { otherwise: before }),
      fault: queryFault,
      ...(before === undefined && {
        about: `Which documents of ${collection}: a query such as { partner_id: ObjectId("57d17993a09a6759d8000d9e") }; {} for all.`,
      }),
      ask: `Query of ${neutral(collection)}`,
    });
    if (query === undefined || look === undefined || database === undefined) return query;
    const count = await look.count(database, collection, query);
    if (count === undefined) return query;
    const { matching, read, isWhole } = count;
    const most = isWhole
      ? `all ${showCounted(read, 'document')}`
      : `the first ${showCounted(read, 'document')}`;
    if (isNew) talk.say(`${showCount(matching)} of ${most} of ${collection} match.`, 2);
    if (matching > 0 || read === 0 || !isWhole || query === before || !talk.context.interactive) return query;
    if (isNew) talk.say('Nothing would be restored. Enter keeps this query.', 2);
    before = query;
  }
}

async function referencesOf(
  about: Interview,
  { look, known, database }: Choice,
): Promise<readonly KnownReference[]> {
  if (look === undefined || database === undefined || known.length === 0) return [];
  return (await looked(about, () => look.references(database, known))) ?? [];
}

interface Dependents {
  readonly references: readonly KnownReference[];
  /** Collections that have their place in the plan. */
  readonly taken: Set<string>;
}

/** Asks for what refers to a collection, field by field, and then for what refers to those. */
async function askDependents(
  about: Interview,
  parent: string,
  { references, taken }: Dependents,
): Promise<DraftDependent[]> {
  const byField = new Map<string, string[]>();
  for (const { collection, field, parent: to } of references) {
    if (to === parent && !taken.has(collection))
      byField.set(field, [...(byField.get(field) ?? []), collection]);
  }
  const chosen: DraftDependent[] = [];
  for (const [foreignKey, names] of byField) {
    const open = names.filter((name) => !taken.has(name));
    for (const collection of await wantedOf(about, { parent, foreignKey, open })) {
      taken.add(collection);
      chosen.push({ collection, foreignKey, dependents: [] });
    }
  }
  const complete: DraftDependent[] = [];
  for (const each of chosen) {
    const dependents = await askDependents(about, each.collection, { references, taken });
    complete.push({ ...each, dependents });
  }
  return complete;
}

/** All of them, none, or the ones that are named. */
async function wantedOf(
  { talk }: Interview,
  {
    parent,
    foreignKey,
    open,
  }: { readonly parent: string; readonly foreignKey: string; readonly open: readonly string[] },
): Promise<readonly string[]> {
  if (open.length === 0) return [];
  const namesIn = (answer: string): string[] => answer.split(',').map((name) => name.trim());
  const isAll = (answer: string): boolean => /^(?:y|yes|y\/n)$/i.test(answer);
  const isNone = (answer: string): boolean => /^(?:n|no)$/i.test(answer);
  const verb = open.length === 1 ? 'has' : 'have';
  const answer = await talk.answerTo({
    option: `dependents of ${parent} by ${foreignKey}`,
    given: undefined,
    ask: `${neutral(open.join(', '))} ${verb} ${neutral(foreignKey)}: restore ${open.length === 1 ? 'it' : 'them'} too, for ${neutral(parent)}`,
    otherwise: 'Y/n',
    fault: (text) => {
      if (isAll(text) || isNone(text)) return undefined;
      const unknown = namesIn(text).filter((name) => !open.includes(name));
      return unknown.length === 0 ? undefined : `y, n, or some of ${open.join(', ')}, separated by commas`;
    },
  });
  if (answer === undefined || isNone(answer)) return [];
  return isAll(answer) ? open : open.filter((name) => namesIn(answer).includes(name));
}

/** Undefined unless the option was given as text. */
function textOption(options: OptionValues, name: string): string | undefined {
  const value = options[camelCased(name)];
  return typeof value === 'string' ? value : undefined;
}
