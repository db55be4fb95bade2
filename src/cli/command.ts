/**
 * The shape of a command. Its description is plain data, so that help needs no command's code;
 * the code is imported when the command was chosen.
 */
import type { EXIT_CODES } from '../errors.ts';
import type { CommandContext } from './context.ts';

export type ExitName = keyof typeof EXIT_CODES;

export interface OptionSpec {
  /** As commander writes them: `--target <name>`, `--full`. */
  readonly flags: string;
  readonly description: string;
  readonly choices?: readonly string[];
  readonly mandatory?: boolean;
  readonly default?: string;
  /** May be given more than once; its value is then a list. */
  readonly repeatable?: boolean;
}

export type OptionValue = string | boolean | readonly string[] | undefined;

/** Options by camel-cased name: `--env-file` is `envFile`. */
export type OptionValues = Readonly<Record<string, OptionValue>>;

/** Positional arguments in order; a variadic one contributes each of its values. */
export type RunCommand = (
  context: CommandContext,
  args: readonly string[],
  options: OptionValues,
  // biome-ignore lint/suspicious/noConfusingVoidType: a command that returns nothing has done its work
) => Promise<ExitName | void>;

export interface CommandSpec {
  readonly name: string;
  /** As commander writes them: `<plan>`, `<plan...>`, `[file]`. */
  readonly arguments?: string;
  /** What the first argument may be, where it is a word and not a file; for completion. */
  readonly argumentChoices?: readonly string[];
  readonly summary: string;
  /** Further paragraphs of the command's own help. */
  readonly details?: string;
  readonly options?: readonly OptionSpec[];
  /** Whole command lines. */
  readonly examples: readonly string[];
  /** Exit codes it can give, beside those every command can (0, 1, 11, 70). */
  readonly exits: readonly ExitName[];
  readonly load: () => Promise<{ readonly run: RunCommand }>;
}
