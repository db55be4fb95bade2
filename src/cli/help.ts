/** The parts of help that commander does not write: examples and the exit codes a command can give. */
import { EXIT_CODES } from '../errors.ts';
import type { CommandSpec, ExitName } from './command.ts';

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
  WORK_DIRECTORY: 'the work directory cannot be used: full, not writable, or open to others',
  INTERNAL: 'internal error (a bug)',
  SIGINT: 'SIGINT, after finishing the batch in hand',
  SIGTERM: 'SIGTERM, after finishing the batch in hand',
};

const ALWAYS: readonly ExitName[] = ['OK', 'UNEXPECTED', 'USAGE', 'INTERNAL'];

/** Text that follows a command's options in its `--help`. */
export function helpAfter(spec: CommandSpec): string {
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

export const PROGRAM_HELP_AFTER = [
  '',
  'The usual order:',
  '  $ plan validate plans/incident-4711.yaml',
  '  $ plan dry-run plans/incident-4711.yaml',
  '  $ plan apply plans/incident-4711.yaml --target staging',
  '  $ plan apply plans/incident-4711.yaml --target production',
  '',
  ...exitCodes(Object.keys(EXIT_MEANINGS) as ExitName[]),
  '',
  '`plan <command> --help` shows the options, examples and exit codes of a command.',
].join('\n');
