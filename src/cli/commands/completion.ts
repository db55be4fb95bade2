/** `plan completion`: prints the script that lets a shell complete commands, options, plan files and the names of follow-ups. */

import { RestorePlanError } from '../../errors.ts';
import { neutral } from '../../text/escape.ts';
import type { CommandSpec, OptionSpec, RunCommand } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { loadPlan } from '../load-plan.ts';
import { show } from '../view.ts';
import { bashCompletion, commandWords, fishCompletion, zshCompletion } from '../views/completion.ts';

const SCRIPTS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

/** The command that completes these: the table hands itself in. */
export function completionOf(
  commands: readonly CommandSpec[],
  everywhere: readonly OptionSpec[],
): { readonly run: RunCommand } {
  const words = commandWords(commands, everywhere);
  return { run: (context, args) => complete(context, args, words) };
}

async function complete(
  context: CommandContext,
  [shell = '', file]: readonly string[],
  words: ReturnType<typeof commandWords>,
): Promise<void> {
  if (shell === 'follow-ups' && file !== undefined) return writeFollowUps(context, file);
  if (!Object.hasOwn(SCRIPTS, shell)) {
    throw new RestorePlanError('USAGE', `there is no completion for ${shell}`, {
      hint: `The shells are ${Object.keys(SCRIPTS).join(', ')}.`,
    });
  }
  const script = SCRIPTS[shell as keyof typeof SCRIPTS](words);
  return show(context, {
    page: () => script,
    objects: () => [{ type: 'completion', shell, script }],
  });
}

/** Names with a line end are left out: no shell could type them. */
async function writeFollowUps(context: CommandContext, file: string): Promise<void> {
  const { followUps } = await loadPlan(context, file);
  const names = followUps.map(({ name }) => name);
  return show(context, {
    page: () => names.filter((name) => neutral(name) === name),
    objects: () => [{ type: 'completion', names }],
  });
}
