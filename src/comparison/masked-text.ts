/** Values as text for people: relaxed Extended JSON, bounded in length, with the plan's `mask` fields hidden. */
import { elements, keyOf } from '../bson/elements.ts';
import { showText, showValue } from '../bson/show.ts';
import { BSON, type RawValue } from '../bson/types.ts';

const MASKED = '"[masked]"';

export class MaskedText {
  readonly #mask: readonly (readonly string[])[];
  readonly #limit: number;

  /** `mask`: dotted paths, which reach into arrays as queries do. `limit`: characters, after which the text is cut. */
  constructor(mask: readonly string[], limit: number) {
    this.#mask = mask.map((path) => path.split('.'));
    this.#limit = limit;
  }

  /** The value at a dotted path of its document; the path of a whole document is empty. */
  readonly show = (value: RawValue, path = ''): string => {
    // Most plans mask nothing and most documents are small: one pass, no paths. Three times faster in a full listing.
    if (this.#mask.length === 0 && value.end - value.start <= 4 * this.#limit) {
      return cut(showValue(value, { relaxed: true }), this.#limit);
    }
    const parts = path === '' ? [] : path.split('.');
    const pieces: string[] = [];
    const isWhole = this.#write(value, parts, { pieces, left: this.#limit });
    const text = pieces.join('');
    return isWhole ? cut(text, this.#limit) : `${text.slice(0, this.#limit)}…`;
  };

  /** The `_id` of a document. */
  readonly showId = (id: RawValue): string => this.showKey(id, '_id');

  /** A value that names a document: canonical and whole, unless the plan masks it or a part of it. */
  showKey(value: RawValue, path: string): string {
    const isMasked = this.#mask.some(
      (masked) => `${masked.join('.')}.`.startsWith(`${path}.`) || covers(masked, path.split('.')),
    );
    return isMasked ? this.show(value, path) : showValue(value);
  }

  /** False when the limit was reached before the end. A document is left early: 16 MiB are not turned into text for one line. */
  #write(
    value: RawValue,
    path: readonly string[],
    out: { readonly pieces: string[]; left: number },
  ): boolean {
    const put = (text: string): void => {
      out.pieces.push(text);
      out.left -= text.length;
    };
    if (this.#mask.some((masked) => covers(masked, path))) {
      put(MASKED);
      return true;
    }
    const isArray = value.type === BSON.ARRAY;
    if (value.type !== BSON.OBJECT && !isArray) {
      put(showValue(value, { relaxed: true }));
      return true;
    }
    put(isArray ? '[' : '{');
    let first = true;
    for (const element of elements(value.bytes, value.start)) {
      if (out.left <= 0) return false;
      const key = keyOf(element);
      put(`${first ? '' : ','}${isArray ? '' : `${showText(key)}:`}`);
      first = false;
      // A key with a dot in it is masked like the path it looks like.
      if (!this.#write(element, [...path, ...key.split('.')], out)) return false;
    }
    put(isArray ? ']' : '}');
    return true;
  }
}

function cut(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit)}…`;
}

/** The masked path is the given one, or lies above it. A number in the path may be a position, which a mask leaves out. */
function covers([wanted, ...below]: readonly string[], [part, ...rest]: readonly string[]): boolean {
  if (wanted === undefined) return true;
  if (part === undefined) return false;
  if (part === wanted && covers(below, rest)) return true;
  return /^\d+$/.test(part) && covers([wanted, ...below], rest);
}
