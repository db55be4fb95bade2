/** `plan completion`: prints the script that lets a shell complete commands, options and plan files. */

import { RestorePlanError } from '../../errors.ts';
import { COMMANDS, OPTIONS_EVERYWHERE } from '../command-table.ts';
import { bashCompletion } from '../completion/bash.ts';
import { fishCompletion } from '../completion/fish.ts';
import { commandWords } from '../completion/words.ts';
import { zshCompletion } from '../completion/zsh.ts';
import type { CommandContext } from '../context.ts';

const SCRIPTS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

export async function run(context: CommandContext, [shell = '']: readonly string[]): Promise<void> {
  if (!Object.hasOwn(SCRIPTS, shell)) {
    throw new RestorePlanError('USAGE', `there is no completion for ${shell}`, {
      hint: `The shells are ${Object.keys(SCRIPTS).join(', ')}.`,
    });
  }
  const script = SCRIPTS[shell as keyof typeof SCRIPTS](commandWords(COMMANDS, OPTIONS_EVERYWHERE));
  if (context.options.json) context.json({ type: 'completion', shell, script });
  else context.stdout.write(script);
}
