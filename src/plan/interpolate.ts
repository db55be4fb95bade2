/**
 * Puts the values of `${VARIABLE}`s into the texts of a plan. It works on parsed values, one text at a time, so a value
 * that looks like YAML stays one text.
 */
import { faultAt, noteAt, type Place, type PlanFault, quoted, whereIs } from './fault.ts';
import { nearest } from './nearest.ts';
import { type MapNode, type PathPart, type PlanNode, pathText, type ScalarNode } from './nodes.ts';

/** A variable that the plan uses and the environment does not have. */
export interface UnsetVariable {
  readonly name: string;
  /** `file:line:col` of its use. */
  readonly where: string;
  /** Where in the plan, such as `targets.production.uri`: tells which commands can do without it. */
  readonly path: string;
  /** The text of `${VAR:?message}`. */
  readonly message: string | undefined;
  /** It is set, to nothing. */
  readonly isEmpty: boolean;
}

export interface Interpolation {
  readonly root: MapNode;
  readonly unset: readonly UnsetVariable[];
  /** One note for each use of a variable that is not set. */
  readonly unsetNotes: readonly PlanFault[];
  readonly faults: readonly PlanFault[];
}

/** `$${`, a whole `${NAME}` or `${NAME:?message}`, or a `${` that is neither. */
const VARIABLE = /\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::\?([^}]*))?\})?/g;

export function interpolate(root: MapNode, env: Environment): Interpolation {
  const unset: UnsetVariable[] = [];
  const unsetNotes: PlanFault[] = [];
  const faults: PlanFault[] = [];

  const scalar = (node: ScalarNode, path: readonly PathPart[]): ScalarNode => {
    if (typeof node.value !== 'string' || !node.value.includes('${')) return node;
    let isUnjudged = false;
    const value = node.value.replace(
      VARIABLE,
      (use, name: string | undefined, message: string | undefined) => {
        if (use === '$${') return '${';
        const place = placeOfUse(node, use);
        if (name === undefined) {
          const expected = `\${NAME} or \${NAME:?message}; $\${ for the characters \${ themselves`;
          faults.push(faultAt(place, 'variable', { message: 'this is no variable', expected }));
          isUnjudged = true;
          return use;
        }
        const found = Object.hasOwn(env, name) ? env[name] : undefined;
        // An empty value would silently turn a connection string or a query into another one.
        if (found !== undefined && found !== '') return found;
        isUnjudged = true;
        unset.push({ name, where: whereIs(place), path: pathText(path), message, isEmpty: found === '' });
        const what = `the variable ${name} is ${found === '' ? 'empty' : 'not set'}`;
        const near = nearVariable(name, env);
        const said = message === undefined || message === '' ? what : `${what}: ${quoted(message)}`;
        unsetNotes.push(noteAt(place, 'variable', { message: said, suggestion: near }));
        return use;
      },
    );
    return { ...node, value, unjudged: isUnjudged };
  };
  const walk = (node: PlanNode, path: readonly PathPart[]): PlanNode => {
    if (node.kind === 'scalar') return scalar(node, path);
    if (node.kind === 'list')
      return { ...node, items: node.items.map((item, i) => walk(item, [...path, i])) };
    return map(node, path);
  };
  const map = (node: MapNode, path: readonly PathPart[]): MapNode => {
    const entries = [...node.entries].map(
      ([key, entry]) => [key, { ...entry, value: walk(entry.value, [...path, key]) }] as const,
    );
    return { ...node, entries: new Map(entries) };
  };
  return { root: map(root, []), unset, unsetNotes, faults };
}

/** Of the variables that are set; an environment has many, and most misspellings keep the first letter. */
function nearVariable(name: string, env: Environment): string | undefined {
  return nearest(
    name,
    Object.keys(env).filter((other) => other[0] === name[0] && env[other]),
  );
}

/** The use itself where the file has it in these characters, else the whole value. */
function placeOfUse(node: ScalarNode, use: string): Place {
  const { text, start, end } = node.place;
  const at = text.text.slice(start, end).indexOf(use);
  return at < 0 ? node.place : { text, start: start + at, end: start + at + use.length };
}

/** Variables of the environment by name; undefined = not set. */
export type Environment = Readonly<Record<string, string | undefined>>;
