/** Documents as Extended JSON text, a file per collection: a nightly export, a report. Types are as the text spells them. */
import { isUtf8 } from 'node:buffer';
import { ExtendedJsonFault, parseExtendedJson } from '../../bson/extended-json.ts';
import { writeExtendedJson } from '../../bson/write-extended-json.ts';
import { RestorePlanError } from '../../errors.ts';
import {
  type BackupIdentity,
  type BackupPiece,
  type CollectionMetadata,
  type MemberRead,
  RELAXED_REMEDY,
  RELAXED_TYPES,
  type ReadOptions,
  type StoredBackup,
} from '../backup.ts';
import { DEFAULT_MAX_RATIO } from '../containers/decompress.ts';
import { fillTemplate } from '../locate/search-template.ts';
import type { OpenSingles } from '../open-singles.ts';
import { countBytes, inflateIfCompressed, wholeMember } from '../readers/member.ts';
import { noMetadataWarning } from '../readers/refusals.ts';
import { type ByteSource, wholeOf } from '../storage/byte-source.ts';
import { newestOf, type StoredFile } from '../storage/store.ts';

/** BSON handed on at a time. */
const CHUNK_BYTES = 1024 * 1024;

/** The files of one moment, one per wanted collection; undefined when none of them is there. */
export async function openJsonl(options: OpenSingles): Promise<StoredBackup | undefined> {
  const {
    store,
    source,
    template,
    fields,
    wanted,
    when = { time: undefined, localTime: undefined },
  } = options;
  const found = new Map<string, StoredFile>();
  for (const collection of wanted) {
    const file = await store.find(fillTemplate(template, fields, collection));
    if (file?.kind === 'file') found.set(collection, file);
  }
  if (found.size === 0) return undefined;
  const files = [...found.values()];
  return new JsonlBackup({
    identity: {
      ...when,
      location: store.describe(
        fillTemplate(template, fields, found.size === 1 ? [...found.keys()][0] : undefined),
      ),
      kind: 'Extended JSON',
      modified: newestOf(files),
      size: files.reduce((sum, { size }) => sum + size, 0),
      fingerprint: files.map(({ fingerprint }) => fingerprint).join('+'),
    },
    files: new Map([...found].map(([collection, file]) => [collection, file.open()])),
    acceptsRelaxed: source.location.kind === 'jsonl' && source.location.relaxed === 'accept',
    maxRatio: source.maxDecompressionRatio ?? DEFAULT_MAX_RATIO,
  });
}

interface JsonlBackupParts {
  readonly identity: BackupIdentity;
  /** By collection. */
  readonly files: ReadonlyMap<string, ByteSource>;
  readonly maxRatio: number;
  /** The plan takes the types of a relaxed export as its text spells them. */
  readonly acceptsRelaxed: boolean;
}

class JsonlBackup implements StoredBackup {
  readonly access = 'random';
  readonly identity: BackupIdentity;
  readonly #parts: JsonlBackupParts;

  constructor(parts: JsonlBackupParts) {
    this.identity = parts.identity;
    this.#parts = parts;
  }

  holds(collection: string): boolean {
    return this.#parts.files.has(collection);
  }

  async collections(): Promise<readonly CollectionMetadata[]> {
    return [...this.#parts.files.keys()].map(metadataOf);
  }

  storedBytes(collections: ReadonlySet<string>): number {
    return [...collections].reduce((sum, name) => sum + (this.#parts.files.get(name)?.size ?? 0), 0);
  }

  async *read(wanted: ReadonlySet<string>, { stored }: ReadOptions = {}): AsyncGenerator<BackupPiece> {
    const members: MemberRead[] = [];
    const warnings: string[] = [];
    let bytesRead = 0;
    let relaxed = false;
    for (const collection of wanted) {
      const file = this.#parts.files.get(collection);
      if (file === undefined) continue;
      const { location, size } = file;
      warnings.push(noMetadataWarning(location));
      yield { type: 'metadata', metadata: metadataOf(collection) };
      const text = inflateIfCompressed(countBytes(wholeOf(file), stored).chunks, {
        location,
        maxRatio: this.#parts.maxRatio,
      });
      const member = { collection, path: location, id: members.length };
      const documents = new JsonDocuments(location);
      members.push(yield* wholeMember(member, documents.read(text)));
      if (documents.firstPlainInteger !== undefined) {
        relaxed = true;
        warnings.push(this.#relaxedWarning(location, documents.firstPlainInteger));
      }
      bytesRead += size;
    }
    yield { type: 'finished', summary: { bytesRead, readToEnd: true, members, warnings, relaxed } };
  }

  #relaxedWarning(location: string, first: string): string {
    const said = `${location}: ${RELAXED_TYPES} (first at ${first})`;
    return this.#parts.acceptsRelaxed ? said : `${said}. ${RELAXED_REMEDY}`;
  }
}

function metadataOf(collection: string): CollectionMetadata {
  return { collection, text: undefined, type: 'collection' };
}

/** The documents of a text as BSON. */
class JsonDocuments {
  /** `document 3, price`: an integer that does not say its type. */
  firstPlainInteger: string | undefined;
  readonly #location: string;
  #count = 0;

  /** `location` names the file in messages. */
  constructor(location: string) {
    this.#location = location;
  }

  /** Some documents at a time. */
  async *read(text: AsyncIterable<Buffer>): AsyncGenerator<Buffer[]> {
    const framer = new JsonFramer();
    let documents: Buffer[] = [];
    let bytes = 0;
    const framing = <T>(step: () => T): T => naming(this.#location, step);
    for await (const chunk of text) {
      for (const document of framing(() => framer.push(chunk))) {
        this.#count++;
        const bson = naming(`${this.#location}: document ${this.#count}`, () => this.#toBson(document));
        documents.push(bson);
        bytes += bson.length;
        if (bytes < CHUNK_BYTES) continue;
        yield documents;
        documents = [];
        bytes = 0;
      }
    }
    framing(() => framer.finish());
    if (documents.length > 0) yield documents;
  }

  #toBson(text: Buffer): Buffer {
    if (!isUtf8(text)) throw new ExtendedJsonFault('is not valid UTF-8');
    return writeExtendedJson(parseExtendedJson(text.toString('utf8')), {
      onPlainInteger: (path) => {
        this.firstPlainInteger ??= `document ${this.#count}, ${path}`;
      },
    });
  }
}

/** `subject` is what the fault's message speaks of. */
function naming<T>(subject: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (!(error instanceof ExtendedJsonFault)) throw error;
    const where = [
      error.path === '' ? '' : ` at ${error.path}`,
      error.offset === undefined ? '' : ` (byte ${error.offset})`,
    ].join('');
    throw new RestorePlanError('BACKUP', `${subject}: ${error.message}${where}.`, {
      hint: 'The file must hold Extended JSON, one document after the other or in one array. Nothing of it was used.',
      cause: error,
    });
  }
}

// Cuts a stream of Extended JSON into its documents: one per line, one after the other, or in an array as
// `mongoexport --jsonArray` writes them, pretty or not.
//
// It follows strings and brackets only; whether what lies between them is JSON is seen when a document is parsed. An
// array must be closed and a document complete. Lines that were cut off exactly between two documents cannot be told
// from a shorter file: the format has no end.

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const [OPEN_ARRAY, CLOSE_ARRAY] = [0x5b, 0x5d];
const [OPEN_OBJECT, CLOSE_OBJECT] = [0x7b, 0x7d];
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** Text of a document: a BSON document of 16 MiB, at its most wordy. */
const MAX_TEXT_BYTES = 192 * 1024 * 1024;

export class JsonFramer {
  #parts: Buffer[] = [];
  #size = 0;
  #depth = 0;
  #inString = false;
  #isEscaped = false;
  /** start: nothing yet · lines: documents one after the other · array: inside · after: the array is closed */
  #form: 'start' | 'lines' | 'array' | 'after' = 'start';
  /** In an array: whether a comma must come before the next document. */
  #needsComma = false;
  #isAfterComma = false;
  #position = 0;

  /** Whole documents as text, in order. */
  push(chunk: Buffer): Buffer[] {
    const documents: Buffer[] = [];
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] as number;
      if (this.#depth === 0) {
        if (byte === OPEN_OBJECT) from = this.#begin(at);
        else this.#between(byte, at);
      } else if (this.#inString) {
        if (this.#isEscaped) this.#isEscaped = false;
        else if (byte === BACKSLASH) this.#isEscaped = true;
        else if (byte === QUOTE) this.#inString = false;
      } else if (byte === QUOTE) this.#inString = true;
      else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) this.#depth++;
      else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        this.#depth--;
        if (this.#depth === 0) documents.push(this.#end(chunk.subarray(from, at + 1)));
      }
    }
    if (this.#depth > 0) this.#keep(chunk.subarray(from));
    this.#position += chunk.length;
    return documents;
  }

  /** The stream ended. Throws ExtendedJsonFault when a document or the array is not complete. */
  finish(): void {
    if (this.#depth > 0) throw this.#fault('is cut off in the middle of a document', 0);
    if (this.#form === 'array') throw this.#fault('is cut off: its array is not closed', 0);
  }

  #begin(at: number): number {
    if (this.#form === 'after' || this.#needsComma) throw this.#fault('has a document where none may be', at);
    if (this.#form === 'start') this.#form = 'lines';
    this.#isAfterComma = false;
    this.#depth = 1;
    return at;
  }

  #end(last: Buffer): Buffer {
    this.#needsComma = this.#form === 'array';
    if (this.#parts.length === 0) return last;
    const whole = Buffer.concat([...this.#parts, last]);
    this.#parts = [];
    this.#size = 0;
    return whole;
  }

  #between(byte: number, at: number): void {
    if (byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)) return;
    if (byte === BYTE_ORDER_MARK[this.#position + at]) return;
    if (byte === OPEN_ARRAY && this.#form === 'start') this.#form = 'array';
    else if (byte === COMMA && this.#form === 'array' && this.#needsComma) {
      this.#needsComma = false;
      this.#isAfterComma = true;
    } else if (byte === CLOSE_ARRAY && this.#form === 'array' && !this.#isAfterComma) this.#form = 'after';
    else throw this.#fault('there is something that is no document', at);
  }

  #keep(part: Buffer): void {
    this.#size += part.length;
    if (this.#size > MAX_TEXT_BYTES) throw this.#fault('holds a document that is too large', 0);
    this.#parts.push(Buffer.from(part));
  }

  #fault(message: string, at: number): ExtendedJsonFault {
    return new ExtendedJsonFault(message, { offset: this.#position + at });
  }
}
