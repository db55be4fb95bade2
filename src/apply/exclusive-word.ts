/** The operator's word that nobody else writes meanwhile (`--exclusive`): what it takes to replace or remove on a standalone. */
import { RestorePlanError } from '../errors.ts';
import type { SelectionManifest } from '../selection/selection.ts';
import type { Target } from '../target/target.ts';

export interface ExclusiveQuestion {
  readonly target: Pick<Target, 'name'> & { readonly reader: Pick<Target['reader'], 'identity'> };
  readonly exclusive: boolean;
  /** Whether documents that are there may be replaced or removed. */
  readonly overwrites: boolean;
}

/**
 * Without transactions, a document that changes in the last moment cannot be told by its bytes. Throws RestorePlanError: TARGET where
 * the word is missing, USAGE where it says nothing.
 */
export function requireExclusiveWord({ target, exclusive, overwrites }: ExclusiveQuestion): void {
  const { name, reader } = target;
  const { kind } = reader.identity;
  if (kind !== 'standalone') {
    if (!exclusive) return;
    throw new RestorePlanError('USAGE', `--exclusive is for standalones, and ${name} is a ${kind}`, {
      hint: 'Leave it out: here, every document is compared and written in one transaction.',
    });
  }
  if (exclusive || !overwrites) return;
  throw new RestorePlanError(
    'TARGET',
    `${name} is a standalone, which has no transactions: what somebody writes meanwhile could be lost`,
    { hint: 'Stop what writes to it, then give that word with `--exclusive`; or make it a replica set.' },
  );
}

/** Whether an apply of the selection may change documents that are there. */
export function mayOverwrite({ collections }: Pick<SelectionManifest, 'collections'>): boolean {
  return collections.some(
    ({ count, whenMatched }) => count > 0 && whenMatched !== 'keepExisting' && whenMatched !== 'fail',
  );
}
