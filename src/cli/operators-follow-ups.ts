import type { FollowUpStatus } from '../follow-ups/follow-up-status.ts';
import { type FollowUpRequest, runFollowUps } from '../follow-ups/run-follow-ups.ts';
import type { CommandContext } from './context.ts';

/** Runs follow-ups as the operator of this command, in the command's environment. */
export function runOperatorsFollowUps(
  { emit, signal, workDirectory, operator: actor, env: environment }: CommandContext,
  request: Pick<FollowUpRequest, 'plan' | 'target' | 'only' | 'again'>,
): Promise<FollowUpStatus[]> {
  return runFollowUps({ ...request, actor, environment, workDirectory, emit, signal });
}
