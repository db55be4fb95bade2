/** Documents of one collection, in one state, put together to pieces again after an oplog has changed them. */
import { crc32 } from 'node:zlib';
import { type BackupPiece, hexOfCrc32, type MemberInfo, type MemberRead } from '../backup/backup.ts';

/** A piece is handed on when it has so many bytes; one document may make it larger. */
const PIECE_BYTES = 1024 * 1024;
const MOST_DOCUMENTS = 4096;

/** What is given of one state of the documents. */
export class Output {
  readonly pieces = new Pieces();
  bytes = 0;
  #crc = 0;

  begin(): void {
    this.#crc = 0;
    this.bytes = 0;
  }

  get given(): Pick<MemberRead, 'bytes' | 'crc32'> {
    return { bytes: this.bytes, crc32: hexOfCrc32(this.#crc) };
  }

  *flush(member: MemberInfo): Generator<BackupPiece> {
    const { bytes, starts, count } = this.pieces;
    if (count === 0) return;
    const length = starts[count] as number;
    this.#crc = crc32(bytes.subarray(0, length), this.#crc);
    this.bytes += length;
    yield { type: 'documents', member, bytes, starts, count };
    this.pieces.clear();
  }
}

/** Documents put together to a piece. */
class Pieces {
  bytes = Buffer.allocUnsafeSlow(2 * PIECE_BYTES);
  starts = new Int32Array(MOST_DOCUMENTS + 1);
  count = 0;

  readonly take = (bytes: Buffer, start: number, end: number): void => {
    const at = this.#reserve(end - start, 1);
    bytes.copy(this.bytes, at, start, end);
    this.starts[++this.count] = at + end - start;
  };

  get isFull(): boolean {
    return this.count >= MOST_DOCUMENTS || (this.starts[this.count] as number) >= PIECE_BYTES;
  }

  clear(): void {
    this.count = 0;
  }

  /** Documents `first` up to, not including, `end` of another piece, which lie back to back. */
  addRun(bytes: Buffer, starts: Int32Array, first: number, end: number): void {
    if (first >= end) return;
    const from = starts[first] as number;
    const length = (starts[end] as number) - from;
    const at = this.#reserve(length, end - first);
    bytes.copy(this.bytes, at, from, from + length);
    for (let i = first; i < end; i++) this.starts[++this.count] = at + (starts[i + 1] as number) - from;
  }

  /** Where `more` bytes can be put, of so many documents. */
  #reserve(more: number, documents: number): number {
    if (this.count + documents >= this.starts.length) {
      const starts = new Int32Array(2 * (this.count + documents));
      starts.set(this.starts);
      this.starts = starts;
    }
    const at = this.starts[this.count] as number;
    if (at + more > this.bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(2 * this.bytes.length, at + more));
      this.bytes.copy(grown, 0, 0, at);
      this.bytes = grown;
    }
    return at;
  }
}
