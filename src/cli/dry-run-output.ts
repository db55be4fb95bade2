/** What a dry-run writes to stdout: the page, or the objects of `--json`. */

import { ATTENTION_ORDER } from '../outcomes.ts';
import type { DryRun } from '../report/report-model.ts';
import type { PageStyle } from '../text/terminal.ts';
import type { SpilledDocuments } from './compare-targets.ts';
import type { View } from './view.ts';
import { documentObject, dryRunEnd, dryRunObject, dryRunPage } from './views/dry-run.ts';
import { danglingOf, documentLines, documentsOf, documentsTitle } from './views/dry-run-documents.ts';

/** Documents shown per class and collection when `--full` is not given. */
export const SHOWN = 5;

interface OutputChoice {
  /** Every document is listed, not only the first few of each class. */
  readonly isFull: boolean;
  /** Always there for `--json` and where every document is listed. */
  readonly spilled: SpilledDocuments | undefined;
}

/** `now`: UTC milliseconds. `isRead`: the page goes to a file or a program, whose lines are not cut. */
export function dryRunView(
  run: DryRun,
  { isFull, spilled }: OutputChoice,
  { now, isRead }: { readonly now: number; readonly isRead: boolean },
): View {
  return {
    async *page(style) {
      yield* dryRunPage(run, style);
      if (isFull && spilled !== undefined)
        yield* everyDocument(run, spilled, { ...style, wholeLines: isRead });
      else yield* documentsOf(run.comparisons, style, SHOWN);
      yield* dryRunEnd(run, now, style);
    },
    objects: () => objectsOf(run, { isFull, spilled }),
  };
}

async function* everyDocument(run: DryRun, full: SpilledDocuments, style: PageStyle): AsyncGenerator<string> {
  for (const { target, collections } of run.comparisons) {
    for (const compared of collections) {
      const { collection, whenMatched } = compared;
      yield* documentsTitle(target, compared, style);
      for (const documentClass of ATTENTION_ORDER) {
        for await (const document of full.read({ target, collection, documentClass })) {
          yield* documentLines(document, whenMatched, style);
        }
      }
      yield* danglingOf(compared, style);
    }
  }
}

async function* objectsOf(
  run: DryRun,
  { isFull, spilled }: OutputChoice,
): AsyncGenerator<{ readonly type: string }> {
  for (const { target, collections } of run.comparisons) {
    for (const { collection } of collections) {
      for (const documentClass of ATTENTION_ORDER) {
        if (spilled === undefined || (documentClass === 'identical' && !isFull)) continue;
        let left = isFull ? Number.POSITIVE_INFINITY : SHOWN;
        for await (const document of spilled.read({ target, collection, documentClass })) {
          yield documentObject(target, collection, document);
          if (--left === 0) break;
        }
      }
    }
  }
  yield dryRunObject(run);
}
