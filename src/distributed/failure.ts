/**
 * Why a worker gave up, in words that whoever waits for it can act on. No screen of a worker need be found for that.
 */
import { hostname } from 'node:os';
import { Advice } from '../advice.ts';
import { type ErrorCode, EXIT_CODES, RestorePlanError } from '../errors.ts';
import { redact } from '../secret.ts';
import type { Exchange } from './exchange.ts';
import { type Mark, type MarkedFile, refused, type Undertaking } from './undertaking.ts';

interface Together {
  readonly exchange: Exchange;
  readonly undertaking: Undertaking;
}

/** Puts what a worker was stopped by into the exchange, without secrets. A stop by a signal is no failure. */
export async function reportFailure(
  { exchange, undertaking }: Together,
  mark: Omit<Mark, 'kind'>,
  error: unknown,
): Promise<void> {
  const known = error instanceof RestorePlanError ? error : undefined;
  if (known !== undefined && ['SIGINT', 'SIGTERM'].includes(known.code)) return;
  const told = {
    code: known?.code ?? 'INTERNAL',
    message: known?.message ?? String(error),
    advice: known?.advice?.parts,
    facts: known?.facts ?? {},
    host: hostname(),
  };
  await undertaking.put(exchange, { ...mark, kind: 'failure' }, [Buffer.from(redact(JSON.stringify(told)))]);
}

/** The same as an error of the coordinator's. Throws WORK_DIRECTORY of one that is none. */
export async function reportedFailure(
  { exchange, undertaking }: Together,
  failed: MarkedFile,
): Promise<RestorePlanError> {
  const told = toldIn(await undertaking.get(exchange, failed));
  if (told === undefined) throw refused(exchange, failed.file, 'does not say why a worker gave up');
  const { code, message, advice, facts, host } = told;
  const known =
    Object.hasOwn(EXIT_CODES, code) && !['OK', 'CHANGES_PENDING'].includes(code)
      ? (code as ErrorCode)
      : 'UNEXPECTED';
  return new RestorePlanError(known, `worker ${failed.id} on ${host}: ${message}`, {
    hint: advice && new Advice(advice),
    facts: { ...facts, worker: Number(failed.id), host },
  });
}

interface Told {
  readonly code: string;
  readonly message: string;
  readonly advice?: Advice['parts'];
  readonly facts: Readonly<Record<string, unknown>>;
  readonly host: string;
}

function toldIn(content: Buffer): Told | undefined {
  try {
    const told = JSON.parse(content.toString('utf8')) as Told;
    const { advice = [], facts } = told;
    const isTold =
      [told.code, told.message, told.host].every((each) => typeof each === 'string') &&
      Array.isArray(advice) &&
      advice.every(isSaid) &&
      typeof facts === 'object';
    return isTold ? told : undefined;
  } catch {
    return undefined; // no JSON, or null
  }
}

function isSaid(part: unknown): boolean {
  if (typeof part !== 'object' || part === null) return typeof part === 'string';
  const { command, option } = part as Record<string, unknown>;
  return typeof (command ?? option) === 'string';
}
