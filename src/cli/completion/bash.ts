/** The completion script for bash (4 or newer): `source <(plan completion bash)`. */
import { type CommandWords, FOLLOW_UP_NAMES, type OptionWords } from './words.ts';

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
