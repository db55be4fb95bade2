/**
 * Every command of the program, in the order in which an operator meets them. One entry registers a command.
 */
import { CONFIRM, CONFIRM_PLAN, type CommandSpec, EXCLUSIVE, OPTIONS_EVERYWHERE, TARGET } from './command.ts';

/** What any command that opens the backup can end with. */
const READS_BACKUP = ['PLAN_INVALID', 'BACKUP', 'SIGINT', 'SIGTERM'] as const;
const READS_TARGET = ['PLAN_INVALID', 'TARGET', 'SIGINT', 'SIGTERM'] as const;

export const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'init',
    arguments: '[file]',
    summary: 'writes a commented plan to fill in',
    details:
      'Asks on a terminal for what no option gives, and can look into the backup to offer its databases and ' +
      'collections, to count what a query matches, and to find what refers to the collections that were chosen. `<` takes ' +
      'one step back; answers of an interview that was stopped are kept for the next one. What stays open is left empty, ' +
      'and `plan validate` names it. An existing file is never overwritten.',
    options: [
      { flags: '--name <name>', description: 'name of the plan' },
      { flags: '--reason <text>', description: 'why the restore is needed' },
      {
        flags: '--source <place>',
        description: 'the backup: a path or s3://bucket/key, with {time:…} and *',
      },
      { flags: '--timezone <zone>', description: 'time zone of the times in the name' },
      { flags: '--at <instant>', description: 'last moment at which the data was good, with its offset' },
      {
        flags: '--oplog-uri-env <variable>',
        description:
          'roll the documents forward to that moment, by the oplog of the replica set whose connection string the variable holds',
      },
      { flags: '--endpoint <address>', description: 'address of a store that is not AWS' },
      { flags: '--region <name>', description: 'region of the bucket, if not the usual one' },
      { flags: '--database <name>', description: 'database inside the backup' },
      {
        flags: '--collection <name=query>',
        description: 'a collection to restore from, with or without its query',
        repeatable: true,
      },
      { flags: '--staging-database <name>', description: 'database in staging' },
      { flags: '--production-database <name>', description: 'database in production; - for none' },
      { flags: '--look', description: 'look into the backup without asking' },
    ],
    examples: [
      'plan init plans/incident-4711.yaml',
      `plan init incident.yaml --source dump/ --database gravity --collection 'artworks={ sold: true }'`,
    ],
    exits: ['SIGINT', 'SIGTERM'],
    load: () => import('./commands/init.ts'),
  },
  {
    name: 'validate',
    arguments: '<plan...>',
    summary: 'checks plans without touching any network',
    options: [
      { flags: '--require-env', description: 'a variable that is not set is a fault, not a note' },
      {
        flags: '--format <format>',
        description: 'how faults are written',
        choices: ['text', 'github', 'json', 'sarif'],
        default: 'text',
      },
    ],
    examples: ['plan validate plans/incident-4711.yaml', 'plan validate --format github plans/*.yaml'],
    exits: ['PLAN_INVALID'],
    load: () => import('./commands/validate.ts'),
  },
  {
    name: 'explain',
    arguments: '<plan>',
    summary: 'says in prose what the plan will do',
    examples: ['plan explain plans/incident-4711.yaml'],
    exits: ['PLAN_INVALID'],
    load: () => import('./commands/explain.ts'),
  },
  {
    name: 'backups',
    arguments: '<plan>',
    summary: 'lists the backups that the plan could use, which holds what, and the choice',
    examples: ['plan backups plans/incident-4711.yaml'],
    exits: READS_BACKUP,
    load: () => import('./commands/backups.ts'),
  },
  {
    name: 'oplog',
    arguments: '<action> [plan]',
    argumentChoices: ['check', 'save'],
    summary: 'says how far the oplog of a plan reaches, or saves what is needed of it: check, save',
    details:
      'An oplog is overwritten as it goes on: what happened at nine may be gone at ten. `check` tells how far it reaches, whether that is enough for the plan, and ' +
      'how long until what is needed is overwritten. `save` copies the entries that the collections of the plan need into a file that `source.oplog.path` ' +
      'takes; run again, it goes on where it was stopped, or adds what came since. Both read no documents, and take a plan without queries, reason or targets, or no plan.',
    options: [
      { flags: '--to <file>', description: 'save: the file (default: in the work directory)' },
      {
        flags: '--uri-env <variable>',
        description: 'without a plan: the variable that holds the connection string',
      },
      {
        flags: '--database <name>',
        description: 'without a plan: the database, of which every collection counts',
      },
    ],
    examples: [
      'plan oplog check plans/incident-4711.yaml',
      'plan oplog save plans/incident-4711.yaml',
      'plan oplog save --uri-env PRODUCTION_OPLOG_URI --database gravity --to gravity.oplog.bson',
    ],
    exits: [...READS_BACKUP, 'LOCKED', 'WORK_DIRECTORY'],
    load: () => import('./commands/oplog.ts'),
  },
  {
    name: 'history',
    arguments: '[plan]',
    summary: 'says what the oplog knows of the collections of a plan: what was deleted, changed, inserted',
    details:
      'Operations of one kind that follow each other closely are told as one run: when, how many, which fields, some _ids, whose session, and how many of what was ' +
      'deleted is there again. Expiry by a TTL index, overruns of a capped collection, migrations and copies that the server makes for itself are told apart, ' +
      'as far as can be told. Takes a plan without queries, reason or targets, or no plan.',
    options: [
      { flags: '--since <instant>', description: 'only what happened at this moment or later' },
      { flags: '--until <instant>', description: 'only what happened before this moment' },
      { flags: '--collection <name>', description: 'only this collection', repeatable: true },
      {
        flags: '--users <names>',
        description: 'name@database of users, separated by commas: a session that is theirs is told by name',
      },
      {
        flags: '--uri-env <variable>',
        description: 'without a plan: the variable that holds the connection string',
      },
      {
        flags: '--database <name>',
        description: 'without a plan: the database, of which every collection counts',
      },
    ],
    examples: [
      'plan history plans/incident-4711.yaml --since 2026-11-22T08:45:00-07:00',
      'plan history --uri-env PRODUCTION_OPLOG_URI --database gravity --collection artworks',
    ],
    exits: [...READS_BACKUP, 'WORK_DIRECTORY'],
    load: () => import('./commands/history.ts'),
  },
  {
    name: 'select',
    arguments: '<plan>',
    summary: 'selects the documents and stops; connects to no target',
    details:
      'The documents are kept in the work directory, as a dump that mongorestore reads too. A dry-run and an apply of the same plan ' +
      'use them, and do not read the backup again.',
    examples: ['plan select plans/incident-4711.yaml', 'plan select plans/incident-4711.yaml --json'],
    exits: [...READS_BACKUP, 'WORK_DIRECTORY'],
    load: () => import('./commands/select.ts'),
  },
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
        description: 'reports tell less of documents than the plan says: none, only ids, or masked ones',
        choices: ['none', 'ids', 'masked', 'whole'],
      },
      {
        flags: '--report-mode <mode>',
        description: 'permissions of the reports, as chmod takes them (default: 600, you alone)',
      },
      { flags: '--detailed-exitcode', description: 'exit 2 when there are documents to insert or replace' },
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
    options: [{ ...TARGET, mandatory: false }, CONFIRM, CONFIRM_PLAN, EXCLUSIVE],
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
    arguments: '<plan>',
    summary: 'releases the lock of a run whose process is known to be dead',
    options: [
      TARGET,
      { flags: '--holder <holder>', description: 'the holder as the refusal named it', mandatory: true },
    ],
    examples: ['plan unlock plans/incident-4711.yaml --target staging --holder alice@ops-1:4242'],
    exits: [...READS_TARGET, 'LOCKED'],
    load: () => import('./commands/unlock.ts'),
  },
  {
    name: 'follow-up',
    arguments: '<action> <plan> [name]',
    argumentChoices: ['list', 'run', 'done'],
    summary: 'runs or ticks off loose ends: list, run, done',
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
      'plan follow-up done plans/incident-4711.yaml "Tell the partner" --note "mailed on Tuesday"',
    ],
    exits: [...READS_TARGET, 'INCOMPLETE', 'LEDGER_UNSAVED', 'WORK_DIRECTORY'],
    load: () => import('./commands/follow-up.ts'),
  },
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
