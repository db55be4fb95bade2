/** `plan init`: writes a commented plan, filled in as far as options and answers go. Never overwrites a file. */

import { createHash } from 'node:crypto';
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { RestorePlanError } from '../../errors.ts';
import { makeDirectory, PRIVATE_FILE, reasonOf, removeUnused, SHARED_DIRECTORY } from '../../files.ts';
import { draftText, type PlanDraft } from '../../plan/draft.ts';
import { readPlan } from '../../plan/read-plan.ts';
import { schemaText } from '../../plan/schema-file.ts';
import { makeWorkDirectory } from '../../selection/directory.ts';
import { neutral } from '../../text/escape.ts';
import { showCounted } from '../../text/quantities.ts';
import type { OptionValues } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { interview } from '../init/interview.ts';
import { type GivenAnswer, Talk } from '../init/questions.ts';
import { lineOf, show } from '../view.ts';

const DEFAULT_FILE = 'restore-plan.yaml';
const SCHEMA_FILE = 'restore-plan.schema.json';

export async function run(
  context: CommandContext,
  [named = DEFAULT_FILE]: readonly string[],
  options: OptionValues,
): Promise<void> {
  const file = resolve(context.cwd, named);
  const folder = dirname(file);
  const suggestedName =
    basename(file)
      .replace(/\.ya?ml$/, '')
      .replace(/[^A-Za-z0-9._-]+/g, '-')
      .replace(/^[^A-Za-z0-9]+/, '') || 'restore';
  await refuseExisting(file, named);
  const kept = new KeptAnswers(context, file);
  const talk = new Talk(context, await kept.offered());
  let draft: PlanDraft;
  let hasSchema: boolean;
  // For the modeline: with it, an editor completes and checks while one types.
  const schema = join(folder, SCHEMA_FILE);
  try {
    draft = await interview({ talk, options, file: named, folder, suggestedName });
    hasSchema = await writeBeside(schema, { file, text: draftText(draft, `./${SCHEMA_FILE}`), named });
  } catch (error) {
    throw (await kept.keep(talk.answers)) ? stoppedWith(talk.answers.length, error) : error;
  }
  await kept.forget();

  const { faults = [] } = await readPlan(file, { env: context.env });
  const shown = relative(context.cwd, file) || file;
  const given = { ...context.given, plan: shown };
  const mayLackBegins = draft.oplog?.variable !== undefined && draft.oplog.begins === undefined;
  const next =
    faults.length === 0
      ? `${mayLackBegins ? 'It is complete if the dump took its oplog along; else fill in `begins`, which stands there as a comment.' : 'It is complete.'} Look at it, then: ${lineOf({ command: 'dry-run' }, given)}`
      : `${showCounted(faults.length, 'thing is', 'things are')} still to be filled in: ${lineOf({ command: 'validate' }, given)} names them.`;
  await show(context, {
    page: () => [
      `wrote ${neutral(shown)}${hasSchema ? ` and ${SCHEMA_FILE} beside it` : ''}`,
      ...(draft.oplog?.variable === undefined
        ? []
        : [
            `First, for an oplog is overwritten as it goes on: ${savingOf(draft, faults.length === 0, given)}`,
          ]),
      next,
    ],
    objects: () => [
      {
        type: 'init',
        file: shown,
        schema: hasSchema ? relative(context.cwd, schema) : undefined,
        faults: faults.length,
      },
    ],
  });
}

/** A plan that lacks something cannot be asked what to save; then the whole database is. */
function savingOf(
  { oplog, database }: PlanDraft,
  isComplete: boolean,
  given: CommandContext['given'],
): string {
  if (isComplete || database === undefined) return lineOf({ command: 'oplog save' }, given);
  const options = {
    'uri-env': oplog?.variable ?? '',
    database,
    to: `${database}.oplog.bson`,
  };
  return lineOf({ command: 'oplog save', options }, { ...given, plan: undefined });
}

/** The same failure, which now says that nothing typed is lost. */
function stoppedWith(answers: number, error: unknown): unknown {
  if (!(error instanceof RestorePlanError)) return error;
  const { code, message, cause, facts } = error;
  const hint = `${showCounted(answers, 'answer is', 'answers are')} kept. Run the same command again to go on with them.`;
  return new RestorePlanError(code, message, { hint, cause, facts });
}

/** Before anything is asked: answers for a file that cannot be written would be in vain. */
async function refuseExisting(file: string, named: string): Promise<void> {
  if (await stat(file).then(() => true, isMissing)) throw thereAlready(named);
}

function isMissing(error: unknown): false {
  if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
  throw error;
}

function thereAlready(named: string): RestorePlanError {
  return new RestorePlanError('USAGE', `${named} is there already`, {
    hint: 'Name another file, or remove that one first.',
  });
}

interface NewPlan {
  readonly file: string;
  readonly text: string;
  /** As the operator named it. */
  readonly named: string;
}

/** Writes the plan, last, and the schema before it; false where that was there already. */
async function writeBeside(schema: string, { file, text, named }: NewPlan): Promise<boolean> {
  try {
    await makeDirectory(dirname(file), SHARED_DIRECTORY);
    const isNew = await writeNew(schema, schemaText());
    if (!(await writeNew(file, text))) throw thereAlready(named);
    return isNew;
  } catch (error) {
    throw notWritten(error, named);
  }
}

/** False where the file exists. Half of one would be in the way when the command runs again. */
async function writeNew(file: string, text: string): Promise<boolean> {
  try {
    await writeFile(file, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    await removeUnused(file);
    throw error;
  }
}

function notWritten(error: unknown, named: string): unknown {
  const reason = reasonOf(error);
  if (reason === undefined) return error;
  return new RestorePlanError('UNEXPECTED', `${neutral(named)} could not be written: ${reason}`, {
    hint: 'Set that right, or name a file elsewhere, and run the command again.',
    cause: error,
  });
}

// What was answered to a `plan init` that was stopped, kept in the work directory until the plan is written.

const FORMAT = 1;

export class KeptAnswers {
  readonly #context: CommandContext;
  readonly #file: string;
  readonly #path: string;

  /** `file`: the plan to be, absolute; each has answers of its own. */
  constructor(context: CommandContext, file: string) {
    this.#context = context;
    this.#file = file;
    const key = createHash('sha256').update(file).digest('hex').slice(0, 16);
    this.#path = join(context.workDirectory, `init-${key}.json`);
  }

  /** The answers of last time, if somebody at the terminal wants to go on with them; those that are not wanted are forgotten. */
  async offered(): Promise<readonly GivenAnswer[]> {
    if (!this.#context.interactive) return [];
    const answers = await this.#read();
    if (answers.length === 0) return [];
    const talk = new Talk(this.#context);
    for (const { question, answer } of answers)
      talk.say(`${question.replace(/^--/, '')}: ${answer === '' ? '(as proposed)' : answer}`, 2);
    const many = showCounted(answers.length, 'answer');
    if (await talk.isAgreed('go on', `Go on with these ${many} for ${neutral(basename(this.#file))}`))
      return answers;
    await this.forget();
    return [];
  }

  /** False when there are none, or they cannot be kept: then the operator types them again. */
  async keep(answers: readonly GivenAnswer[]): Promise<boolean> {
    if (answers.length === 0) return false;
    const partial = `${this.#path}.partial`;
    try {
      await makeWorkDirectory(this.#context.workDirectory);
      await writeFile(partial, JSON.stringify({ format: FORMAT, answers }), { mode: PRIVATE_FILE });
      await rename(partial, this.#path);
      return true;
    } catch {
      return false;
    }
  }

  async forget(): Promise<void> {
    await rm(this.#path, { force: true });
  }

  async #read(): Promise<readonly GivenAnswer[]> {
    try {
      const kept = JSON.parse(await readFile(this.#path, 'utf8')) as { format?: unknown; answers?: unknown };
      return kept.format === FORMAT && Array.isArray(kept.answers) ? kept.answers.filter(isAnswer) : [];
    } catch {
      return []; // not there, or cut off
    }
  }
}

function isAnswer(value: unknown): value is GivenAnswer {
  const { question, answer } = (value ?? {}) as { question?: unknown; answer?: unknown };
  return typeof question === 'string' && typeof answer === 'string';
}
