/**
 * Every compared document of one target, kept on disk while a page is made of them: one JSON object per line, one file per
 * class, however many collections there are. Private, and removed when the command ends.
 */
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ATTENTION_ORDER, type DocumentClass } from '../outcomes.ts';
import { AppendFile } from '../selection/append-file.ts';
import { PRIVATE_DIRECTORY, workDirectoryFault } from '../selection/directory.ts';
import { freeMemory } from '../v8-flags.ts';
import type { ComparedDocument } from './comparison.ts';
import { readWhole } from './target-memory.ts';

/** Of a document of which much is shown. */
const LARGE_LINE_BYTES = 512 * 1024;

/** Read without a stream: thousands of collections may have a few lines each, and what a stream leaves behind is 35 KB. */
const AT_ONCE_BYTES = 64 * 1024;

/** Bytes of a file, `end` exclusive. */
interface Extent {
  readonly start: number;
  end: number;
}

export class DocumentSpill {
  readonly #folder: string;
  readonly #files = new Map<DocumentClass, AppendFile>();
  /** Where in the file of its class a collection has its lines. */
  readonly #extents = new Map<string, Extent>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** `workDirectory` must exist. Throws RestorePlanError WORK_DIRECTORY where nothing can be written. */
  static async create(workDirectory: string): Promise<DocumentSpill> {
    const folder = join(workDirectory, `.comparison-${randomBytes(6).toString('hex')}`);
    await mkdir(folder, { mode: PRIVATE_DIRECTORY }).catch((error: unknown) => {
      throw workDirectoryFault(error, folder);
    });
    return new DocumentSpill(folder);
  }

  /** Collection after collection, each in backup order. */
  async add(collection: string, document: ComparedDocument): Promise<void> {
    let file = this.#files.get(document.class);
    if (file === undefined) {
      file = await AppendFile.create(join(this.#folder, `${this.#files.size}.ndjson`));
      this.#files.set(document.class, file);
    }
    const name = nameOf(collection, document.class);
    const extent = this.#extents.get(name) ?? { start: file.bytes, end: file.bytes };
    this.#extents.set(name, extent);
    const line = Buffer.from(`${lineOf(document)}\n`);
    if (line.length > LARGE_LINE_BYTES) freeMemory();
    file.append(line, 0, line.length);
    extent.end = file.bytes;
    await file.drain();
  }

  /** What needs an eye first, or one class alone; each class in backup order. Nothing may be added any more. */
  async *read(
    collection: string,
    documentClass?: DocumentClass,
  ): AsyncGenerator<ComparedDocument, void, undefined> {
    await this.#close();
    for (const each of documentClass === undefined ? ATTENTION_ORDER : [documentClass]) {
      const file = this.#files.get(each);
      const extent = this.#extents.get(nameOf(collection, each));
      if (file === undefined || extent === undefined) continue;
      const { start, end } = extent;
      if (end - start <= AT_ONCE_BYTES) {
        for (const line of await linesOf(file.path, extent)) yield JSON.parse(line) as ComparedDocument;
        continue;
      }
      const input = createReadStream(file.path, { start, end: end - 1 });
      try {
        const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
        for await (const line of lines) {
          if (line.length > LARGE_LINE_BYTES) freeMemory();
          yield JSON.parse(line) as ComparedDocument;
        }
      } finally {
        // A page that has enough stops reading, which only pauses the file.
        input.destroy();
      }
    }
  }

  async #close(): Promise<void> {
    for (const file of this.#files.values()) await file.close();
  }

  async remove(): Promise<void> {
    for (const file of this.#files.values()) await file.close().catch(() => undefined);
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Newer versions of Node end a line also at the Unicode separators, which JSON leaves as they are. */
function lineOf(document: ComparedDocument): string {
  return JSON.stringify(document).replace(/[\u2028\u2029]/g, (separator) =>
    separator === '\u2028' ? '\\u2028' : '\\u2029',
  );
}

function nameOf(collection: string, documentClass: DocumentClass): string {
  return `${documentClass} ${collection}`;
}

async function linesOf(path: string, { start, end }: Extent): Promise<string[]> {
  const file = await open(path, 'r');
  try {
    const bytes = await readWhole(file, Buffer.alloc(end - start), start);
    return bytes.toString('utf8').split('\n').slice(0, -1);
  } finally {
    await file.close();
  }
}
