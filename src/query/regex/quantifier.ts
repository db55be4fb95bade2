/** `* + ?` and `{n}`, `{n,}`, `{n,m}`, each lazy with a `?` behind it. */
import { PatternFault, type PatternText } from './pattern-text.ts';

export interface Quantifier {
  readonly source: string;
  readonly least: number;
  readonly most: number;
}

const LARGEST = 65_535;

/** Reads a quantifier when one comes next. A `{` that starts none is a plain character, and left. */
export function readQuantifier(text: PatternText): Quantifier | undefined {
  const quantifier = readGreedy(text);
  if (quantifier === undefined) return undefined;
  return text.takes('?') ? { ...quantifier, source: `${quantifier.source}?` } : quantifier;
}

function readGreedy(text: PatternText): Quantifier | undefined {
  if (text.takes('*')) return { source: '*', least: 0, most: Number.POSITIVE_INFINITY };
  if (text.takes('+')) return { source: '+', least: 1, most: Number.POSITIVE_INFINITY };
  if (text.takes('?')) return { source: '?', least: 0, most: 1 };
  if (!text.takes('{')) return undefined;
  const inside = text.takeMatching(/[0-9, \t]/);
  const match = /^(\d+)(,(\d*))?$/.exec(inside);
  if (text.peek() !== '}' || match === null) {
    if (text.peek() === '}' && /\d/.test(inside)) {
      throw new PatternFault(`{${inside}} means a repetition to some versions of PCRE2 and itself to others`);
    }
    text.back(inside.length + 1);
    return undefined;
  }
  text.next();
  const least = Number(match[1]);
  const most = match[2] === undefined ? least : match[3] === '' ? Number.POSITIVE_INFINITY : Number(match[3]);
  if (least > LARGEST || (most > LARGEST && most !== Number.POSITIVE_INFINITY) || least > most) {
    throw new PatternFault(`{${inside}} is no possible repetition`);
  }
  return { source: `{${inside}}`, least, most };
}
