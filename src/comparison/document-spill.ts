/**
 * Every compared document of one target, kept on disk while a page is made of them: one JSON object per line, in backup
 * order, one file per collection. Private, and removed when the command ends.
 */
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { AppendFile } from '../selection/append-file.ts';
import { PRIVATE_DIRECTORY } from '../selection/directory.ts';
import type { ComparedDocument } from './comparison.ts';

export class DocumentSpill {
  readonly #folder: string;
  readonly #files = new Map<string, AppendFile>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** `workDirectory` must exist. Throws RestorePlanError UNEXPECTED where nothing can be written. */
  static async create(workDirectory: string): Promise<DocumentSpill> {
    const folder = join(workDirectory, `.comparison-${randomBytes(6).toString('hex')}`);
    await mkdir(folder, { mode: PRIVATE_DIRECTORY });
    return new DocumentSpill(folder);
  }

  async add(collection: string, document: ComparedDocument): Promise<void> {
    let file = this.#files.get(collection);
    if (file === undefined) {
      file = await AppendFile.create(join(this.#folder, `${this.#files.size}.ndjson`));
      this.#files.set(collection, file);
    }
    const line = Buffer.from(`${JSON.stringify(document)}\n`);
    file.append(line, 0, line.length);
    await file.drain();
  }

  /** In backup order. Nothing may be added any more. */
  async *read(collection: string): AsyncGenerator<ComparedDocument, void, undefined> {
    const file = this.#files.get(collection);
    if (file === undefined) return;
    await file.close();
    const lines = createInterface({
      input: createReadStream(file.path),
      crlfDelay: Number.POSITIVE_INFINITY,
    });
    for await (const line of lines) yield JSON.parse(line) as ComparedDocument;
  }

  async remove(): Promise<void> {
    for (const file of this.#files.values()) await file.close().catch(() => undefined);
    await rm(this.#folder, { recursive: true, force: true });
  }
}
