/**
 * What the JSON Schema of a plan finds, and what it says of a value: messages take their words (titles, examples) from it.
 */
import { matchesSchema } from './compiled-schema.ts';
import type { PathPart } from './nodes.ts';
import { schemaText } from './schema-file.ts';

/** The parts of a schema that messages use. */
export interface SchemaNode {
  readonly $ref?: string;
  readonly title?: string;
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly examples?: readonly unknown[];
  readonly default?: unknown;
  readonly allOf?: readonly SchemaNode[];
  readonly items?: SchemaNode;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly definitions?: Readonly<Record<string, SchemaNode>>;
}

/** One violation: JSON Schema keyword, path of the value, parameters of the keyword. */
export interface Violation {
  readonly keyword: string;
  readonly path: readonly PathPart[];
  readonly params: Readonly<Record<string, unknown>>;
}

let root: SchemaNode | undefined;

function schemaRoot(): SchemaNode {
  root ??= JSON.parse(schemaText()) as SchemaNode;
  return root;
}

/**
 * Everything the schema has against a value. Which of several alternatives is there is left to the rules; where any will do, the first
 * speaks for all.
 */
export function violations(value: unknown): Violation[] {
  if (matchesSchema(value)) return [];
  return (matchesSchema.errors ?? [])
    .filter(
      ({ keyword, schemaPath }) =>
        keyword !== 'if' && !schemaPath.includes('/oneOf') && !/\/anyOf(?!\/0\/)/.test(schemaPath),
    )
    .map((error) => ({
      keyword: error.keyword,
      path: pathOf(error.instancePath),
      params: error.params,
    }));
}

/** The schema of the value at a path of the plan, with references followed; undefined where it knows none. */
export function schemaAt(path: readonly PathPart[]): SchemaNode | undefined {
  const schema = schemaRoot();
  let node: SchemaNode | undefined = resolved(schema, { $ref: '#/definitions/plan' });
  for (const part of path) {
    const next: SchemaNode | undefined = typeof part === 'number' ? node?.items : ownProperty(node, part);
    if (next === undefined) return undefined;
    node = resolved(schema, next);
  }
  return node;
}

function ownProperty(node: SchemaNode | undefined, name: string): SchemaNode | undefined {
  return node?.properties !== undefined && Object.hasOwn(node.properties, name)
    ? node.properties[name]
    : undefined;
}

/** Follows `$ref` and `allOf`; what the referring place says itself goes before what it refers to. */
function resolved(schema: SchemaNode, node: SchemaNode): SchemaNode {
  if (node.$ref !== undefined) {
    const name = node.$ref.replace('#/definitions/', '');
    return resolved(schema, schema.definitions?.[name] ?? {});
  }
  return Object.assign({}, ...(node.allOf ?? []).map((part) => resolved(schema, part)), node);
}

function pathOf(pointer: string): PathPart[] {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part));
}
