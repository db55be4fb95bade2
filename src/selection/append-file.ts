import { type FileHandle, open, rm } from 'node:fs/promises';
import { PRIVATE_FILE, workDirectoryFault } from './directory.ts';

/** Large enough that a write's fixed cost (opening and closing, some 100 µs) does not show, small enough to have dozens of files. */
const BUFFER_BYTES = 512 * 1024;
/** Full buffers that may wait for the disk after `drain`; while they do, the caller goes on scanning. */
const BUFFERS_IN_FLIGHT = 2;
/** As many as one chunk of a download fills, and those in flight. */
const MOST_SPARE_BUFFERS = 18;

/** Written buffers, of all files, to be filled again: thrown away they would pile up until the garbage collector comes by. */
const spare: Buffer[] = [];

/**
 * A new private file that is only appended to, through buffers written behind the caller's back. It is open only while it is written:
 * a plan may have 10,000 collections, and systems let a process have some thousand files open.
 *
 * `append` copies and never waits; call `drain` between chunks, it waits only while the disk is behind, which bounds the
 * memory to the buffers in flight plus one chunk. Disk errors surface in `drain` and `close` as RestorePlanError.
 */
export class AppendFile {
  readonly path: string;
  /** Bytes appended so far. */
  bytes = 0;
  /** Shown all bytes, in order and in large pieces, before they are written. */
  onWrite: ((bytes: Buffer) => void) | undefined;
  #filling: Buffer | undefined;
  #filled = 0;
  readonly #full: Buffer[] = [];
  #writing: Promise<void> | undefined;
  #closed = false;
  #fault: { readonly error: unknown } | undefined;

  private constructor(path: string) {
    this.path = path;
  }

  /** Creates the file, which must not exist. */
  static async create(path: string): Promise<AppendFile> {
    try {
      await (await open(path, 'wx', PRIVATE_FILE)).close();
      return new AppendFile(path);
    } catch (error) {
      throw workDirectoryFault(error, path);
    }
  }

  append(bytes: Buffer, start: number, end: number): void {
    this.bytes += end - start;
    let at = start;
    while (at < end) {
      this.#filling ??= spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
      const taken = Math.min(end - at, BUFFER_BYTES - this.#filled);
      bytes.copy(this.#filling, this.#filled, at, at + taken);
      this.#filled += taken;
      at += taken;
      if (this.#filled === BUFFER_BYTES) this.#pass();
    }
  }

  /** Waits until at most a few buffers are still to be written. */
  async drain(): Promise<void> {
    while (this.#full.length > BUFFERS_IN_FLIGHT && this.#fault === undefined) await this.#writing;
    this.#throwFault();
  }

  /** Waits until every appended byte is in the file (not necessarily on the disk). */
  async flush(): Promise<void> {
    this.#pass();
    while (this.#writing !== undefined) await this.#writing;
    this.#throwFault();
  }

  /** Flushes; nothing may be appended any more. Closing again does nothing. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.flush();
  }

  /** Closes and deletes the file, without writing what has not been written yet; that writing failed does not matter any longer. */
  async discard(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#filling = undefined;
      this.#filled = 0;
      this.#full.length = 0;
      while (this.#writing !== undefined) await this.#writing;
    }
    await rm(this.path);
  }

  /** Hands the buffer being filled to the writer. */
  #pass(): void {
    if (this.#filling === undefined || this.#filled === 0) return;
    const ready = this.#filling.subarray(0, this.#filled);
    this.onWrite?.(ready);
    this.#full.push(ready);
    this.#filling = undefined;
    this.#filled = 0;
    this.#writing ??= this.#writeFull();
  }

  /** Never rejects: a fault is kept for whoever waits next. */
  async #writeFull(): Promise<void> {
    let file: FileHandle | undefined;
    try {
      file = await open(this.path, 'a');
      for (let next = this.#full[0]; next !== undefined; next = this.#full[0]) {
        await writeAll(file, next);
        this.#full.shift();
        if (spare.length < MOST_SPARE_BUFFERS) spare.push(Buffer.from(next.buffer));
      }
    } catch (error) {
      this.#fault = { error };
      this.#full.length = 0;
    } finally {
      await file?.close().catch((error: unknown) => {
        this.#fault ??= { error };
      });
      // More may have come while the file was closed.
      const isMore = this.#full.length > 0 && this.#fault === undefined;
      this.#writing = isMore ? this.#writeFull() : undefined;
    }
  }

  #throwFault(): void {
    if (this.#fault !== undefined) throw workDirectoryFault(this.#fault.error, this.path);
  }
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    written += (await file.write(bytes, written, bytes.length - written)).bytesWritten;
  }
}
