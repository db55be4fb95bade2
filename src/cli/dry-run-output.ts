/** What a dry-run writes to stdout: the page, or the objects of `--json`. */

import { ATTENTION_ORDER } from '../outcomes.ts';
import {
  danglingOf,
  documentLines,
  documentsOf,
  documentsTitle,
  shortened,
} from '../report/dry-run/documents.ts';
import { type DryRun, dryRunPage, type PageStyle } from '../report/dry-run/page.ts';
import { documentObject, dryRunObject } from '../report/json-results.ts';
import type { CommandContext } from './context.ts';
import type { FullDocuments } from './full-documents.ts';
import { pageStyle, writeLines } from './page.ts';

/** Documents shown per class and collection when `--full` is not given. */
export const SHOWN = 5;

/** `full`: every document is listed, not only the first few of each class. */
export async function writeDryRun(
  context: CommandContext,
  run: DryRun,
  full: FullDocuments | undefined,
): Promise<void> {
  if (context.options.json) await writeObjects(context, run, full);
  else await writePage(context, run, full);
}

async function writePage(
  context: CommandContext,
  run: DryRun,
  full: FullDocuments | undefined,
): Promise<void> {
  const { stdout } = context;
  const style = pageStyle(context);
  await writeLines(stdout, dryRunPage(run, style));
  await writeLines(
    stdout,
    full === undefined ? documentsOf(run.comparisons, style, SHOWN) : everyDocument(run, full, style),
  );
}

async function* everyDocument(run: DryRun, full: FullDocuments, style: PageStyle): AsyncGenerator<string> {
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
  full: FullDocuments | undefined,
): Promise<void> {
  for (const { target, collections } of run.comparisons) {
    for (const compared of collections) {
      const { collection } = compared;
      if (full === undefined) {
        for (const document of shortened(compared, SHOWN).documents) {
          context.json(documentObject(target, collection, document));
        }
        continue;
      }
      for (const documentClass of ATTENTION_ORDER) {
        for await (const document of full.read({ target, collection, documentClass })) {
          context.json(documentObject(target, collection, document));
          await context.stdout.drained();
        }
      }
    }
  }
  context.json(dryRunObject(run));
}
