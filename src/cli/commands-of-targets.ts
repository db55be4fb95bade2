/** The commands that look at targets and write to them. */
import {
  CONFIRM,
  CONFIRM_PLAN,
  type CommandSpec,
  EXCLUSIVE,
  READS_BACKUP,
  TARGET,
  THREADS,
  URI_ENV,
} from './command.ts';

/** What any command that asks a target can end with. */
const READS_TARGET = ['PLAN_INVALID', 'TARGET', 'SIGINT', 'SIGTERM'] as const;

export const COMMANDS_OF_TARGETS: readonly CommandSpec[] = [
  {
    name: 'dry-run',
    arguments: '<plan>',
    summary: 'selects the documents and compares them with every reachable target; writes to none',
    details:
      'Reads the backup where it lies, keeps the chosen documents under the work directory, and shows per target what ' +
      'would be inserted, what is already there, and what stands in the way. No target is written to.',
    options: [
      {
        flags: '--target <name>',
        description: 'compare with this target only',
        choices: ['staging', 'production'],
      },
      { flags: '--full', description: 'list every document, not only the first few of each class' },
      {
        flags: '--report <file>',
        description: 'also write a report; the ending says which kind: .html, .md or .json',
        repeatable: true,
      },
      {
        flags: '--report-documents <what>',
        description:
          'reports tell no more of documents than this, nor than the plan says: none, only ids, masked, or whole ones',
        choices: ['none', 'ids', 'masked', 'whole'],
      },
      {
        flags: '--report-mode <mode>',
        description: 'permissions of the reports, as chmod takes them (default: 600, you alone)',
      },
      { flags: '--detailed-exitcode', description: 'exit 2 when there are documents to write' },
      THREADS,
    ],
    examples: [
      'plan dry-run plans/incident-4711.yaml',
      'plan dry-run plans/incident-4711.yaml --target staging --full',
      'plan dry-run plans/incident-4711.yaml --report review.html --report review.md',
    ],
    exits: ['CHANGES_PENDING', ...READS_BACKUP, 'TARGET', 'WORK_DIRECTORY'],
    load: () => import('./commands/dry-run.ts'),
  },
  {
    name: 'apply',
    arguments: '<plan>',
    summary: 'opens the gate, writes the documents, reads them back, does the follow-ups',
    details:
      'Staging comes first: production opens only for a selection that was applied to staging and verified there. ' +
      'A run that was stopped part-way is resumed by the same command. Without --target, on a terminal, the whole ' +
      'runbook is walked: staging, a pause to look at it, production.',
    options: [{ ...TARGET, mandatory: false }, CONFIRM, CONFIRM_PLAN, EXCLUSIVE, THREADS],
    examples: [
      'plan apply plans/incident-4711.yaml',
      'plan apply plans/incident-4711.yaml --target staging',
      'plan apply plans/incident-4711.yaml --target production --confirm gravity',
    ],
    exits: [
      ...READS_BACKUP,
      'TARGET',
      'CONFLICTS',
      'INCOMPLETE',
      'VERIFICATION',
      'LOCKED',
      'GATE',
      'LEDGER_UNSAVED',
      'WORK_DIRECTORY',
    ],
    load: () => import('./commands/apply.ts'),
  },
  {
    name: 'accept',
    arguments: '<plan>',
    summary: 'accepts that documents which cannot be written, or differ, are left out of a target',
    details:
      'Compares, shows the documents that cannot be written to the target or differ there, with those that depend on them alone, and ' +
      'asks. Their places and _ids go into the ledger of that target, for this selection; also before anything was applied. Each apply ' +
      'leaves them out from then on. What is accepted in staging does not hold in production.',
    options: [
      TARGET,
      { flags: '--reason <text>', description: 'why they may be left out; kept in the ledger' },
      {
        flags: '--class <class>',
        description: 'only documents of this class; without it of all three',
        choices: ['conflict', 'refused', 'different'],
        repeatable: true,
      },
      { flags: '--withdraw', description: 'take back what was accepted for this selection' },
      {
        flags: '--confirm <database>',
        description: 'name of the database of the target; replaces the question asked on a terminal',
      },
    ],
    examples: [
      'plan accept plans/incident-4711.yaml --target staging --reason "expired sessions"',
      'plan accept incident.yaml --target production --class conflict --reason "by hand" --confirm gravity',
      'plan accept plans/incident-4711.yaml --target staging --withdraw',
    ],
    exits: [...READS_BACKUP, 'TARGET', 'LOCKED', 'GATE'],
    load: () => import('./commands/accept.ts'),
  },
  {
    name: 'approve',
    arguments: '<plan>',
    summary: "records a second person's approval of the staging run, or of production's exceptions",
    details:
      'Shows what was applied to staging and verified there, and asks for the name of the database that the approval ' +
      'opens. With `--target production` it is what `plan accept` wrote down there.',
    options: [
      {
        flags: '--target <name>',
        description: 'staging (default), or production: what was accepted there',
        choices: ['staging', 'production'],
      },
      {
        flags: '--confirm <database>',
        description: 'name of the production database; replaces the question asked on a terminal',
      },
    ],
    examples: [
      'plan approve plans/incident-4711.yaml',
      'plan approve plans/incident-4711.yaml --confirm gravity',
      'plan approve plans/incident-4711.yaml --target production',
    ],
    exits: [...READS_TARGET, 'GATE'],
    load: () => import('./commands/approve.ts'),
  },
  {
    name: 'status',
    arguments: '<plan>',
    summary: 'where each target stands; open follow-ups; what the gate still misses',
    examples: ['plan status plans/incident-4711.yaml'],
    exits: [...READS_TARGET, 'WORK_DIRECTORY'],
    load: () => import('./commands/status.ts'),
  },
  {
    name: 'verify',
    arguments: '<plan>',
    summary: 'compares the restored documents again, any time',
    options: [
      TARGET,
      { flags: '--sample <fraction>', description: 'compare one document in so many, for instance 1/100' },
    ],
    examples: ['plan verify plans/incident-4711.yaml --target production'],
    exits: [...READS_BACKUP, 'TARGET', 'VERIFICATION', 'WORK_DIRECTORY'],
    load: () => import('./commands/verify.ts'),
  },
  {
    name: 'revert',
    arguments: '[plan]',
    summary: 'removes what this plan inserted and nobody has changed since; puts back what it replaced',
    details:
      'Takes back every run of the plan in the target, whatever it selected then, the last write first. The ledger in the target is all ' +
      'it needs: of the plan file only the name and the target are used, and --plan-name does without the file.',
    options: [
      { ...TARGET, mandatory: false },
      CONFIRM,
      { flags: '--dry-run', description: 'only show what would be taken back, and what not' },
      {
        flags: '--detailed-exitcode',
        description: 'with --dry-run: end with 2 when there is something to take back',
      },
      {
        flags: '--selection <digest>',
        description: 'take back this run alone; the beginning of its digest is enough',
      },
      { flags: '--plan-name <name>', description: 'name of the plan, where its file is not at hand' },
      {
        flags: '--uri-env <variable>',
        description: 'with --plan-name: the variable that holds the connection string',
      },
      { flags: '--database <name>', description: 'with --plan-name: the database of the target' },
      EXCLUSIVE,
    ],
    examples: [
      'plan revert plans/incident-4711.yaml --target staging --dry-run',
      'plan revert plans/incident-4711.yaml --target production --confirm gravity',
      'plan revert --plan-name incident-4711 --uri-env PRODUCTION_URI --database gravity --dry-run',
    ],
    exits: [
      ...READS_BACKUP,
      'CHANGES_PENDING',
      'TARGET',
      'CONFLICTS',
      'INCOMPLETE',
      'LOCKED',
      'GATE',
      'LEDGER_UNSAVED',
      'WORK_DIRECTORY',
    ],
    load: () => import('./commands/revert.ts'),
  },
  {
    name: 'unlock',
    arguments: '[plan]',
    summary: 'releases the lock of a run whose process is known to be dead',
    options: [
      TARGET,
      { flags: '--holder <holder>', description: 'the holder as the refusal named it', mandatory: true },
      URI_ENV,
      { flags: '--database <name>', description: 'without a plan: the database of the target' },
    ],
    examples: [
      'plan unlock plans/incident-4711.yaml --target staging --holder alice@ops-1:4242',
      'plan unlock --uri-env PRODUCTION_URI --database gravity --target production --holder alice@ops-1:4242',
    ],
    exits: [...READS_TARGET, 'LOCKED'],
    load: () => import('./commands/unlock.ts'),
  },
  {
    name: 'follow-up',
    arguments: '<action> <plan> [name]',
    argumentChoices: ['list', 'run', 'done'],
    summary: 'lists, runs or ticks off the follow-ups of a plan: list, run, done',
    options: [
      { ...TARGET, mandatory: false },
      { flags: '--note <text>', description: 'what was done, for the ledger' },
      {
        flags: '--again',
        description:
          'run one again of which it is not known whether it ran to its end (refused while it is going on), or that counts as done ' +
          'because it was done for an earlier run',
      },
    ],
    examples: [
      'plan follow-up list plans/incident-4711.yaml',
      'plan follow-up run plans/incident-4711.yaml --target staging',
      'plan follow-up done plans/incident-4711.yaml "Tell the partner" --note "mailed on Tuesday"',
    ],
    exits: [...READS_TARGET, 'INCOMPLETE', 'LEDGER_UNSAVED', 'WORK_DIRECTORY'],
    load: () => import('./commands/follow-up.ts'),
  },
];
