/**
 * Document keys of one sharded collection: an `_id`, and what a document has of the shard key.
 *
 * An entry names a document by the key that it had before. Which fields make up the shard key is learnt from entries, and they may name one document
 * in several ways: by its `_id` alone before the collection was sharded, by more fields after its shard key was refined. The shard keys under one
 * `_id` are told apart by 32 bits, whatever the order of the fields.
 */
import { CanonicalBytes } from '../../bson/canonical-bytes.ts';
import { elements, keyOf, valueAt } from '../../bson/elements.ts';
import { hashBytes } from '../../bson/flat-sets.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import { OP, type OplogEntry } from '../entry.ts';
import { CannotRoll, OplogFault } from '../faults.ts';
import { DocumentWriter } from '../updates/document-writer.ts';
import { applyUpdate, updateKind } from '../updates/update.ts';
import { touches } from '../windows/touches.ts';

/** A field of a shard key. */
interface Field {
  readonly path: string;
  readonly hash: number;
}

export class DocumentKeys {
  readonly #fields = new Map<string, Field>();
  /** The same fields, as paths into an update. */
  #paths: (readonly string[])[] = [];
  /** Which of them entries have named together, by their names; and in order, those that are most first. */
  readonly #forms = new Map<string, readonly Field[]>();
  #longestFirst: (readonly Field[])[] = [];
  readonly #value = new CanonicalBytes();
  readonly #writers = [new DocumentWriter(), new DocumentWriter()] as const;

  /** The key by which an insert, update or delete names its document. */
  named({ op, bytes, o, o2 }: OplogEntry): number {
    const at = op === OP.DELETE ? o : o2;
    if (at < 0) return this.#ofDocument(bytes, o);
    let key = 0;
    let form = '';
    for (const part of elements(bytes, at)) {
      const path = keyOf(part);
      if (path === '_id') continue;
      key += this.#part(this.#field(path), part);
      form += `${path}\0`;
    }
    if (!this.#forms.has(form)) this.#learn(form);
    return key >>> 0;
  }

  /** The key of that document when the entry is done; undefined: it was deleted. Throws OplogFault. */
  after({ op, bytes, o, o2 }: OplogEntry, named: number): number | undefined {
    if (op === OP.DELETE) return undefined;
    if (op === OP.INSERT || o2 < 0) return named;
    if (updateKind(bytes, o) === 'whole') return this.#ofDocument(bytes, o);
    if (!touches(bytes, o, this.#paths)) return named;
    // An update does to the fields of a key what it does to them in the whole document.
    const [before, after] = this.#writers;
    writeNested(before.clear(), leavesOf(bytes, o2));
    try {
      applyUpdate(before.bytes, 0, bytes, o, after.clear());
    } catch (fault) {
      if (!(fault instanceof CannotRoll)) throw fault;
      throw new OplogFault(`what it makes of a shard key cannot be told: ${fault.message}`);
    }
    return this.#ofDocument(after.bytes, 0);
  }

  /** The keys by which entries may name the document at `start`, those of most fields first. */
  *of(bytes: Buffer, start: number): Generator<number> {
    yield this.#ofDocument(bytes, start);
    for (const form of this.#longestFirst) {
      const parts = this.#partsIn(bytes, start, form);
      if (parts.length === form.length) yield sumOf(parts);
    }
  }

  #ofDocument(bytes: Buffer, start: number): number {
    return sumOf(this.#partsIn(bytes, start, this.#fields.values()));
  }

  /** Of the fields that the document has. */
  #partsIn(bytes: Buffer, start: number, fields: Iterable<Field>): number[] {
    const document = { bytes, type: BSON.OBJECT, start, end: start + bytes.readInt32LE(start) };
    const parts: number[] = [];
    for (const field of fields) {
      const value = valueAt(document, field.path);
      // No shard key has an array.
      if (value !== undefined && value !== 'array') parts.push(this.#part(field, value));
    }
    return parts;
  }

  #part({ hash }: Field, value: RawValue): number {
    const { bytes, length } = this.#value.set(value);
    return hashBytes(bytes, { start: 0, end: length }, hash);
  }

  #field(path: string): Field {
    const known = this.#fields.get(path);
    if (known !== undefined) return known;
    const name = Buffer.from(path);
    const field = { path, hash: hashBytes(name, { start: 0, end: name.length }, 0) };
    this.#fields.set(path, field);
    this.#paths = [...this.#fields.keys()].map((each) => each.split('.'));
    return field;
  }

  #learn(form: string): void {
    const paths = form.split('\0').slice(0, -1);
    this.#forms.set(
      form,
      paths.map((path) => this.#field(path)),
    );
    this.#longestFirst = [...this.#forms.values()].sort((a, b) => b.length - a.length);
  }
}

function sumOf(parts: readonly number[]): number {
  return parts.reduce((sum, part) => sum + part, 0) >>> 0;
}

/** A value of a document that is made of dotted paths. */
interface Leaf {
  readonly path: readonly string[];
  readonly value: RawValue;
}

/** What a key says of its document. */
function leavesOf(bytes: Buffer, key: number): Leaf[] {
  const leaves = [...elements(bytes, key)].map((value) => ({ path: keyOf(value).split('.'), value }));
  // Where a field within the `_id` is part of the shard key, the whole `_id` stands there as well.
  return leaves.filter(({ path }) => path[0] !== '_id' || path.length === 1);
}

/** Writes documents inside documents, as the paths lead. */
function writeNested(writer: DocumentWriter, leaves: readonly Leaf[]): void {
  const begin = writer.begin();
  for (const name of new Set(leaves.map(({ path: [first] }) => first))) {
    const named = leaves.filter(({ path: [first] }) => first === name);
    const [{ path, value }] = named as [Leaf];
    const isLeaf = path.length === 1;
    const key = Buffer.from(`${name}\0`);
    writer.byte(isLeaf ? value.type : BSON.OBJECT);
    writer.copy(key, 0, key.length);
    if (isLeaf) writer.copy(value.bytes, value.start, value.end);
    else
      writeNested(
        writer,
        named.map((leaf) => ({ ...leaf, path: leaf.path.slice(1) })),
      );
  }
  writer.end(begin);
}
