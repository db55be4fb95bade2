/**
 * Whether a query compares text, so that its answer depends on the collation of the collection it is asked of.
 *
 * A matcher compares text byte by byte. On a server, a collection made with a collation compares it by that language's rules
 * instead, for instance without regard to case. Regular expressions, schemas and everything but text are the same for both.
 */
import { elements, keyOf, type RawElement } from '../bson/elements.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { isOperatorDocument } from './operator-document.ts';

export function comparesText(query: Buffer): boolean {
  return filterComparesText({ bytes: query, type: BSON.OBJECT, start: 0, end: query.length });
}

function filterComparesText(filter: RawValue): boolean {
  return children(filter).some((element) => {
    switch (keyOf(element)) {
      case '$and':
      case '$or':
      case '$nor':
        return children(element).some(filterComparesText);
      case '$expr':
        // What its fields hold is not known.
        return true;
      case '$jsonSchema':
      case '$comment':
        return false;
      default:
        return isOperatorDocument(element) ? operatorsCompareText(element) : holdsText(element);
    }
  });
}

function operatorsCompareText(operators: RawValue): boolean {
  return children(operators).some((operand) => {
    switch (keyOf(operand)) {
      case '$eq':
      case '$ne':
      case '$gt':
      case '$gte':
      case '$lt':
      case '$lte':
      case '$in':
      case '$nin':
        return holdsText(operand);
      case '$all':
        return children(operand).some((item) =>
          isElementMatch(item) ? operatorsCompareText(item) : holdsText(item),
        );
      case '$not':
        return operand.type === BSON.OBJECT && operatorsCompareText(operand);
      case '$elemMatch':
        return operatorsCompareText(operand) || filterComparesText(operand);
      default:
        return false;
    }
  });
}

function isElementMatch(value: RawValue): boolean {
  const [first] = value.type === BSON.OBJECT ? children(value) : [];
  return first !== undefined && keyOf(first) === '$elemMatch';
}

function holdsText(value: RawValue): boolean {
  if (value.type === BSON.STRING || value.type === BSON.SYMBOL) return true;
  return (value.type === BSON.OBJECT || value.type === BSON.ARRAY) && children(value).some(holdsText);
}

function children(value: RawValue): RawElement[] {
  return [...elements(value.bytes, value.start)];
}
