/** What stands for a plan file in commands that can do without: the variable that holds a connection string, and a database. */
import type { TargetPlan } from '../plan/plan.ts';
import { Secret } from '../secret.ts';
import { type OptionValues, usage } from './command.ts';
import type { CommandContext } from './context.ts';

export const WITHOUT_PLAN = 'Name a plan file, or: --uri-env <variable> --database <name>';

export interface NamedDatabase {
  readonly uri: Secret;
  readonly database: string;
}

/** Undefined where a file is given, or neither of the options. Throws USAGE. */
export function databaseWithoutPlan(
  context: CommandContext,
  file: string | undefined,
  { uriEnv, database }: OptionValues,
): NamedDatabase | undefined {
  if (uriEnv === undefined && database === undefined) return undefined;
  if (file !== undefined) throw usage('--uri-env and --database stand for a plan file', WITHOUT_PLAN);
  if (typeof uriEnv !== 'string' || typeof database !== 'string')
    throw usage('--uri-env and --database are needed together', WITHOUT_PLAN);
  return { uri: connectionStringIn(context, uriEnv), database };
}

/** Throws USAGE when the variable is not set. */
export function connectionStringIn({ env }: CommandContext, variable: string): Secret {
  const uri = env[variable];
  if (!uri)
    throw usage(
      `the variable ${variable} is not set`,
      'Set it to the connection string of the server, or name with --env-file the file that does.',
    );
  return new Secret(uri, variable);
}

/** As a target of a plan that asks for nothing before it is written to. */
export function ungated(database: NamedDatabase): TargetPlan {
  return { ...database, gate: { soakMs: 0, approvals: 0 } };
}
