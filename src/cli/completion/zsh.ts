/** The completion script for zsh: a file `_plan` on the `fpath`, or `source <(plan completion zsh)`. */
import { type CommandWords, FOLLOW_UP_NAMES, type OptionWords } from './words.ts';

export function zshCompletion(commands: readonly CommandWords[]): string {
  return `#compdef plan
# zsh completion for plan. Save it as _plan in a folder of your fpath, or load it with: source <(plan completion zsh)
_plan() {
  local -a commands
  commands=(
${commands.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`).join('\n')}
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
${commands.map(commandCase).join('\n')}
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

function commandCase({ name, options, firstArgument, takesPlans, takesFollowUp }: CommandWords): string {
  const specs = options.map(optionSpec);
  if (firstArgument.length > 0) specs.push(quoted(`1:argument:(${firstArgument.join(' ')})`));
  if (takesFollowUp) specs.push(quoted('3:follow-up:_plan_follow_ups'));
  if (takesPlans) specs.push(quoted(`*:plan:_files -g "*.(yaml|yml)"`));
  return `    ${name})
      _arguments \\
${specs.map((spec) => `        ${spec}`).join(' \\\n')} ;;`;
}

function optionSpec({ name, description, value }: OptionWords): string {
  const about = description.replace(/[[\]:\\]/g, '\\$&');
  return quoted(`*${name}[${about}]${valueSpec(value)}`);
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

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
