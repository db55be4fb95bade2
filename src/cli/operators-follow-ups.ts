import type { FollowUpStatus } from '../follow-ups/follow-up-status.ts';
import { type FollowUpRequest, runFollowUps } from '../follow-ups/run-follow-ups.ts';
import type { CommandContext } from './context.ts';

/** Runs follow-ups as the operator of this command, in the command's environment. */
export function runOperatorsFollowUps(
  context: CommandContext,
  request: Pick<FollowUpRequest, 'plan' | 'target' | 'only' | 'again'>,
): Promise<FollowUpStatus[]> {
  return runFollowUps(context, { ...request, actor: context.operator, environment: context.env });
}
