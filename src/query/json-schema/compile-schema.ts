/**
 * `$jsonSchema`: JSON Schema draft 4 as MongoDB knows it, with `bsonType` and without references.
 *
 * A schema is compiled to one test per keyword; a value passes when it passes all. Keywords say nothing about values of other
 * types than their own.
 */
import { elements, keyOf, type RawElement } from '../../bson/elements.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import type { ValueTest } from '../field-path.ts';
import { QueryFault } from '../query-fault.ts';
import { ARRAY_KEYWORDS } from './array-keywords.ts';
import { GENERAL_KEYWORDS } from './general-keywords.ts';
import type { Keyword } from './keyword.ts';
import { OBJECT_KEYWORDS } from './object-keywords.ts';
import { SCALAR_KEYWORDS } from './scalar-keywords.ts';

const KEYWORDS: Readonly<Record<string, Keyword>> = {
  ...GENERAL_KEYWORDS,
  ...SCALAR_KEYWORDS,
  ...OBJECT_KEYWORDS,
  ...ARRAY_KEYWORDS,
};

/** The test of a schema; throws QueryFault. */
export function compileSchema(schema: RawValue, path: string): ValueTest {
  if (schema.type !== BSON.OBJECT) throw new QueryFault('$jsonSchema expects an object', path);
  const siblings = keywordsOf(schema, path);
  const tests = [...siblings].flatMap(([keyword, operand]) => {
    const use = { keyword, operand, path: `${path}.${keyword}`, siblings, compile: compileSchema };
    return (KEYWORDS[keyword] as Keyword)(use) ?? [];
  });
  return (value) => tests.every((test) => test(value));
}

function keywordsOf(schema: RawValue, path: string): Map<string, RawElement> {
  const keywords = new Map<string, RawElement>();
  for (const element of elements(schema.bytes, schema.start)) {
    const keyword = keyOf(element);
    if (!Object.hasOwn(KEYWORDS, keyword)) {
      const known = Object.keys(KEYWORDS).join(', ');
      throw new QueryFault(`$jsonSchema: "${keyword}" is not supported; supported are ${known}`, path);
    }
    if (keywords.has(keyword)) throw new QueryFault(`$jsonSchema: "${keyword}" comes twice`, path);
    keywords.set(keyword, element);
  }
  return keywords;
}
