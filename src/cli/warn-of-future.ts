/** A slip in `source.at` that the clock can tell. */
import type { Plan } from '../plan/plan.ts';
import type { CommandContext } from './context.ts';

/** The last good moment has passed when somebody restores; a slip in the year would take the newest backup. */
export function warnOfFuture(
  { emit, now }: Pick<CommandContext, 'emit' | 'now'>,
  { source: { at } }: Plan,
): void {
  if (at === undefined || at.epochMs <= now()) return;
  emit({
    type: 'warning',
    message: `source.at ${at.text} is still to come: every backup is older, also one from after the loss.`,
  });
}
