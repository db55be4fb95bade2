/** `plan init`: writes a commented plan, filled in as far as options and answers go. Never overwrites a file. */

import { mkdir, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { RestorePlanError } from '../../errors.ts';
import { draftText, type PlanDraft } from '../../plan/draft.ts';
import { readPlan } from '../../plan/read-plan.ts';
import { schemaText } from '../../plan/schema-file.ts';
import { neutral, shellWord } from '../../text/escape.ts';
import { showCounted } from '../../text/quantities.ts';
import type { OptionValues } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { interview } from '../init/interview.ts';
import { KeptAnswers } from '../init/kept-answers.ts';
import { Talk } from '../init/questions.ts';
import { show } from '../view.ts';

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
  try {
    draft = await interview({ talk, options, file: named, folder, suggestedName });
  } catch (error) {
    throw (await kept.keep(talk.answers)) ? stoppedWith(talk.answers.length, error) : error;
  }

  await mkdir(folder, { recursive: true });
  await writeNew(file, draftText(draft, `./${SCHEMA_FILE}`), named);
  await kept.forget();
  // For the modeline: with it, an editor completes and checks while one types.
  const schema = join(folder, SCHEMA_FILE);
  const hasSchema = await writeFile(schema, schemaText(), { flag: 'wx' }).then(() => true, isThereAlready);

  const { faults = [] } = await readPlan(file, { env: context.env });
  const shown = relative(context.cwd, file) || file;
  const next =
    faults.length === 0
      ? `It is complete. Look at it, then: plan dry-run ${shellWord(shown)}`
      : `${showCounted(faults.length, 'thing is', 'things are')} still to be filled in: plan validate ${shellWord(shown)} names them.`;
  await show(context, {
    page: () => [
      `wrote ${neutral(shown)}${hasSchema ? ` and ${SCHEMA_FILE} beside it` : ''}`,
      ...(draft.oplog?.variable === undefined
        ? []
        : [`First, for an oplog is overwritten as it goes on: plan oplog save ${shellWord(shown)}`]),
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

async function writeNew(file: string, text: string, named: string): Promise<void> {
  try {
    await writeFile(file, text, { flag: 'wx' });
  } catch (error) {
    isThereAlready(error);
    throw thereAlready(named);
  }
}

/** False for a file that exists; throws anything else. */
function isThereAlready(error: unknown): false {
  if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
  throw error;
}
