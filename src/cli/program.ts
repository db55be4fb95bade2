/**
 * The command line as a whole: finds the command in argv, prepares its context, runs it, and turns whatever happens
 * into one exit code. Nothing here touches the process; `process.ts` hands in what is needed of it.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { EXIT_CODES, RestorePlanError } from '../errors.ts';
import { nearest } from '../plan/nearest.ts';
import { VERSION } from '../version.ts';
import {
  type CommandSpec,
  type ExitName,
  OPTIONS_EVERYWHERE,
  type OptionSpec,
  type OptionValues,
} from './command.ts';
import { COMMANDS_OF_PLANS } from './commands-of-plans.ts';
import { COMMANDS_OF_TARGETS } from './commands-of-targets.ts';
import type { ProcessEdge } from './context.ts';
import type { GivenWords } from './given-words.ts';
import { openSession, type Session } from './session.ts';

/** Every command, in the order in which an operator meets them; here those of the program itself. One entry registers a command. */
export const COMMANDS: readonly CommandSpec[] = [
  ...COMMANDS_OF_PLANS,
  ...COMMANDS_OF_TARGETS,
  {
    name: 'schema',
    summary: 'prints the JSON Schema of plan files',
    examples: ['plan schema > restore-plan.schema.json'],
    exits: [],
    load: () => import('./commands/schema.ts'),
  },
  {
    name: 'completion',
    arguments: '<shell> [plan]',
    argumentChoices: ['bash', 'zsh', 'fish'],
    summary: 'prints the completion script for bash, zsh or fish',
    details:
      'Load it with `source <(plan completion bash)`, or with `plan completion fish | source`. It completes commands, ' +
      'options and their values, plan files, and after `plan follow-up done <plan>` the names of the follow-ups of that ' +
      'plan, which it reads with `plan completion follow-ups <plan>`.',
    examples: ['plan completion bash > ~/.local/share/bash-completion/completions/plan'],
    exits: ['PLAN_INVALID'],
    load: async () => (await import('./commands/completion.ts')).completionOf(COMMANDS, OPTIONS_EVERYWHERE),
  },
];

/** Runs one command line (`argv` without node and script) and returns the process's exit code. Throws only bugs. */
export async function runProgram(argv: readonly string[], edge: ProcessEdge): Promise<number> {
  let session: Session | undefined;
  let exit: ExitName = 'OK';
  const program = buildProgram(edge, argv, async (spec, args, options) => {
    session = await openSession(edge, options, planOf(spec, args, options));
    const { run } = await spec.load();
    exit = (await run(session.context, args, options)) ?? 'OK';
  });
  try {
    requireCommand(argv);
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

/** Commander answers `plan nonsense --help` with the help of the program, and success. */
function requireCommand([word = '', ...rest]: readonly string[]): void {
  const isNamed = word.startsWith('-') || ['', 'help', ...COMMANDS.map(({ name }) => name)].includes(word);
  if (!isNamed && rest.some((each) => each === '--help' || each === '-h')) throw unknownCommand(word);
}

function commandIn([word]: readonly string[]): CommandSpec | undefined {
  return COMMANDS.find(({ name }) => name === word);
}

/** The plan as the operator named it, where the command works on one. */
function planOf(
  { arguments: usage = '' }: CommandSpec,
  args: readonly string[],
  { planName, uriEnv, database }: OptionValues,
): GivenWords['plan'] {
  const place = usage.split(' ').findIndex((word) => word === '<plan>' || word === '[plan]');
  const file = place < 0 ? undefined : args[place];
  if (file !== undefined || typeof uriEnv !== 'string' || typeof database !== 'string') return file;
  return { planName: typeof planName === 'string' ? planName : undefined, uriEnv, database };
}

/** Heading of the options that every command has. */
const EVERYWHERE = 'Options everywhere:';

type Chosen = (spec: CommandSpec, args: readonly string[], options: OptionValues) => Promise<void>;

function buildProgram(edge: ProcessEdge, argv: readonly string[], chosen: Chosen): Command {
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
  // One that is named needs no description of the others.
  const named = commandIn(argv);
  for (const spec of named === undefined ? COMMANDS : [named])
    program.addCommand(buildCommand(program, spec, chosen));
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

// The parts of help that commander does not write: examples and the exit codes a command can give.

/** Meaning of each exit code; the table of the README is tested against it. */
export const EXIT_MEANINGS: Readonly<Record<ExitName, string>> = {
  OK: 'done, or nothing to do',
  UNEXPECTED: 'unexpected failure',
  CHANGES_PENDING: 'only with `--detailed-exitcode`: a dry-run found documents to write, or to take back',
  PLAN_INVALID: 'plan invalid',
  USAGE: 'wrong usage',
  BACKUP: 'backup missing, changed, unreadable or corrupt; or a query matched nothing',
  TARGET: 'target unreachable or refused (wrong kind of server, missing privilege, view, time series)',
  CONFLICTS: 'conflicts: some documents cannot be inserted; in a revert, some were left alone',
  INCOMPLETE: 'stopped part-way; run again to resume',
  VERIFICATION: 'verification found differences',
  LOCKED: 'another run holds the lock',
  GATE: 'gate refused',
  LEDGER_UNSAVED: 'documents written but the ledger could not be saved (a local record was)',
  WORK_DIRECTORY: 'the work directory or the exchange cannot be used: full, not writable, or open to others',
  INTERNAL: 'internal error (a bug)',
  SIGINT: 'SIGINT, after finishing the batch in hand',
  SIGTERM: 'SIGTERM, after finishing the batch in hand',
};

const ALWAYS: readonly ExitName[] = ['OK', 'UNEXPECTED', 'USAGE', 'INTERNAL'];

/** Text that follows a command's options in its `--help`. */
function helpAfter(spec: CommandSpec): string {
  const exits = [...new Set([...ALWAYS, ...spec.exits])].sort((a, b) => EXIT_CODES[a] - EXIT_CODES[b]);
  const examples = spec.examples.map((line) => `  $ ${line}`);
  return ['', 'Examples:', ...examples, '', ...exitCodes(exits)].join('\n');
}

function exitCodes(exits: readonly ExitName[]): string[] {
  const width = Math.max(...exits.map((name) => String(EXIT_CODES[name]).length));
  return [
    'Exit codes:',
    ...exits.map((name) => `  ${String(EXIT_CODES[name]).padStart(width)}  ${EXIT_MEANINGS[name]}`),
  ];
}

const PROGRAM_HELP_AFTER = [
  '',
  'The usual order:',
  '  $ plan init plans/incident-4711.yaml',
  '  $ plan validate plans/incident-4711.yaml',
  '  $ plan dry-run plans/incident-4711.yaml',
  '  $ plan apply plans/incident-4711.yaml --target staging',
  '  $ plan apply plans/incident-4711.yaml --target production',
  '',
  ...exitCodes(Object.keys(EXIT_MEANINGS) as ExitName[]),
  '',
  '`plan <command> --help` shows the options, examples and exit codes of a command.',
].join('\n');

// What commander says of a command line, as the program's own error: what is wrong, what was meant, where to look.

/** `argv` is the command line that commander refused. */
function usageError({ code, message }: CommanderError, argv: readonly string[]): RestorePlanError {
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
function requiredOptions({ options = [] }: CommandSpec): string {
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
  const command = commandIn(argv);
  if (command === undefined) return '`plan --help` lists the commands.';
  const usage = ['plan', command.name, command.arguments, requiredOptions(command)].filter(Boolean).join(' ');
  return `It is used as \`${usage}\`; \`plan ${command.name} --help\` shows all options.`;
}
