/** What commander says of a command line, as the program's own error: what is wrong, what was meant, where to look. */
import type { CommanderError } from 'commander';
import { RestorePlanError } from '../errors.ts';
import { nearest } from '../plan/nearest.ts';
import type { CommandSpec } from './command.ts';
import { COMMANDS } from './command-table.ts';

/** `argv` is the command line that commander refused. */
export function usageError({ code, message }: CommanderError, argv: readonly string[]): RestorePlanError {
  // Commander answers `plan help nonsense` with the help itself and says nothing of the word.
  const unknown = code === 'commander.help' && argv[0] === 'help' ? argv[1] : undefined;
  if (unknown !== undefined) return unknownCommand(unknown);
  if (code === 'commander.help') {
    return new RestorePlanError('USAGE', 'no command given', { hint: '`plan --help` lists the commands.' });
  }
  // "error: unknown option '--ful'\n(Did you mean --full?)"
  const [first = '', ...rest] = message.replace(/^error: /, '').split('\n');
  const suggestion = rest.join(' ').replace(/^\((.*)\)$/, '$1');
  const hints = [suggestion === '' ? suggestedChoice(first) : suggestion, whereToLook(argv)];
  return new RestorePlanError('USAGE', first, { hint: hints.filter((hint) => hint !== '').join(' ') });
}

/** The options that a command cannot do without, as its usage shows them. */
export function requiredOptions({ options = [] }: CommandSpec): string {
  return options
    .filter(({ mandatory }) => mandatory === true)
    .map(({ flags }) => flags)
    .join(' ');
}

function unknownCommand(word: string): RestorePlanError {
  const near = nearest(
    word,
    COMMANDS.map(({ name }) => name),
  );
  return new RestorePlanError('USAGE', `unknown command '${word}'`, {
    hint: near === undefined ? '`plan --help` lists the commands.' : `Did you mean ${near}?`,
  });
}

/** "… argument 'stagin' is invalid. Allowed choices are staging, production." has the near one named too. */
function suggestedChoice(message: string): string {
  const [, given, choices = ''] =
    /argument '(.*)' is invalid\. Allowed choices are (.*)\.$/.exec(message) ?? [];
  const near = given === undefined ? undefined : nearest(given, choices.split(', '));
  return near === undefined ? '' : `Did you mean ${near}?`;
}

function whereToLook(argv: readonly string[]): string {
  if (argv[0]?.startsWith('-')) {
    return 'Options stand behind the command, as in `plan status plan.yaml --json`; `plan --help` lists the commands.';
  }
  const command = COMMANDS.find(({ name }) => name === argv[0]);
  if (command === undefined) return '`plan --help` lists the commands.';
  const usage = ['plan', command.name, command.arguments, requiredOptions(command)].filter(Boolean).join(' ');
  return `It is used as \`${usage}\`; \`plan ${command.name} --help\` shows all options.`;
}
