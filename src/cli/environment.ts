/** What is read out of the environment: the env file, whether colours and a live display are wanted, who is working. */
import { readFile } from 'node:fs/promises';
import { hostname, userInfo } from 'node:os';
import { resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { RestorePlanError } from '../errors.ts';
import type { Environment } from '../plan/environment.ts';
import { whyUnreadable } from '../plan/plan-text.ts';
import { registerSecret } from '../secret.ts';
import type { TextWriter } from './context.ts';

/** Variables whose values must not appear anywhere, whoever reads them. */
const SECRET_VARIABLES = ['AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_ACCESS_KEY_ID'] as const;

/** Has every output filtered for the credentials that libraries take from the environment by themselves. */
export function registerSecretVariables(env: Environment): void {
  for (const name of SECRET_VARIABLES) if (env[name] !== undefined) registerSecret(env[name]);
}

/** The variables of an env file (`NAME=value` lines). Throws USAGE when it cannot be read. */
export async function readEnvFile(cwd: string, file: string): Promise<Environment> {
  let text: string;
  try {
    text = await readFile(resolve(cwd, file), 'utf8');
  } catch (cause) {
    throw new RestorePlanError('USAGE', `the env file ${file} cannot be read: ${whyUnreadable(cause)}`, {
      hint: 'Check the path given to --env-file.',
      cause,
    });
  }
  return parseEnv(text);
}

/** `NO_COLOR` and `FORCE_COLOR` as their sites define them; a dumb terminal has no colours. */
export function colorAllowed(env: Environment, stream: TextWriter): boolean {
  if (env['NO_COLOR']) return false;
  if (env['FORCE_COLOR'] !== undefined) return env['FORCE_COLOR'] !== '0';
  return stream.isTTY && env['TERM'] !== 'dumb';
}

/** Whether a display that redraws itself makes sense on this stream. */
export function liveDisplayAllowed(env: Environment, stream: TextWriter): boolean {
  return stream.isTTY && !env['CI'] && env['TERM'] !== 'dumb';
}

/** A user id without a passwd entry (a container's) has no name; it still has to be told apart in the ledger. */
export function operatorOf(env: Environment): { readonly user: string; readonly host: string } {
  let user: string | undefined;
  try {
    user = userInfo().username;
  } catch {
    user = env['USER'] || env['LOGNAME'];
  }
  return { user: user ?? 'unknown', host: hostname() };
}
