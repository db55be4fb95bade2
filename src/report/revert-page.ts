/** What a revert would do, or did, as a page for the terminal and as JSON. */
import type { RevertClass } from '../apply/revert-batch.ts';
import type { RevertReport } from '../apply/revert-report.ts';
import { REVERTED } from '../outcomes.ts';
import { fitted } from './columns.ts';
import type { PageStyle } from './dry-run/page.ts';
import { neutral } from './neutral.ts';
import { showCount } from './quantities.ts';
import { countedParts } from './sum.ts';
import { wrapped } from './wrap.ts';

/** Documents named one by one on the page. */
const SHOWN = 20;

/** Lines without newlines. */
export function* revertLines(
  { target, collections, untouched }: RevertReport,
  { isPreview }: { readonly isPreview: boolean },
  { paint, columns }: PageStyle,
): Generator<string> {
  if (!isPreview && collections.every(({ counts }) => Object.values(counts).every((count) => count === 0))) {
    yield `Nothing that this plan restored is left in ${target}: nothing to revert.`;
    return;
  }
  yield paint.strong(isPreview ? `A revert in ${target} would do this:` : `Reverted in ${target}:`);
  for (const { into, counts } of collections) {
    const parts = countedParts<RevertClass>(REVERTED, counts);
    yield* wrapped(`${into}: ${parts.length === 0 ? 'nothing' : parts.join(', ')}`, { columns });
  }
  for (const { into, id, reason } of untouched.slice(0, SHOWN)) {
    yield paint.odd(fitted(neutral(`${REVERTED.changed.one}: ${into} _id ${id}`), columns));
    yield* wrapped(reason, { columns, indent: 4 });
  }
  const count = collections.reduce((sum, { counts }) => sum + counts.changed + counts.deleted, 0);
  const listed = count > untouched.length ? `the first ${showCount(untouched.length)}` : 'them';
  if (count > SHOWN) yield paint.quiet(`… and ${showCount(count - SHOWN)} more; --json lists ${listed}`);
}

/** The last object but one of `revert --json`. */
export function revertObject({ target, digest, collections, untouched }: RevertReport) {
  return {
    type: 'revert',
    target,
    selection: { digest },
    collections: collections.map(({ collection, into, counts }) => ({
      collection,
      into,
      removed: counts.remove,
      putBack: counts.putBack,
      before: counts.gone + counts.back,
      untouched: counts.changed + counts.deleted,
    })),
    untouched,
  } as const;
}
