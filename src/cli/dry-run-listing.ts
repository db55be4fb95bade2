/**
 * What a dry-run writes to stdout: the page, or the objects of `--json`; with the first few documents of each class, or
 * with `--full` all of them. All may be hundreds of thousands, so they pass through a file or straight on to stdout.
 */
import type { ComparedDocument } from '../comparison/comparison.ts';
import { DocumentSpill } from '../comparison/document-spill.ts';
import type { TargetName } from '../events.ts';
import { documentLines, documentsOf, documentsTitle, shortened } from '../report/dry-run/documents.ts';
import { type DryRun, dryRunPage } from '../report/dry-run/page.ts';
import { documentObject, dryRunObject } from '../report/json-results.ts';
import type { CommandContext } from './context.ts';
import { pageStyle, writeLines } from './page.ts';

/** Documents shown per class and collection when `--full` is not given. */
export const SHOWN = 5;

export interface Listing {
  /** Wants every compared document as it comes. */
  readonly each?: (target: TargetName, collection: string, document: ComparedDocument) => Promise<void>;
  write(run: DryRun): Promise<void>;
  close(): Promise<void>;
}

export function openListing(context: CommandContext, full: boolean): Listing {
  if (context.options.json) return full ? new FullObjects(context) : new KeptObjects(context);
  return full ? new FullPage(context) : new KeptPage(context);
}

class KeptPage implements Listing {
  readonly #context: CommandContext;

  constructor(context: CommandContext) {
    this.#context = context;
  }

  async write(run: DryRun): Promise<void> {
    const style = pageStyle(this.#context);
    await writeLines(this.#context.stdout, dryRunPage(run, style));
    await writeLines(this.#context.stdout, documentsOf(run.comparisons, style, SHOWN));
  }

  async close(): Promise<void> {}
}

class FullPage implements Listing {
  readonly #context: CommandContext;
  readonly #spills = new Map<TargetName, DocumentSpill>();

  constructor(context: CommandContext) {
    this.#context = context;
  }

  readonly each = async (
    target: TargetName,
    collection: string,
    document: ComparedDocument,
  ): Promise<void> => {
    let spill = this.#spills.get(target);
    if (spill === undefined) {
      spill = await DocumentSpill.create(this.#context.workDirectory);
      this.#spills.set(target, spill);
    }
    await spill.add(collection, document);
  };

  async write(run: DryRun): Promise<void> {
    const style = pageStyle(this.#context);
    await writeLines(this.#context.stdout, dryRunPage(run, style));
    for (const comparison of run.comparisons) {
      for (const compared of comparison.collections) {
        await writeLines(this.#context.stdout, documentsTitle(comparison.target, compared, style));
        const documents = this.#spills.get(comparison.target)?.read(compared.collection) ?? [];
        for await (const document of documents) {
          await writeLines(this.#context.stdout, documentLines(document, compared.whenMatched, style));
        }
      }
    }
  }

  async close(): Promise<void> {
    for (const spill of this.#spills.values()) await spill.remove();
  }
}

class KeptObjects implements Listing {
  readonly #context: CommandContext;

  constructor(context: CommandContext) {
    this.#context = context;
  }

  async write(run: DryRun): Promise<void> {
    for (const { target, collections } of run.comparisons) {
      for (const each of collections) {
        for (const document of shortened(each, SHOWN).documents) {
          this.#context.json(documentObject(target, each.collection, document));
        }
      }
    }
    this.#context.json(dryRunObject(run));
  }

  async close(): Promise<void> {}
}

class FullObjects implements Listing {
  readonly #context: CommandContext;

  constructor(context: CommandContext) {
    this.#context = context;
  }

  readonly each = async (
    target: TargetName,
    collection: string,
    document: ComparedDocument,
  ): Promise<void> => {
    this.#context.json(documentObject(target, collection, document));
    await this.#context.stdout.drained();
  };

  async write(run: DryRun): Promise<void> {
    this.#context.json(dryRunObject(run));
  }

  async close(): Promise<void> {}
}
