/** What a dry-run writes to stdout: the page, or the objects of `--json`. */

import { ATTENTION_ORDER } from '../outcomes.ts';
import type { DryRun } from '../report/report-model.ts';
import type { PageStyle } from '../text/terminal.ts';
import type { SpilledDocuments } from './compare-targets.ts';
import type { CommandContext } from './context.ts';
import { pageStyle, writeLines } from './view.ts';
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

export async function writeDryRun(
  context: CommandContext,
  run: DryRun,
  { isFull, spilled }: OutputChoice,
): Promise<void> {
  if (spilled !== undefined && context.options.json) await writeObjects(context, run, { isFull, spilled });
  else await writePage(context, run, isFull ? spilled : undefined);
}

async function writePage(
  context: CommandContext,
  run: DryRun,
  full: SpilledDocuments | undefined,
): Promise<void> {
  const { stdout } = context;
  const style = pageStyle(context);
  await writeLines(stdout, dryRunPage(run, style));
  await writeLines(
    stdout,
    full === undefined
      ? documentsOf(run.comparisons, style, SHOWN)
      : everyDocument(run, full, { ...style, wholeLines: !stdout.isTTY }),
  );
  await writeLines(stdout, dryRunEnd(run, context.now(), style));
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

async function writeObjects(
  context: CommandContext,
  run: DryRun,
  { isFull, spilled }: { readonly isFull: boolean; readonly spilled: SpilledDocuments },
): Promise<void> {
  for (const { target, collections } of run.comparisons) {
    for (const { collection } of collections) {
      for (const documentClass of ATTENTION_ORDER) {
        if (documentClass === 'identical' && !isFull) continue;
        let left = isFull ? Number.POSITIVE_INFINITY : SHOWN;
        for await (const document of spilled.read({ target, collection, documentClass })) {
          context.json(documentObject(target, collection, document));
          await context.stdout.drained();
          if (--left === 0) break;
        }
      }
    }
  }
  context.json(dryRunObject(run));
}
