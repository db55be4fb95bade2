/** The completion script for bash (4 or newer): `source <(plan completion bash)`. */
import type { CommandWords, OptionWords } from './words.ts';

export function bashCompletion(commands: readonly CommandWords[]): string {
  const names = commands.map(({ name }) => name);
  // Their values are no arguments.
  const withValue = commands.flatMap(({ options }) => options.filter(({ value }) => value.kind !== 'none'));
  const valued = [...new Set(withValue.map(({ name }) => name))];
  return `# bash completion for plan. Load it with: source <(plan completion bash)
_plan() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" command="" given=0 i
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ "\${COMP_WORDS[i]}" == -* || "\${COMP_WORDS[i-1]}" == @(${valued.join('|')}) ]] && continue
    if [[ -z "$command" ]]; then command="\${COMP_WORDS[i]}"; else given=$((given + 1)); fi
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

function commandCase({ name, options, firstArgument, takesPlans }: CommandWords): string {
  const names = options.map((option) => option.name).join(' ');
  const files = takesPlans ? '_plan_files "$word"' : ':';
  const others =
    firstArgument.length === 0
      ? files
      : `if ((given == 0)); then mapfile -t COMPREPLY < <(compgen -W '${firstArgument.join(' ')}' -- "$word"); else ${files}; fi`;
  return `    ${name})
      if [[ "$word" == -* ]]; then mapfile -t COMPREPLY < <(compgen -W '${names}' -- "$word")
      else ${others}; fi ;;`;
}
