/** `plan completion`: prints the script that lets a shell complete commands, options, plan files and the names of follow-ups. */

import { RestorePlanError } from '../../errors.ts';
import { neutral } from '../../report/neutral.ts';
import { COMMANDS, OPTIONS_EVERYWHERE } from '../command-table.ts';
import { bashCompletion } from '../completion/bash.ts';
import { fishCompletion } from '../completion/fish.ts';
import { commandWords } from '../completion/words.ts';
import { zshCompletion } from '../completion/zsh.ts';
import type { CommandContext } from '../context.ts';
import { loadPlan } from '../load-plan.ts';

const SCRIPTS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

export async function run(context: CommandContext, [shell = '', file]: readonly string[]): Promise<void> {
  if (shell === 'follow-ups' && file !== undefined) return writeFollowUps(context, file);
  if (!Object.hasOwn(SCRIPTS, shell)) {
    throw new RestorePlanError('USAGE', `there is no completion for ${shell}`, {
      hint: `The shells are ${Object.keys(SCRIPTS).join(', ')}.`,
    });
  }
  const script = SCRIPTS[shell as keyof typeof SCRIPTS](commandWords(COMMANDS, OPTIONS_EVERYWHERE));
  if (context.options.json) context.json({ type: 'completion', shell, script });
  else context.stdout.write(script);
}

/** Names with a line end are left out: no shell could type them. */
async function writeFollowUps(context: CommandContext, file: string): Promise<void> {
  const { followUps } = await loadPlan(context, file);
  const names = followUps.map(({ name }) => name);
  if (context.options.json) context.json({ type: 'completion', names });
  else
    context.stdout.write(
      names
        .filter((name) => neutral(name) === name)
        .map((name) => `${name}\n`)
        .join(''),
    );
}
