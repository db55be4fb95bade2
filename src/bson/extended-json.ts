/**
 * The tree between Extended JSON text (or YAML) and BSON, and the reader of the text.
 *
 * Objects are Maps, because a plain object would reorder keys that look like integers. An object in which a key occurs
 * twice, which BSON allows, comes as RepeatedKeys. An integer is a number or a bigint; a number written with a point or
 * an exponent is a JsonDouble, because 1.0 and 1 are different BSON values.
 */
export type JsonValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | JsonDouble
  | readonly JsonValue[]
  | JsonObject;

export type JsonObject = Map<string, JsonValue> | RepeatedKeys;

export class JsonDouble {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** Iterates like a Map, but a key may come more than once. */
export class RepeatedKeys {
  readonly entries: readonly (readonly [string, JsonValue])[];
  constructor(entries: readonly (readonly [string, JsonValue])[]) {
    this.entries = entries;
  }
  [Symbol.iterator](): Iterator<readonly [string, JsonValue]> {
    return this.entries[Symbol.iterator]();
  }
}

/** Extended JSON that cannot be turned into BSON. `path` is the dotted path inside the value; `offset` a character offset where text was parsed. */
export class ExtendedJsonFault extends Error {
  override readonly name = 'ExtendedJsonFault';
  readonly path: string;
  readonly offset: number | undefined;
  constructor(message: string, where: { path?: string; offset?: number } = {}) {
    super(message);
    this.path = where.path ?? '';
    this.offset = where.offset;
  }
}

/** The server refuses documents nested deeper than 180 levels; a little more is read so that it can say so itself. */
export const MAX_DEPTH = 200;

/** A lone surrogate has no UTF-8; Buffer would silently write U+FFFD in its place. */
export function isUnicode(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}

/**
 * Reads JSON text into a tree that keeps what JSON.parse loses: key order, repeated keys, and 1.0 beside 1.
 * Strict JSON: no comments, no trailing commas. Throws ExtendedJsonFault with the character offset.
 */
export function parseExtendedJson(text: string): JsonValue {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.end();
  return value;
}

const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const MAX_INT64 = 2n ** 63n;

class Reader {
  private readonly text: string;
  private at = 0;

  constructor(text: string) {
    this.text = text;
  }

  value(depth: number): JsonValue {
    if (depth > MAX_DEPTH) throw this.fault(`nested deeper than ${MAX_DEPTH} levels`);
    this.skipSpace();
    switch (this.text[this.at]) {
      case '{':
        return this.object(depth);
      case '[':
        return this.array(depth);
      case '"':
        return this.string();
      case 't':
        return this.word('true', true);
      case 'f':
        return this.word('false', false);
      case 'n':
        return this.word('null', null);
      default:
        return this.number();
    }
  }

  end(): void {
    this.skipSpace();
    if (this.at < this.text.length) throw this.fault('unexpected text after the value');
  }

  private object(depth: number): JsonObject {
    const entries: [string, JsonValue][] = [];
    this.at++;
    if (!this.takes('}')) {
      do {
        this.skipSpace();
        if (this.text[this.at] !== '"') throw this.fault('expected a key in double quotes');
        const key = this.string();
        if (!this.takes(':')) throw this.fault('expected a colon after the key');
        entries.push([key, this.value(depth + 1)]);
      } while (this.takes(','));
      if (!this.takes('}')) throw this.fault('expected a comma or a closing brace');
    }
    const map = new Map(entries);
    return map.size === entries.length ? map : new RepeatedKeys(entries);
  }

  private array(depth: number): JsonValue[] {
    const values: JsonValue[] = [];
    this.at++;
    if (this.takes(']')) return values;
    do values.push(this.value(depth + 1));
    while (this.takes(','));
    if (!this.takes(']')) throw this.fault('expected a comma or a closing bracket');
    return values;
  }

  /** Finds the closing quote and leaves escapes to JSON.parse, which also refuses control characters. */
  private string(): string {
    const start = this.at;
    let end = start;
    let escaped: boolean;
    do {
      end = this.text.indexOf('"', end + 1);
      if (end < 0) throw this.fault('string has no end');
      let slashes = end - 1;
      while (this.text[slashes] === '\\') slashes--;
      escaped = (end - 1 - slashes) % 2 === 1;
    } while (escaped);
    const literal = this.text.slice(start, end + 1);
    try {
      const value = JSON.parse(literal) as string;
      this.at = end + 1;
      return value;
    } catch (cause) {
      throw this.fault('string holds a bad escape or a control character', cause);
    }
  }

  private number(): JsonValue {
    NUMBER.lastIndex = this.at;
    const match = NUMBER.exec(this.text);
    if (match === null) {
      throw this.fault(this.at >= this.text.length ? 'text ends too early' : 'expected a JSON value');
    }
    this.at += match[0].length;
    const number = Number(match[0]);
    if (!Number.isFinite(number)) throw this.fault('number is too large for a double');
    if (match[1] !== undefined || match[2] !== undefined) return new JsonDouble(number);
    if (Number.isSafeInteger(number)) return number;
    const integer = BigInt(match[0]);
    // Relaxed Extended JSON writes doubles of 2^63 and more as plain digits.
    return integer >= -MAX_INT64 && integer < MAX_INT64 ? integer : new JsonDouble(number);
  }

  private word<Value>(word: string, value: Value): Value {
    if (!this.text.startsWith(word, this.at)) throw this.fault('expected a JSON value');
    this.at += word.length;
    return value;
  }

  private takes(character: string): boolean {
    this.skipSpace();
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  private skipSpace(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.at++;
    }
  }

  private fault(message: string, cause?: unknown): ExtendedJsonFault {
    const fault = new ExtendedJsonFault(`${message} (character ${this.at + 1})`, { offset: this.at });
    if (cause !== undefined) fault.cause = cause;
    return fault;
  }
}
