/** The completion script for bash (4 or newer): `source <(plan completion bash)`. */
import type { CommandSpec, OptionSpec } from '../command.ts';

export function bashCompletion(commands: readonly CommandWords[]): string {
  const names = commands.map(({ name }) => name);
  // Their values are no arguments.
  const withValue = commands.flatMap(({ options }) => options.filter(({ value }) => value.kind !== 'none'));
  const valued = [...new Set(withValue.map(({ name }) => name))];
  return `# bash completion for plan. Load it with: source <(plan completion bash)
_plan() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" command="" given=0 last="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ "\${COMP_WORDS[i]}" == -* || "\${COMP_WORDS[i-1]}" == @(${valued.join('|')}) ]] && continue
    if [[ -z "$command" ]]; then command="\${COMP_WORDS[i]}"; else given=$((given + 1)) last="\${COMP_WORDS[i]}"; fi
  done
  COMPREPLY=()
  if [[ -z "$command" ]]; then
    mapfile -t COMPREPLY < <(compgen -W '${[...names, 'help', '--help', '--version'].join(' ')}' -- "$word")
    return
  fi
  case "$command $before" in
${commands.flatMap((command) => command.options.flatMap((option) => valueCase(command, option))).join('\n')}
  esac
  case "$command" in
${commands.map(commandCase).join('\n')}
    help) mapfile -t COMPREPLY < <(compgen -W '${names.join(' ')}' -- "$word") ;;
  esac
}
_plan_files() {
  compopt -o filenames
  mapfile -t COMPREPLY < <(compgen -d -- "$1"; compgen -f -- "$1" | grep -E '\\.ya?ml$')
}
# The plan as it stands on the line (quoted, or with ~; nothing in it is run), and what was typed of the name, perhaps behind a quote.
_plan_follow_ups() {
  local file="\${1//[\\\\\\"\\']/}" quote="" name
  if [[ "$file" == '~/'* ]]; then file="$HOME/\${file:2}"; fi
  case "$2" in \\"*|\\'*) quote="\${2:0:1}" ;; esac
  while IFS= read -r name; do
    [[ "$name" == "\${2#"$quote"}"* || "$(printf '%q' "$name")" == "$2"* ]] || continue
    if [[ -z "$quote" ]]; then name=$(printf '%q' "$name"); fi
    COMPREPLY+=("$name")
  done < <(${FOLLOW_UP_NAMES} "$file" 2>/dev/null)
}
complete -F _plan plan
`;
}

function valueCase(command: CommandWords, { name, value }: OptionWords): string[] {
  const pattern = `    '${command.name} ${name}')`;
  switch (value.kind) {
    case 'none':
      return [];
    case 'choice':
      return [
        `${pattern} mapfile -t COMPREPLY < <(compgen -W '${value.words.join(' ')}' -- "$word"); return ;;`,
      ];
    case 'text':
      return [`${pattern} return ;;`];
    default: {
      const action = value.kind === 'folder' ? '-d' : '-f';
      return [
        `${pattern} compopt -o filenames; mapfile -t COMPREPLY < <(compgen ${action} -- "$word"); return ;;`,
      ];
    }
  }
}

function commandCase({ name, options, firstArgument, takesPlans, takesFollowUp }: CommandWords): string {
  const names = options.map((option) => option.name).join(' ');
  const files = takesPlans ? '_plan_files "$word"' : ':';
  const second = takesFollowUp
    ? `elif ((given == 1)); then ${files}; else _plan_follow_ups "$last" "$word"; fi`
    : `else ${files}; fi`;
  const others =
    firstArgument.length === 0
      ? files
      : `if ((given == 0)); then mapfile -t COMPREPLY < <(compgen -W '${firstArgument.join(' ')}' -- "$word"); ${second}`;
  return `    ${name})
      if [[ "$word" == -* ]]; then mapfile -t COMPREPLY < <(compgen -W '${names}' -- "$word")
      else ${others}; fi ;;`;
}

// What a shell needs to know of the command line, taken from the command table.

export interface CommandWords {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly OptionWords[];
  /** Words that the first argument may be; empty when it is a file. */
  readonly firstArgument: readonly string[];
  /** Whether what follows the plan file is the name of one of its follow-ups. */
  readonly takesFollowUp: boolean;
  /** Whether its arguments (after the first, if that has words of its own) are plan files. */
  readonly takesPlans: boolean;
}

export interface OptionWords {
  /** With its dashes. */
  readonly name: string;
  readonly description: string;
  readonly value: OptionValueWords;
}

export type OptionValueWords =
  | { readonly kind: 'none' }
  | { readonly kind: 'choice'; readonly words: readonly string[] }
  | { readonly kind: 'file' }
  | { readonly kind: 'folder' }
  | { readonly kind: 'text'; readonly name: string };

/** Prints the names of a plan's follow-ups, one a line; the scripts call it with the plan on the line. */
export const FOLLOW_UP_NAMES = 'plan completion follow-ups';

export function commandWords(
  commands: readonly CommandSpec[],
  everywhere: readonly OptionSpec[],
): CommandWords[] {
  return commands.map((spec) => ({
    name: spec.name,
    summary: spec.summary,
    options: [...(spec.options ?? []), ...everywhere, HELP].map(optionWords),
    firstArgument: spec.argumentChoices ?? [],
    takesFollowUp: spec.name === 'follow-up',
    takesPlans: /plan|file/.test(spec.arguments ?? ''),
  }));
}

const HELP: OptionSpec = { flags: '--help', description: 'show help' };

function optionWords({ flags, description, choices }: OptionSpec): OptionWords {
  const name = /--[\w-]+/.exec(flags)?.[0] ?? flags;
  const valueName = /<([\w-]+)>/.exec(flags)?.[1];
  return { name, description, value: valueWords(valueName, choices) };
}

function valueWords(name: string | undefined, choices: readonly string[] | undefined): OptionValueWords {
  if (name === undefined) return { kind: 'none' };
  if (choices !== undefined) return { kind: 'choice', words: choices };
  if (name === 'file' || name === 'folder') return { kind: name };
  return { kind: 'text', name };
}

// The completion script for fish: `plan completion fish | source`, or a file in ~/.config/fish/completions.

export function fishCompletion(commands: readonly CommandWords[]): string {
  return [
    '# fish completion for plan. Load it with: plan completion fish | source',
    'complete -c plan -f',
    ...commands.map(
      ({ name, summary }) => `complete -c plan -n __fish_use_subcommand -a ${name} -d ${fishQuoted(summary)}`,
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
        `${when(seen)} -l ${option.name.slice(2)}${fishValueWords(option)} -d ${fishQuoted(option.description)}`,
    ),
    ...(firstArgument.length > 0
      ? [`${when(`${seen}; and ${isFirst}`)} -a ${fishQuoted(firstArgument.join(' '))}`]
      : []),
    ...(takesFollowUp
      ? [`${when(`${seen}; and test (count (commandline -opc)) -ge 4`)} -a '(${NAMES_IN_FISH})'`]
      : []),
    ...(takesPlans
      ? [`${when(plans)} -k -a '(__fish_complete_suffix .yaml; __fish_complete_suffix .yml)'`]
      : []),
  ];
}

function fishValueWords({ value }: OptionWords): string {
  switch (value.kind) {
    case 'none':
      return '';
    case 'choice':
      return ` -x -a ${fishQuoted(value.words.join(' '))}`;
    case 'folder':
      return " -x -a '(__fish_complete_directories)'";
    case 'file':
      return ' -r -F';
    case 'text':
      return ' -x';
  }
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

// The completion script for zsh: a file `_plan` on the `fpath`, or `source <(plan completion zsh)`.

export function zshCompletion(commands: readonly CommandWords[]): string {
  return `#compdef plan
# zsh completion for plan. Save it as _plan in a folder of your fpath, or load it with: source <(plan completion zsh)
_plan() {
  local -a commands
  commands=(
${commands.map(({ name, summary }) => `    ${zshQuoted(`${name}:${summary}`)}`).join('\n')}
    'help:show help for a command'
  )
  if (( CURRENT == 2 )); then
    _describe -t commands 'command of plan' commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${commands.map(zshCase).join('\n')}
    help) _describe -t commands 'command of plan' commands ;;
  esac
}
# The plan is the word with the ending of one.
_plan_follow_ups() {
  local -a names
  local file=\${(Q)\${(M)words:#*.(yaml|yml)*}[1]}
  names=("\${(@f)$(${FOLLOW_UP_NAMES} "\${file/#~/$HOME}" 2>/dev/null)}")
  compadd -a names
}
if [[ $funcstack[1] == _plan ]]; then _plan "$@"; else compdef _plan plan; fi
`;
}

function zshCase({ name, options, firstArgument, takesPlans, takesFollowUp }: CommandWords): string {
  const specs = options.map(optionSpec);
  if (firstArgument.length > 0) specs.push(zshQuoted(`1:argument:(${firstArgument.join(' ')})`));
  if (takesFollowUp) specs.push(zshQuoted('3:follow-up:_plan_follow_ups'));
  if (takesPlans) specs.push(zshQuoted(`*:plan:_files -g "*.(yaml|yml)"`));
  return `    ${name})
      _arguments \\
${specs.map((spec) => `        ${spec}`).join(' \\\n')} ;;`;
}

function optionSpec({ name, description, value }: OptionWords): string {
  const about = description.replace(/[[\]:\\]/g, '\\$&');
  return zshQuoted(`*${name}[${about}]${valueSpec(value)}`);
}

function valueSpec(value: OptionWords['value']): string {
  switch (value.kind) {
    case 'none':
      return '';
    case 'choice':
      return `:value:(${value.words.join(' ')})`;
    case 'file':
      return ':file:_files';
    case 'folder':
      return ':folder:_files -/';
    case 'text':
      return `:${value.name}: `;
  }
}

function zshQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
