/** `plan init`: writes a commented plan, filled in as far as options and answers go. Never overwrites a file. */
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { RestorePlanError } from '../../errors.ts';
import { draftText } from '../../plan/draft.ts';
import { readPlan } from '../../plan/read-plan.ts';
import { schemaText } from '../../plan/schema-file.ts';
import { neutral } from '../../report/neutral.ts';
import { showCounted } from '../../report/quantities.ts';
import { shellWord } from '../../report/shell-word.ts';
import type { OptionValues } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { interview } from '../init/interview.ts';

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
  const draft = await interview({ context, options, folder, suggestedName });

  await mkdir(folder, { recursive: true });
  await writeNew(file, draftText(draft, `./${SCHEMA_FILE}`), named);
  // For the modeline: with it, an editor completes and checks while one types.
  const schema = join(folder, SCHEMA_FILE);
  const hasSchema = await writeFile(schema, schemaText(), { flag: 'wx' }).then(() => true, isThereAlready);

  const { faults = [] } = await readPlan(file, { env: context.env });
  const shown = relative(context.cwd, file) || file;
  if (context.options.json) {
    context.json({
      type: 'init',
      file: shown,
      schema: hasSchema ? relative(context.cwd, schema) : undefined,
      faults: faults.length,
    });
    return;
  }
  const next =
    faults.length === 0
      ? `It is complete. Look at it, then: plan dry-run ${shellWord(shown)}`
      : `${showCounted(faults.length, 'thing is', 'things are')} still to be filled in: plan validate ${shellWord(shown)} names them.`;
  context.stdout.write(
    `wrote ${neutral(shown)}${hasSchema ? ` and ${SCHEMA_FILE} beside it` : ''}\n${next}\n`,
  );
}

async function writeNew(file: string, text: string, named: string): Promise<void> {
  try {
    await writeFile(file, text, { flag: 'wx' });
  } catch (error) {
    isThereAlready(error);
    throw new RestorePlanError('USAGE', `${named} is there already`, {
      hint: 'Name another file, or remove that one first.',
    });
  }
}

/** False for a file that exists; throws anything else. */
function isThereAlready(error: unknown): false {
  if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
  throw error;
}
