/**
 * The command line as a whole: finds the command in argv, prepares its context, runs it, and turns whatever happens
 * into one exit code. Nothing here touches the process; `process.ts` hands in what is needed of it.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { EXIT_CODES } from '../errors.ts';
import { VERSION } from '../version.ts';
import type { CommandSpec, ExitName, OptionSpec, OptionValues } from './command.ts';
import { COMMANDS, OPTIONS_EVERYWHERE } from './command-table.ts';
import type { ProcessEdge } from './context.ts';
import { helpAfter, PROGRAM_HELP_AFTER } from './help.ts';
import { openSession, type Session } from './session.ts';
import { requiredOptions, usageError } from './usage-error.ts';

/** Runs one command line (`argv` without node and script) and returns the process's exit code. Throws only bugs. */
export async function runProgram(argv: readonly string[], edge: ProcessEdge): Promise<number> {
  let session: Session | undefined;
  let exit: ExitName = 'OK';
  const program = buildProgram(edge, async (spec, args, options) => {
    session = await openSession(edge, options, planFileOf(spec, args));
    const { run } = await spec.load();
    exit = (await run(session.context, args, options)) ?? 'OK';
  });
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT_CODES.OK;
    const failure = error instanceof CommanderError ? usageError(error, argv) : error;
    // A usage error comes before any context; `--json` was then never parsed, only written.
    session ??= await openSession(edge, { json: argv.includes('--json') });
    return await session.fail(failure);
  }
  return session === undefined ? EXIT_CODES.OK : await session.finish(exit);
}

/** The plan as the operator named it, where the command works on one. */
function planFileOf({ arguments: usage = '' }: CommandSpec, args: readonly string[]): string | undefined {
  const place = usage.split(' ').indexOf('<plan>');
  return place < 0 ? undefined : args[place];
}

/** Heading of the options that every command has. */
const EVERYWHERE = 'Options everywhere:';

type Chosen = (spec: CommandSpec, args: readonly string[], options: OptionValues) => Promise<void>;

function buildProgram(edge: ProcessEdge, chosen: Chosen): Command {
  const program = new Command('plan')
    .description('Restores chosen documents from a MongoDB backup, staging before production.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
    .addHelpText('after', PROGRAM_HELP_AFTER)
    .showSuggestionAfterError(true)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => edge.stdout.write(text),
      // Usage errors are printed in the program's own format, after parsing has thrown.
      writeErr: () => {},
      outputError: () => {},
      getOutHelpWidth: () => Math.min(edge.stdout.columns, 110),
    });
  for (const spec of COMMANDS) program.addCommand(buildCommand(program, spec, chosen));
  return program;
}

function buildCommand(program: Command, spec: CommandSpec, chosen: Chosen): Command {
  const command = new Command(spec.name)
    .copyInheritedSettings(program)
    .summary(spec.summary)
    .description(sentence(spec.summary) + (spec.details === undefined ? '' : `\n\n${spec.details}`))
    .addHelpText('after', helpAfter(spec))
    .allowExcessArguments(false);
  if (spec.arguments !== undefined) command.arguments(spec.arguments);
  for (const option of spec.options ?? []) command.addOption(buildOption(option));
  for (const option of OPTIONS_EVERYWHERE) command.addOption(buildOption(option).helpGroup(EVERYWHERE));
  command.addHelpOption(new Option('-h, --help', 'show help').helpGroup(EVERYWHERE));
  const required = requiredOptions(spec);
  if (required !== '') command.usage(['[options]', spec.arguments, required].join(' '));
  return command.action(() => {
    const args = command.processedArgs.flat().filter((arg): arg is string => typeof arg === 'string');
    if (args.includes(''))
      command.error('an argument is empty; perhaps it is a shell variable that is not set');
    return chosen(spec, args, command.opts<OptionValues>());
  });
}

function buildOption(spec: OptionSpec): Option {
  const option = new Option(spec.flags, spec.description);
  if (spec.choices !== undefined) option.choices(spec.choices);
  if (spec.default !== undefined) option.default(spec.default);
  if (spec.mandatory) option.makeOptionMandatory();
  const parse = option.parseArg;
  let isGiven = false;
  option.argParser((value: string, previous: unknown) => {
    // Mostly a shell variable that is not set; taken for a name it would be the current folder.
    if (value === '') throw new InvalidArgumentError('It is empty.');
    if (spec.repeatable) {
      parse?.(value, undefined as never);
      return [...((previous as readonly string[] | undefined) ?? []), value];
    }
    // The last one would win: of two targets, the one that was perhaps not meant.
    if (isGiven) throw new InvalidArgumentError('The option was given before; give it once.');
    isGiven = true;
    return parse === undefined ? value : parse(value, previous as never);
  });
  return option;
}

function sentence(summary: string): string {
  return `${summary[0]?.toUpperCase()}${summary.slice(1)}.`;
}
