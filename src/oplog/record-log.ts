/**
 * Records, each pointing back to an earlier one: the changes of one document, or the parts of one transaction, as a chain.
 *
 * Appended in memory and, once they are many, to a file that has no name: it is removed as soon as it is open, so that a run that dies leaves
 * nothing behind. Everything is synchronous: writing comes in pieces of megabytes, reading is one system call for a record.
 */

import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { PRIVATE_FILE, workDirectoryFault } from '../files.ts';

/** Kept in memory before the first byte is written, and written at once. */
const MEMORY_BYTES = 8 * 1024 * 1024;
const FIRST_BYTES = 64 * 1024;
/** Previous record (double), kind, length. */
const HEADER = 8 + 1 + 4;
/** Read together with the header; most changes are shorter. */
const READ_TOGETHER = 4096;

/** A chain that ends with no record at all. */
export const NO_RECORD = -1;

/** One record, lent until the next one is read: its content is `bytes[start, end)`. */
export interface Record {
  /** The record it points back to; NO_RECORD or another negative number of the caller's where there is none. */
  previous: number;
  /** A byte of the caller's. */
  kind: number;
  bytes: Buffer;
  start: number;
  end: number;
}

export class RecordLog {
  readonly #path: string;
  readonly #memoryBytes: number;
  #file: number | undefined;
  /** What is not in the file yet. */
  #tail = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #used = 0;
  /** Bytes in the file. */
  #written = 0;
  #scratch = Buffer.allocUnsafeSlow(READ_TOGETHER);
  /** The record that it holds: a chain of one is looked at and then read. */
  #held = NO_RECORD;
  readonly #record: Record = { previous: NO_RECORD, kind: 0, bytes: this.#tail, start: 0, end: 0 };

  /** `path` is where the file is made if there must be one; its folder must be there then. */
  constructor(path: string, memoryBytes: number = MEMORY_BYTES) {
    this.#path = path;
    this.#memoryBytes = memoryBytes;
  }

  /** Copies `bytes[start, end)`; returns the record's number. Throws RestorePlanError WORK_DIRECTORY. */
  append(previous: number, kind: number, bytes: Buffer, start: number, end: number): number {
    const length = end - start;
    this.#reserve(HEADER + length);
    const tail = this.#tail;
    const at = this.#used;
    tail.writeDoubleLE(previous, at);
    tail[at + 8] = kind;
    tail.writeUInt32LE(length, at + 9);
    bytes.copy(tail, at + HEADER, start, end);
    this.#used += HEADER + length;
    return this.#written + at;
  }

  read(number: number): Record {
    const record = this.#record;
    if (number >= this.#written) return take(record, this.#tail, number - this.#written);
    if (number === this.#held) return take(record, this.#scratch, 0);
    this.#held = NO_RECORD;
    this.#readFile(number, READ_TOGETHER);
    const whole = HEADER + this.#scratch.readUInt32LE(9);
    if (whole > READ_TOGETHER) this.#readFile(number, whole);
    this.#held = number;
    return take(record, this.#scratch, 0);
  }

  /** The numbers of a chain, oldest first. */
  chain(newest: number): number[] {
    const numbers: number[] = [];
    for (let number = newest; number >= 0; number = this.read(number).previous) numbers.push(number);
    return numbers.reverse();
  }

  /** Nothing may be read any more. */
  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #reserve(more: number): void {
    if (this.#used + more <= this.#tail.length) return;
    if (this.#used > 0 && this.#used + more > this.#memoryBytes) this.#write();
    if (this.#used + more <= this.#tail.length) return;
    const grown = Buffer.allocUnsafeSlow(
      Math.max(Math.min(this.#tail.length * 2, this.#memoryBytes), this.#used + more),
    );
    this.#tail.copy(grown, 0, 0, this.#used);
    this.#tail = grown;
  }

  #write(): void {
    try {
      this.#file ??= openUnnamed(this.#path);
      for (let at = 0; at < this.#used; ) at += writeSync(this.#file, this.#tail, at, this.#used - at);
    } catch (cause) {
      throw workDirectoryFault(cause, this.#path);
    }
    this.#written += this.#used;
    this.#used = 0;
  }

  #readFile(number: number, length: number): void {
    if (length > this.#scratch.length) this.#scratch = Buffer.allocUnsafeSlow(length);
    const file = this.#file as number;
    for (let at = 0; at < length; ) {
      const read = readSync(file, this.#scratch, at, length - at, number + at);
      if (read === 0) break;
      at += read;
    }
  }
}

function take(record: Record, bytes: Buffer, at: number): Record {
  record.previous = bytes.readDoubleLE(at);
  record.kind = bytes[at + 8] as number;
  record.bytes = bytes;
  record.start = at + HEADER;
  record.end = record.start + bytes.readUInt32LE(at + 9);
  return record;
}

function openUnnamed(path: string): number {
  const file = openSync(path, 'wx+', PRIVATE_FILE);
  rmSync(path);
  return file;
}
