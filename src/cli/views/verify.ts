/** What a verification found, as a page for the terminal and as JSON. */

import type { Verification } from '../../apply/verify-selection.ts';
import { RELAXED_TYPES } from '../../backup/backup.ts';
import type { TargetName } from '../../events.ts';
import { VERIFIED, type VerifiedOutcome } from '../../outcomes.ts';
import { countedParts } from '../../report/sum.ts';
import { neutral } from '../../text/escape.ts';
import { showCounted } from '../../text/quantities.ts';
import type { PageStyle } from '../../text/terminal.ts';
import { fitted, wrapped } from '../../text/terminal.ts';
import type { View } from '../view.ts';

/** Documents named one by one on the page. */
const SHOWN = 20;

export interface Verified {
  readonly target: TargetName;
  /** One document in so many was looked at. */
  readonly every: number;
}

/** Lines without newlines. */
export function* verifyLines(
  { collections, differences, failures, relaxed }: Verification,
  { target, every }: Verified,
  { paint, columns }: PageStyle,
): Generator<string> {
  for (const { into, checked, identical, different, missing, kept } of collections) {
    const found = countedParts<VerifiedOutcome>(VERIFIED, { identical, different, missing, kept });
    yield* wrapped(`${into}: ${[`${showCounted(checked, 'document')} compared`, ...found].join(', ')}`, {
      columns,
    });
  }
  yield '';
  for (const { into, id, kind } of differences.slice(0, SHOWN)) {
    yield paint.bad(fitted(neutral(`${kind}: ${into} _id ${id}`), columns));
  }
  if (failures > SHOWN) yield paint.quiet(`… and ${failures - SHOWN} more; --json lists them`);
  if (failures > 0) yield '';
  const sample = every === 1 ? '' : `, one document in ${every}`;
  if (relaxed) yield* wrapped(paint.odd(`The backup: ${RELAXED_TYPES}.`), { columns });
  yield failures === 0
    ? paint.good(`Verified: ${target} holds what was restored, byte for byte${sample}.`)
    : paint.bad(
        `${showCounted(failures, 'document')} of ${target} missing or different from the backup${sample}.`,
      );
}

type VerifiedSelection = Verification & { readonly digest: string };

/** The last object but one of `verify --json`. */
export function verifyObject(
  { digest, collections, differences, failures }: VerifiedSelection,
  { target, every }: Verified,
) {
  return {
    type: 'verify',
    target,
    selection: { digest },
    sample: every,
    collections,
    differences,
    verified: failures === 0,
  } as const;
}

export function verifyView(verification: VerifiedSelection, what: Verified): View {
  return {
    page: (style) => verifyLines(verification, what, style),
    objects: () => [verifyObject(verification, what)],
  };
}
