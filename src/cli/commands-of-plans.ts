/** The commands that connect to no target: from a new plan to its selection. */
import { type CommandSpec, INSTEAD_OF_PLAN, READS_BACKUP, THREADS, TOGETHER } from './command.ts';

export const COMMANDS_OF_PLANS: readonly CommandSpec[] = [
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
      'takes, or below a prefix of a bucket for `source.oplog.s3`; run again, it goes on where it was stopped, or adds what came since. Both read no documents, and take a plan without queries, reason or targets, or no plan.',
    options: [
      {
        flags: '--to <place>',
        description:
          'save: a file, for shards a folder, or s3://bucket/prefix (default: a file in the work directory)',
      },
      ...INSTEAD_OF_PLAN,
    ],
    examples: [
      'plan oplog check plans/incident-4711.yaml',
      'plan oplog save plans/incident-4711.yaml',
      'plan oplog save --uri-env PRODUCTION_OPLOG_URI --database gravity --to gravity.oplog.bson',
      'plan oplog save plans/incident-4711.yaml --to s3://gravity-incidents/4711/oplog',
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
      ...INSTEAD_OF_PLAN,
    ],
    examples: [
      'plan history plans/incident-4711.yaml --since 2026-11-22T08:45:00-07:00',
      'plan history --uri-env PRODUCTION_OPLOG_URI --database gravity --collection artworks',
    ],
    exits: [...READS_BACKUP, 'WORK_DIRECTORY'],
    load: () => import('./commands/history.ts'),
  },
  {
    name: 'sources',
    arguments: '[plan]',
    summary: 'says what could give back what was lost, and until when: pre-images, snapshot, oplog, backups',
    details:
      'Asks the server that lost the documents (targets.production, or the one that source.snapshot, source.preImages or source.oplog.mongodb names) how far its pre-images, its own history and its oplog reach, and looks ' +
      'which backup the plan would take. Says of each whether it could answer, until when, which rights the user lacks, and what to write into the plan. ' +
      'Reads no documents; takes a plan without queries, reason or targets, or no plan.',
    options: INSTEAD_OF_PLAN,
    examples: [
      'plan sources plans/incident-4711.yaml',
      'plan sources --uri-env PRODUCTION_MONGODB_URI --database gravity',
    ],
    exits: READS_BACKUP,
    load: () => import('./commands/sources.ts'),
  },
  {
    name: 'select',
    arguments: '<plan>',
    summary: 'selects the documents and stops; connects to no target',
    details:
      'The documents are kept in the work directory, as a dump that mongorestore reads too. A dry-run and an apply of the same plan ' +
      'use them, and do not read the backup again.',
    options: [THREADS, ...TOGETHER],
    examples: [
      'plan select plans/incident-4711.yaml',
      'plan select plans/incident-4711.yaml --engine slurm --workers 100 --exchange /shared/restore',
      'plan select incident.yaml --engine kubernetes --image plan:1 --workers 100 --exchange s3://parts/4711',
    ],
    exits: [...READS_BACKUP, 'INCOMPLETE', 'WORK_DIRECTORY'],
    load: () => import('./commands/select.ts'),
  },
];
