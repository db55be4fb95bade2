/** The compared documents that are listed beside the page, of every target, through the disk: there may be hundreds of thousands, or large ones. */
import type { ComparedDocument } from '../comparison/comparison.ts';
import { DocumentSpill } from '../comparison/document-spill.ts';
import type { TargetName } from '../events.ts';
import type { DocumentPlace } from '../report/report-model.ts';

export class SpilledDocuments {
  readonly #workDirectory: string;
  readonly #spills = new Map<TargetName, DocumentSpill>();

  constructor(workDirectory: string) {
    this.#workDirectory = workDirectory;
  }

  readonly add = async (
    target: TargetName,
    collection: string,
    document: ComparedDocument,
  ): Promise<void> => {
    let spill = this.#spills.get(target);
    if (spill === undefined) {
      spill = await DocumentSpill.create(this.#workDirectory);
      this.#spills.set(target, spill);
    }
    await spill.add(collection, document);
  };

  /** Those of one class, in backup order. `collection` is the name in the backup. Nothing may be added any more. */
  async *read({
    target,
    collection,
    documentClass,
  }: DocumentPlace): AsyncGenerator<ComparedDocument, void, undefined> {
    const spill = this.#spills.get(target);
    if (spill !== undefined) yield* spill.read(collection, documentClass);
  }

  async close(): Promise<void> {
    for (const spill of this.#spills.values()) await spill.remove();
  }
}
