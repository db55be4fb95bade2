/**
 * A follow-up that a person does, and ticks off with `plan follow-up done`.
 *
 * Alone because: each kind of follow-up has its file.
 */
import { givenText } from '../nodes.ts';
import type { FollowUpKind } from './kind.ts';

export interface ManualAction {
  readonly kind: 'manual';
  readonly text: string;
}

export const MANUAL: FollowUpKind<ManualAction> = {
  isForPeople: true,
  options: [],
  isMap: false,
  build: (entry) => ({ kind: 'manual', text: givenText(entry, 'manual') as string }),
  secretsOf: () => [],
  explain: ({ text }) => `somebody has to: ${text}`,
  inShort: ({ text }) => text,
  faultsOf: async () => [],
  act: async () => ({ succeeded: false, detail: 'it is for a person', output: undefined }),
};
