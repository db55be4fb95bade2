/** Entries of an oplog that lie in files: one, or several that go on from each other. */
import type { WholeDocuments } from '../../backup/backup.ts';
import type { RestorePlanError } from '../../errors.ts';
import { compareTimestamps, type Moment, OplogEntry, type Timestamp, timeless } from '../entry.ts';
import { oplogError } from '../faults.ts';
import { beginsLater, type EntryRange, type EntrySource } from './entry-source.ts';
import { beginningOf, type EntryFile, type EntryFiles, Joined } from './joined-entries.ts';

interface Given {
  readonly close?: () => Promise<void>;
  /** What to throw where there are no entries. */
  readonly empty?: () => RestorePlanError;
}

export class FileEntries implements EntrySource {
  readonly origin: string;
  readonly isLoose: boolean;
  readonly notes: string[] = [];
  readonly #files: EntryFiles;
  readonly #given: Given;
  /** The last entry, once they were read to their end. */
  #last: Moment | undefined;

  /** `files`: at least one. */
  constructor(origin: string, files: EntryFiles, given: Given = {}) {
    this.origin = origin;
    this.#files = files;
    this.isLoose = isAnyNamed(files);
    this.#given = given;
  }

  async first(): Promise<Moment> {
    for (let i = 0; i < this.#files.length; i++) {
      const first = await beginningOf(this.#files.at(i) as EntryFile);
      if (first !== undefined) return first;
    }
    throw this.#empty();
  }

  async last(): Promise<Moment> {
    const till = this.#files.at(this.#files.length - 1)?.covers?.till;
    if (till !== undefined) return timeless(till);
    if (this.#last !== undefined) return this.#last;
    const all = this.entries({ from: undefined, cut: 'end', collections: undefined });
    for await (const _ of all);
    return this.#last as unknown as Moment;
  }

  async close(): Promise<void> {
    await this.#given.close?.();
  }

  /** All entries; none where there are none. */
  everything(): AsyncGenerator<WholeDocuments> {
    return new Joined(this.origin, this.#files).entries();
  }

  async *entries({ from }: EntryRange): AsyncGenerator<WholeDocuments> {
    const begin = await this.#startingWith(from);
    const joined = new Joined(this.origin, this.#files, begin);
    const named = this.#files.at(begin)?.covers?.from;
    let first = named && timeless(named);
    const entry = new OplogEntry();
    for await (const batch of joined.entries()) {
      first ??= entry.read(batch.bytes, batch.starts[0] as number);
      if (from !== undefined && compareTimestamps(first, from) > 0)
        throw beginsLater(
          this.origin,
          { first, from },
          'What lies between is missing. Name what reaches further back, or take a newer backup.',
        );
      yield batch;
    }
    this.#last = joined.last;
    if (first === undefined) throw this.#empty();
    this.notes.push(...joined.notes);
  }

  #empty(): RestorePlanError {
    return (
      this.#given.empty?.() ??
      oplogError(this.origin, 'it is empty', 'Name a file that holds the entries of an oplog.')
    );
  }

  /** The place of the last file that begins at `from` or before. */
  async #startingWith(from: Timestamp | undefined): Promise<number> {
    let low = 0;
    let high = from === undefined ? 1 : this.#files.length;
    while (from !== undefined && high - low > 1) {
      const middle = (low + high) >> 1;
      const begins = await beginningOf(this.#files.at(middle) as EntryFile);
      if (begins !== undefined && compareTimestamps(begins, from) <= 0) low = middle;
      else high = middle;
    }
    return low;
  }
}

function isAnyNamed(files: EntryFiles): boolean {
  for (let i = 0; i < files.length; i++) if (files.at(i)?.covers !== undefined) return true;
  return false;
}
