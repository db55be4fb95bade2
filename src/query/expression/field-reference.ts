/**
 * `"$a.b"` and `"$$ROOT"`: a field of the document at hand.
 *
 * Not like the paths of a query: an array at the end is the value, as a whole; an array on the way gives an array of what its
 * documents hold; and a number is a field name, never a position.
 */
import { ElementCursor } from '../../bson/elements.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import { QueryFault } from '../query-fault.ts';
import {
  arrayValue,
  constant,
  type Expression,
  type ExpressionContext,
  MISSING_VALUE,
} from './expression.ts';

/** Takes a value apart along the rest of a path. */
type Step = (value: RawValue) => RawValue;

/** `text` starts with `$`. */
export function fieldReference(text: string, { scope, path }: ExpressionContext): Expression {
  const names = fieldNames(text, path);
  const document = scope.wholeDocument();
  if (!text.startsWith('$$')) {
    const step = steps(names, path);
    return { evaluate: () => step(document), isConstant: false };
  }
  const [variable, ...rest] = names;
  if (variable === 'REMOVE' && rest.length === 0) return constant(MISSING_VALUE);
  if (variable !== 'ROOT' && variable !== 'CURRENT') {
    throw new QueryFault(
      `$$${variable} is not supported here; supported are $$ROOT, $$CURRENT and $$REMOVE`,
      path,
    );
  }
  const step = steps(rest, path);
  return { evaluate: () => step(document), isConstant: false };
}

function fieldNames(text: string, path: string): string[] {
  const names = text.replace(/^\$\$?/, '').split('.');
  // The parts of a reference (DBRef) are fields like others, but not of the document itself.
  const isNoField = (name: string, i: number): boolean =>
    name === '' ||
    name.includes('\0') ||
    (name.startsWith('$') && !(i > 0 && /^\$(?:id|ref|db)$/.test(name)));
  if (names.some(isNoField)) {
    throw new QueryFault(`"${text}" is no field: a name is empty, starts with $ or holds a NUL`, path);
  }
  return names;
}

function steps(names: readonly string[], path: string): Step {
  return names.reduceRight<Step>(
    (next, name) => into(name, { next, path }),
    (value) => value,
  );
}

function into(name: string, { next, path }: { next: Step; path: string }): Step {
  const key = Buffer.from(name);
  const field = new ElementCursor();
  const second = new ElementCursor();
  const ofDocument: Step = (value) => {
    field.open(value.bytes, value.start, value.end);
    if (!field.find(key)) return MISSING_VALUE;
    // Which of the two the server takes depends on what else it needs of the document.
    if (second.openBehind(field).find(key)) {
      throw new QueryFault(`a document holds "${name}" twice, which no expression can tell apart`, path);
    }
    return next(field);
  };
  return (value) => {
    if (value.type === BSON.OBJECT) return ofDocument(value);
    if (value.type !== BSON.ARRAY) return MISSING_VALUE;
    const found: RawValue[] = [];
    const item = new ElementCursor().open(value.bytes, value.start, value.end);
    while (item.next()) {
      if (item.type !== BSON.OBJECT) continue;
      const { bytes, type, start, end } = ofDocument(item);
      if (type !== MISSING_VALUE.type) found.push({ bytes, type, start, end });
    }
    return arrayValue(found);
  };
}
