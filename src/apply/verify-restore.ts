/** Compares what a plan restored with the target again, any time later. Reads only. */

import type { RawValue } from '../bson/types.ts';
import type { Emit } from '../events.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import type { Target } from '../target/target.ts';
import { RestoredIds } from './restored-ids.ts';
import { type Expectation, type Verification, verifySelection } from './verify-selection.ts';

export interface VerifyRequest {
  readonly selection: Selection;
  readonly target: Target;
  /** One document in so many is looked at; 1 = all. */
  readonly every: number;
  readonly emit: Emit;
  readonly signal?: AbortSignal;
}

/**
 * A document that the journal says was inserted or replaced must still have the backup's bytes; any other one was left as it was,
 * so it must only be there.
 */
export async function verifyRestore({ selection, target, ...more }: VerifyRequest): Promise<Verification> {
  const restored = await RestoredIds.read(openLedger(target).journal(selection.manifest.digest));
  const expect = ({ into }: SelectedCollection, _index: number, id: () => RawValue): Expectation =>
    restored.actionOn(into, id()) === undefined ? 'present' : 'restored';
  return verifySelection({ selection, reader: target.reader, expect, ...more });
}
