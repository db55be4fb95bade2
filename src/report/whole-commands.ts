/** Hints of the engine name a command; an operator wants the line to type. */
import { shellWord } from './shell-word.ts';

/** `plan backups`, `plan apply --target staging`: a command of one plan, perhaps with options, without the plan. */
const COMMAND =
  /`plan ((?:accept|apply|approve|backups|dry-run|explain|revert|status|unlock|validate|verify)|follow-up (?:list|run))( --[^`]+)?`/g;

/** The same text with the plan named in its commands, as the operator named it. */
export function wholeCommands(text: string, file: string): string {
  return text.replace(COMMAND, (_, command: string, options = '') => {
    return `\`plan ${command} ${shellWord(file)}${options}\``;
  });
}
