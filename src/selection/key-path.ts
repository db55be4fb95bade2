import { ElementCursor } from '../bson/element-cursor.ts';
import { BSON, type RawValue } from '../bson/types.ts';

const NOTHING = Buffer.alloc(0);

/** Told of one value at a path, lent for the call; returns true to stop the walk. */
type ValueVisitor = (value: RawValue) => boolean;

/**
 * local: the keys a parent has. foreign: the keys a child refers by; there an array also stands for itself, as in a query,
 * and is found by a parent whose array holds it as an element.
 */
type KeySide = 'local' | 'foreign';

/** What the parts of a reference (`{ $ref, $id, $db }`) must say where they are there. */
interface ReferenceNames {
  /** `$ref` */
  readonly collection: string;
  /** `$db` */
  readonly database: string;
}

/**
 * A dotted path whose values are keys: `_id`, `artwork_id`, `lots.artwork.id`, `lots.0.artwork`.
 *
 * As in a query or a $lookup, the path goes through documents and through the documents inside arrays, a numeric part also names a
 * position, and an array at its end stands for each of its elements. Null, undefined and missing values are no keys: a
 * document without a key refers to nothing. A path that ends in `$id` leads into references (DBRef); one that names another collection or
 * database refers to nothing here.
 */
export class KeyPath {
  readonly #parts: readonly Buffer[];
  readonly #isPosition: readonly boolean[];
  /** One cursor for each depth at which a field, and an array's elements, are walked at the same time. */
  readonly #fields: readonly ElementCursor[];
  readonly #items: readonly ElementCursor[];

  readonly #side: KeySide;
  /** Parts of a reference beside `$id`, with what they must be. */
  readonly #named: readonly (readonly [part: Buffer, name: Buffer])[];
  readonly #beside = new ElementCursor();
  /** It is `_id`. */
  readonly isId: boolean;

  constructor(path: string, side: KeySide, names?: ReferenceNames) {
    this.#side = side;
    this.isId = path === '_id';
    const parts = path.split('.');
    this.#named =
      names === undefined || parts.at(-1) !== '$id'
        ? []
        : [
            [Buffer.from('$ref'), Buffer.from(names.collection)],
            [Buffer.from('$db'), Buffer.from(names.database)],
          ];
    this.#parts = parts.map((part) => Buffer.from(part, 'utf8'));
    this.#isPosition = parts.map((part) => /^\d+$/.test(part));
    this.#fields = parts.map(() => new ElementCursor());
    this.#items = [...parts, 'elements of the last'].map(() => new ElementCursor());
  }

  /** Lets go of the bytes it was shown last. */
  rest(): void {
    for (const cursor of [...this.#fields, ...this.#items, this.#beside]) cursor.bytes = NOTHING;
  }

  /** Shows every key at the path in the document at `start` to `visit`, until it returns true; returns whether it did. Allocates nothing. */
  some(bytes: Buffer, start: number, visit: ValueVisitor): boolean {
    const field = this.#fields[0] as ElementCursor;
    return field.open(bytes, start).find(this.#parts[0] as Buffer) && this.#arrive(field, 1, visit);
  }

  /** A field of the document itself, such as `_id`. */
  get isTopLevel(): boolean {
    return this.#parts.length === 1;
  }

  /** Offset of the only key of a top-level path, when that is an ObjectId; else undefined. */
  objectIdAt(bytes: Buffer, start: number): number | undefined {
    const field = this.#fields[0] as ElementCursor;
    const isId = field.open(bytes, start).find(this.#parts[0] as Buffer) && field.type === BSON.OBJECT_ID;
    return isId ? field.start : undefined;
  }

  /** `depth` parts led to `value`. */
  #arrive(value: ElementCursor, depth: number, visit: ValueVisitor): boolean {
    if (depth === this.#parts.length) return this.#atEnd(value, visit);
    if (value.type === BSON.OBJECT) return this.#intoField(value, depth, visit);
    return value.type === BSON.ARRAY && this.#intoArray(value, depth, visit);
  }

  /** An array reached by its position in another one is a value, not a list of them. */
  #arriveByPosition(value: ElementCursor, depth: number, visit: ValueVisitor): boolean {
    if (depth === this.#parts.length) return isKey(value) && visit(value);
    return this.#arrive(value, depth, visit);
  }

  #intoField(value: ElementCursor, depth: number, visit: ValueVisitor): boolean {
    const isReference = this.#named.length > 0 && depth === this.#parts.length - 1;
    if (isReference && !this.#namesThem(value)) return false;
    const field = this.#fields[depth] as ElementCursor;
    field.open(value.bytes, value.start, value.end);
    return field.find(this.#parts[depth] as Buffer) && this.#arrive(field, depth + 1, visit);
  }

  #namesThem({ bytes, start, end }: ElementCursor): boolean {
    for (const [part, name] of this.#named) {
      const beside = this.#beside.open(bytes, start, end);
      if (!beside.find(part) || beside.type !== BSON.STRING) continue;
      if (name.compare(bytes, beside.start + 4, beside.end - 1) !== 0) return false;
    }
    return true;
  }

  #intoArray(array: ElementCursor, depth: number, visit: ValueVisitor): boolean {
    const part = this.#parts[depth] as Buffer;
    const isPosition = this.#isPosition[depth];
    const item = (this.#items[depth] as ElementCursor).open(array.bytes, array.start, array.end);
    while (item.next()) {
      // As in a query: by the name in the array, which a server takes also where it is not the element's place.
      if (isPosition && item.keyIs(part) && this.#arriveByPosition(item, depth + 1, visit)) return true;
      // An array directly inside an array is not entered without a position, in MongoDB neither.
      if (item.type === BSON.OBJECT && this.#intoField(item, depth, visit)) return true;
    }
    return false;
  }

  #atEnd(value: ElementCursor, visit: ValueVisitor): boolean {
    if (value.type !== BSON.ARRAY) return isKey(value) && visit(value);
    const item = this.#items[this.#parts.length] as ElementCursor;
    item.open(value.bytes, value.start, value.end);
    while (item.next()) if (isKey(item) && visit(item)) return true;
    return this.#side === 'foreign' && visit(value);
  }
}

function isKey({ type }: RawValue): boolean {
  return type !== BSON.NULL && type !== BSON.UNDEFINED;
}
