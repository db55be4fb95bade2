/** The completion script for fish: `plan completion fish | source`, or a file in ~/.config/fish/completions. */
import { type CommandWords, FOLLOW_UP_NAMES, type OptionWords } from './words.ts';

export function fishCompletion(commands: readonly CommandWords[]): string {
  return [
    '# fish completion for plan. Load it with: plan completion fish | source',
    'complete -c plan -f',
    ...commands.map(
      ({ name, summary }) => `complete -c plan -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
    ),
    "complete -c plan -n __fish_use_subcommand -a help -d 'show help for a command'",
    ...commands.flatMap(commandLines),
    '',
  ].join('\n');
}

/** The plan is the word with the ending of one. */
const NAMES_IN_FISH = `${FOLLOW_UP_NAMES} (string match -r ".*\\.ya?ml\\$" -- (commandline -opc))[1] 2>/dev/null`;

function commandLines({ name, options, firstArgument, takesPlans, takesFollowUp }: CommandWords): string[] {
  const seen = `__fish_seen_subcommand_from ${name}`;
  const isFirst = 'test (count (commandline -opc)) -eq 2';
  const when = (condition: string) => `complete -c plan -n '${condition}'`;
  const afterFirst = takesFollowUp ? 'test (count (commandline -opc)) -eq 3' : `not ${isFirst}`;
  const plans = firstArgument.length === 0 ? seen : `${seen}; and ${afterFirst}`;
  return [
    ...options.map(
      (option) =>
        `${when(seen)} -l ${option.name.slice(2)}${valueWords(option)} -d ${quoted(option.description)}`,
    ),
    ...(firstArgument.length > 0
      ? [`${when(`${seen}; and ${isFirst}`)} -a ${quoted(firstArgument.join(' '))}`]
      : []),
    ...(takesFollowUp
      ? [`${when(`${seen}; and test (count (commandline -opc)) -ge 4`)} -a '(${NAMES_IN_FISH})'`]
      : []),
    ...(takesPlans
      ? [`${when(plans)} -k -a '(__fish_complete_suffix .yaml; __fish_complete_suffix .yml)'`]
      : []),
  ];
}

function valueWords({ value }: OptionWords): string {
  switch (value.kind) {
    case 'none':
      return '';
    case 'choice':
      return ` -x -a ${quoted(value.words.join(' '))}`;
    case 'folder':
      return " -x -a '(__fish_complete_directories)'";
    case 'file':
      return ' -r -F';
    case 'text':
      return ' -x';
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
