/**
 * A follow-up that a person does, and ticks off with `plan follow-up done`.
 *
 * Alone because: each kind of follow-up has its file.
 */
import type { ActionOf, FollowUpKind } from '../kind.ts';

export const manual: FollowUpKind<ActionOf<'manual'>> = {
  isForPeople: true,
  secretsOf: () => [],
  faultsOf: async () => [],
  act: async () => ({ succeeded: false, detail: 'it is for a person', output: undefined }),
  explain: ({ text }) => `somebody has to: ${text}`,
  inShort: ({ text }) => text,
};
