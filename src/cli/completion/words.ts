/** What a shell needs to know of the command line, taken from the command table. */
import type { CommandSpec, OptionSpec } from '../command.ts';

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
