/** Hints of the engine name a command; an operator wants the line to type. */
import { RestorePlanError } from '../errors.ts';
import { shellWord } from '../report/shell-word.ts';

/** `plan backups`, `plan apply --target staging`: a command of one plan, perhaps with options, without the plan. */
const COMMAND =
  /`plan ((?:apply|approve|backups|dry-run|explain|revert|status|unlock|validate|verify)|follow-up (?:list|run))( --[^`]+)?`/g;

/** The same failure with the plan named in the commands of its hint, as the operator named it. */
export function withWholeCommands(error: RestorePlanError, file: string): RestorePlanError {
  const { code, message, hint, cause, facts } = error;
  if (hint === undefined) return error;
  return new RestorePlanError(code, message, { hint: wholeCommands(hint, file), cause, facts });
}

export function wholeCommands(text: string, file: string): string {
  return text.replace(COMMAND, (_, command: string, options = '') => {
    return `\`plan ${command} ${shellWord(file)}${options}\``;
  });
}
