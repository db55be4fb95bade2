/**
 * What the JSON Schema of a plan finds, and what it says of a value: messages take their words (titles, examples) from it.
 */
import { matchesSchema } from './compiled-schema.ts';
import { type FaultDetails, type FaultRule, faultAt, type Place, type PlanFault, quoted } from './fault.ts';
import { FOLLOW_UP_KINDS } from './follow-ups/kinds.ts';
import { nearest } from './nearest.ts';
import { type MapNode, nodeAt, type PathPart, type PlanNode, pathText, placeAt, shown } from './nodes.ts';
import { schemaText } from './schema-file.ts';
import { STORES } from './sources/stores.ts';

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
  /** The schema of every other property: its name is the author's. */
  readonly additionalProperties?: boolean | SchemaNode;
  readonly definitions?: Readonly<Record<string, SchemaNode>>;
}

/** One violation: JSON Schema keyword, path of the value, parameters of the keyword. */
interface Violation {
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
    const next: SchemaNode | undefined =
      typeof part === 'number' ? node?.items : (ownProperty(node, part) ?? anyProperty(node));
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

function anyProperty(node: SchemaNode | undefined): SchemaNode | undefined {
  const any = node?.additionalProperties;
  return typeof any === 'object' ? any : undefined;
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

// The violations in words for the author of a plan: at the right place, with the right form and an example.

/** Violations that follow from another one, or that cannot be judged, give nothing. */
export function schemaFaults(root: MapNode, violations: readonly Violation[]): PlanFault[] {
  const others = byPlace(violations);
  return violations.flatMap((violation) => {
    const node = nodeAt(root, ...violation.path) ?? root;
    if (isConsequence(node, violation, others)) return [];
    const found = describe({ root, node, violation, others });
    return found === undefined ? [] : [faultAt(found.place, found.rule, found)];
  });
}

/** Violations by the path of the value, as `pathText` writes it: there may be many thousand. */
interface ViolationsByPath {
  /** Values of a wrong type. */
  readonly wrongTypes: ReadonlySet<string>;
  /** Keys that a map should not have. */
  readonly unknownKeys: ReadonlyMap<string, readonly string[]>;
}

function byPlace(violations: readonly Violation[]): ViolationsByPath {
  const wrongTypes = new Set<string>();
  const unknownKeys = new Map<string, string[]>();
  for (const { keyword, path, params } of violations) {
    const place = pathText(path);
    if (keyword === 'type') wrongTypes.add(place);
    if (keyword !== 'additionalProperties') continue;
    const keys = unknownKeys.get(place) ?? [];
    keys.push(String(params['additionalProperty']));
    unknownKeys.set(place, keys);
  }
  return { wrongTypes, unknownKeys };
}

/** What the rules say more precisely than a pattern can. */
const JUDGED_BY_RULES: readonly PathPart[] = ['at', 'from', 'until', 'maxAge', 'soak', 'timeout'];

function isConsequence(node: PlanNode, { keyword, path }: Violation, others: ViolationsByPath): boolean {
  if (keyword === 'pattern' && JUDGED_BY_RULES.includes(path.at(-1) ?? '')) return true;
  if (keyword !== 'type' && others.wrongTypes.has(pathText(path))) return true;
  // A variable gives text: that it stands where a number belongs can be said without its value.
  return node.kind === 'scalar' && node.unjudged && (keyword !== 'type' || node.value === null);
}

interface Finding extends FaultDetails {
  readonly place: Place;
  readonly rule: FaultRule;
  readonly message: string;
}

interface Case {
  readonly root: MapNode;
  readonly node: PlanNode;
  readonly violation: Violation;
  readonly others: ViolationsByPath;
}

function describe({ root, node, violation, others }: Case): Finding | undefined {
  const { keyword, path, params } = violation;
  const subject = path.length === 0 ? 'the plan' : pathText(path);
  const schema = schemaAt(path);
  const here = node.place;
  const value = (message: string, expected = expectedForm(schema)): Finding => ({
    place: here,
    rule: 'value',
    message,
    expected,
  });
  switch (keyword) {
    case 'additionalProperties':
      return unknownKey(root, path, String(params['additionalProperty']));
    case 'required': {
      const missing = String(params['missingProperty']);
      if (isMisspelt(missing, path, others)) return undefined;
      const message = `${subject} has no \`${missing}\``;
      const expected = expectedForm(schemaAt([...path, missing]));
      return { place: placeAt(root, ...path), rule: 'missing-key', message, expected };
    }
    case 'type': {
      const isEmpty = node.kind === 'scalar' && node.value === null;
      const message = isEmpty ? `${subject} has no value` : `${subject} is ${kindOf(node)}`;
      return {
        place: isEmpty ? placeAt(root, ...path) : here,
        rule: 'type',
        message,
        expected: expectedForm(schema),
      };
    }
    case 'enum': {
      const allowed = (schema?.enum ?? []).map(String);
      const suggestion =
        node.kind === 'scalar' && typeof node.written === 'string'
          ? nearest(node.written, allowed)
          : undefined;
      const message =
        path.join('.') === 'version'
          ? `version ${shown(node)} of the plan format is not known`
          : `${shown(node)} is no value of ${subject}`;
      return { ...value(message, oneOf(allowed)), suggestion };
    }
    case 'minLength':
      return value(`${subject} is empty`);
    case 'maxLength':
      return value(`${subject} is too long`, `at most ${params['limit']} characters`);
    case 'minItems':
      return params['limit'] === 1
        ? value(`${subject} is an empty list`, 'at least one entry')
        : value(`${subject} has too few entries`, `${params['limit']} entries`);
    case 'maxItems':
      return value(`${subject} has too many entries`, `${params['limit']} entries`);
    case 'minimum':
      return value(`${subject} is ${shown(node)}`, `at least ${params['limit']}`);
    case 'maximum':
      return value(`${subject} is ${shown(node)}`, `at most ${params['limit']}`);
    case 'uniqueItems': {
      const first = nodeAt(node, Number(params['j']))?.place ?? here;
      const second = nodeAt(node, Number(params['i']))?.place ?? here;
      const [earlier, later] = first.start < second.start ? [first, second] : [second, first];
      const related = [{ place: earlier, message: 'first here' }];
      return { place: later, rule: 'value', message: `${subject} has the same entry twice`, related };
    }
    default:
      return value(`${shown(node)} is not allowed as ${subject}`);
  }
}

function unknownKey(root: MapNode, path: readonly PathPart[], key: string): Finding {
  const known = Object.keys(schemaAt(path)?.properties ?? {});
  const parent = nodeAt(root, ...path);
  const missing = known.filter((name) => parent?.kind !== 'map' || !parent.entries.has(name));
  const suggestion = nearest(key, missing) ?? nearest(key, known);
  const where = path.length === 0 ? 'a plan' : pathText(path);
  const home = suggestion === undefined ? HOMES.find((place) => hasKey(place, key)) : undefined;
  return {
    place: placeAt(root, ...path, key),
    rule: 'unknown-key',
    message: `${where} has no key ${quoted(key)}${home === undefined ? '' : `; it belongs ${home.length === 0 ? 'at the top of the plan' : `in ${pathText(home)}`}`}`,
    expected: oneOf(missing.length > 0 ? missing : known),
    suggestion,
  };
}

/** Where keys live that are easily put one level too high or too low. */
const HOMES: readonly (readonly PathPart[])[] = [
  [],
  ['source'],
  ...Object.keys(STORES).map((key) => ['source', key]),
  ['collections', 0],
  ['collections', 0, 'dependents', 0],
  ['targets'],
  ['targets', 'production'],
  ['targets', 'production', 'gate'],
  ['followUps', 0],
  ...Object.entries(FOLLOW_UP_KINDS).flatMap(([key, { isMap }]) => (isMap ? [['followUps', 0, key]] : [])),
];

function hasKey(path: readonly PathPart[], key: string): boolean {
  return Object.hasOwn(schemaAt(path)?.properties ?? {}, key);
}

/** A key that is missing because it was misspelt is one mistake: the unknown key names it. */
function isMisspelt(missing: string, path: readonly PathPart[], { unknownKeys }: ViolationsByPath): boolean {
  const unknown = unknownKeys.get(pathText(path)) ?? [];
  return unknown.some((key) => nearest(key, [missing]) !== undefined);
}

/** `field path, such as updated_at` */
function expectedForm(schema: SchemaNode | undefined): string | undefined {
  if (schema === undefined) return undefined;
  if (schema.enum !== undefined && schema.enum.length > 1) return oneOf(schema.enum.map(String));
  const example = schema.examples?.[0];
  const form = `${kindOfSchema(schema)}${schema.title === undefined ? '' : ` (${schema.title.toLowerCase()})`}`;
  if (example === undefined) return form;
  return `${form}, such as ${typeof example === 'string' ? example : flow(example)}`;
}

/** Compact YAML of an example. */
function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(', ')}]`;
  // Inside braces, the brace of a variable would end the value.
  if (typeof value !== 'object' || value === null)
    return /[{}[\],]/.test(String(value)) ? `"${value}"` : String(value);
  return `{ ${Object.entries(value)
    .map(([key, inner]) => `${key}: ${flow(inner)}`)
    .join(', ')} }`;
}

const KINDS: Readonly<Record<string, string>> = {
  object: 'a map',
  array: 'a list',
  string: 'text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
};

function kindOfSchema(schema: SchemaNode): string {
  const types = typeof schema.type === 'string' ? [schema.type] : (schema.type ?? []);
  return types.map((type) => KINDS[type] ?? type).join(' or ');
}

function kindOf(node: PlanNode): string {
  if (node.kind !== 'scalar') return shown(node);
  if (typeof node.value === 'string') return `text: ${shown(node)}`;
  return typeof node.value === 'boolean' ? `the truth value ${node.value}` : `the number ${shown(node)}`;
}

function oneOf(words: readonly string[]): string {
  return words.length === 1 ? (words[0] as string) : `one of ${words.join(', ')}`;
}
