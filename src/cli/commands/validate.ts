/** `plan validate`: checks plans without touching any network. */

import { faultCount, faultsText, notesText } from '../../plan/fault.ts';
import { checkBase, type ReadPlanOptions, readPlan } from '../../plan/read-plan.ts';
import { jsonText, neutral } from '../../text/escape.ts';
import { paintWith } from '../../text/terminal.ts';
import { VERSION } from '../../version.ts';
import type { ExitName, OptionValues } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { requirePipe } from '../load-plan.ts';
import { show } from '../view.ts';
import { type CheckedFile, githubAnnotations, sarifLog, validationObject } from '../views/validate.ts';

export async function run(
  context: CommandContext,
  files: readonly string[],
  options: OptionValues,
): Promise<ExitName> {
  requirePipe(context, files);
  const { env, stdin, cwd, now } = context;
  const requireEnv = options['requireEnv'] === true;
  const checked: CheckedFile[] = [];
  for (const file of files) {
    checked.push(await checkFile(file, { env, requireEnv, stdin, cwd, now: now() }));
  }

  await show(context, {
    page: () => written(checked, { format: options['format'], color: context.color.stdout }),
    objects: () => [validationObject(checked)],
  });
  return checked.every(({ faults }) => faults.length === 0) ? 'OK' : 'PLAN_INVALID';
}

/** `*.base.yaml` files are what plans extend; naming all files of a folder must not make faults of them. */
async function checkFile(file: string, options: ReadPlanOptions): Promise<CheckedFile> {
  if (/\.base\.ya?ml$/.test(file)) return { file, plan: undefined, ...(await checkBase(file, options)) };
  const { plan, faults = [], notes } = await readPlan(file, options);
  return { file, plan, faults, notes };
}

function written(
  checked: readonly CheckedFile[],
  { format, color }: { readonly format: unknown; readonly color: boolean },
): string {
  const everything = checked.flatMap(({ faults, notes }) => [...faults, ...notes]);
  if (format === 'json') return `${jsonText(validationObject(checked), 2)}\n`;
  if (format === 'sarif') return sarifLog(everything, VERSION);
  if (format === 'github') return githubAnnotations(everything);
  return checked.map((file) => verdict(file, color)).join('');
}

/** Faults and notes of a file, then one line that sums them up. */
function verdict({ file, plan, faults, notes }: CheckedFile, color: boolean): string {
  const paint = paintWith(color);
  const count = faultCount(faults, notes);
  const said =
    faults.length > 0 ? count : `${plan?.name ?? 'the base'} is valid${count === '' ? '' : `, ${count}`}`;
  const sign = faults.length > 0 ? paint.bad('✗') : paint.good('✓');
  return `${faultsText(faults, color)}${notesText(notes, color)}${sign} ${neutral(file)}: ${said}\n`;
}
