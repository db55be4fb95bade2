/** What comes next, as lines for the terminal: why, then the command to copy. */
import type { NextStep } from '../../apply/restore-status.ts';
import { shellWord } from '../../text/escape.ts';
import { showCounted } from '../../text/quantities.ts';
import { type PageStyle, wrapped } from '../../text/terminal.ts';

/** Lines without newlines. `file` is the plan as the operator names it. A command is not wrapped, so that it can be copied. */
export function* nextStepLines(
  steps: readonly NextStep[],
  { file, columns }: Pick<PageStyle, 'columns'> & { readonly file: string },
): Generator<string> {
  for (const [index, step] of steps.entries()) {
    const when = index === 0 ? 'Next' : 'Then';
    yield* wrapped(wholeCommands(`${when}, ${reasonOf(step)}:`, file), { columns });
    const target = step.target === undefined ? '' : ` --target ${step.target}`;
    yield `  plan ${step.command} ${shellWord(file)}${target}`;
  }
}

function reasonOf({ why, target }: NextStep): string {
  switch (why.kind) {
    case 'first':
      return 'when this is what you want';
    case 'verified':
      return 'after a look at staging';
    case 'silent':
      return target === 'staging' ? 'once staging answers, which comes first' : `once ${target} answers`;
    case 'unknown':
      return 'to see where staging stands, and what the gate of production still wants';
    case 'changed':
      return `as the plan or its backup has changed since it was applied to ${target}`;
    case 'unfinished':
      return `as the run on ${target} is not finished`;
    case 'unread':
      return `as the documents in ${target} were not read back`;
    case 'gone':
      return `as documents are missing from ${target} that were verified there`;
    case 'reverted':
      return `to restore again what was reverted in ${target}`;
    case 'revertUnfinished':
      return `as the revert in ${target} is not finished`;
    case 'unwritten':
      return `to see why ${showCounted(why.count, 'document')} could not be written to ${target}`;
    case 'followUps':
      return `${showCounted(why.count, 'follow-up')} of ${target} to do`;
    case 'approvals':
      return `as ${why.given} of ${why.needed} approvals are given, by another person`;
    case 'gate':
      return `as the gate of production is shut (${why.obstacles.map(({ fact, remedy }) => `${fact}. ${remedy}`).join(' ')})`;
  }
}

// Hints of the engine name a command; an operator wants the line to type.

/** `plan backups`, `plan apply --target staging`: a command of one plan, perhaps with options, without the plan. */
const COMMAND =
  /`plan ((?:accept|apply|approve|backups|dry-run|explain|revert|status|unlock|validate|verify)|follow-up (?:list|run))( --[^`]+)?`/g;

/** The same text with the plan named in its commands, as the operator named it. */
export function wholeCommands(text: string, file: string): string {
  return text.replace(COMMAND, (_, command: string, options = '') => {
    return `\`plan ${command} ${shellWord(file)}${options}\``;
  });
}
