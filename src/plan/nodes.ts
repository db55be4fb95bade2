/**
 * A plan as a tree of values that know where they were written. Files that extend others and variables change values,
 * never places: a fault in a merged plan points into the file that holds the text.
 */

import { Secret } from '../secret.ts';
import { findCredentials, hideCredentials } from './credentials.ts';
import { type Place, quoted } from './fault.ts';

export type PlanNode = MapNode | ListNode | ScalarNode;

export interface MapNode {
  readonly kind: 'map';
  readonly place: Place;
  /** In the order of the file; keys are always text. */
  readonly entries: ReadonlyMap<string, MapEntry>;
}

export interface MapEntry {
  readonly keyPlace: Place;
  readonly value: PlanNode;
}

interface ListNode {
  readonly kind: 'list';
  readonly place: Place;
  readonly items: readonly PlanNode[];
}

export type Scalar = string | number | boolean | null;

export interface ScalarNode {
  readonly kind: 'scalar';
  readonly place: Place;
  readonly value: Scalar;
  /** The value as the file has it, before variables were put in. */
  readonly written: Scalar;
  /** True when nothing more can be said of it: it names a variable that is not set, or has a fault already. */
  readonly unjudged: boolean;
}

export type PathPart = string | number;

/** The node at a path, if there is one. */
export function nodeAt(root: PlanNode | undefined, ...path: readonly PathPart[]): PlanNode | undefined {
  let node = root;
  for (const part of path) {
    if (node?.kind === 'map') node = node.entries.get(String(part))?.value;
    else if (node?.kind === 'list') node = node.items[Number(part)];
    else return undefined;
  }
  return node;
}

/** The text at a path, if there is one and it can be judged. */
export function textAt(root: PlanNode | undefined, ...path: readonly PathPart[]): string | undefined {
  const node = nodeAt(root, ...path);
  return node?.kind === 'scalar' && typeof node.value === 'string' && !node.unjudged ? node.value : undefined;
}

/** The value at a path as the plan gives it. */
export function givenValue(root: PlanNode, ...path: readonly PathPart[]): Scalar | undefined {
  const node = nodeAt(root, ...path);
  return node?.kind === 'scalar' ? node.value : undefined;
}

/** The text at a path; with an unset variable in it, as written. */
export function givenText(root: PlanNode, ...path: readonly PathPart[]): string | undefined {
  const value = givenValue(root, ...path);
  return typeof value === 'string' ? value : undefined;
}

/** What a variable holds. */
export function givenSecret(root: PlanNode, ...path: readonly PathPart[]): Secret | undefined {
  const node = nodeAt(root, ...path);
  if (node?.kind !== 'scalar' || node.unjudged) return undefined;
  const [, variable] = /^\$\{([A-Za-z_][A-Za-z0-9_]*)(?::\?[^}]*)?\}$/.exec(String(node.written)) ?? [];
  return new Secret(String(node.value), variable);
}

/** The items of the list at a path; none when it is missing or no list. */
export function itemsAt(root: PlanNode | undefined, ...path: readonly PathPart[]): readonly PlanNode[] {
  const node = nodeAt(root, ...path);
  return node?.kind === 'list' ? node.items : [];
}

/** Where to point for the entry at a path: its key in a map; in a list, the item or the first key of the item. */
export function placeAt(root: PlanNode, ...path: readonly PathPart[]): Place {
  const last = path.at(-1);
  const parent = nodeAt(root, ...path.slice(0, -1));
  if (typeof last === 'string' && parent?.kind === 'map') {
    const entry = parent.entries.get(last);
    if (entry !== undefined) return entry.keyPlace;
  }
  const node = nodeAt(root, ...path);
  return node === undefined ? headOf(parent ?? root) : headOf(node);
}

/** The first line's worth of a node: a map is marked at its first key, so that a fault does not underline all of it. */
export function headOf(node: PlanNode): Place {
  if (node.kind === 'map') {
    const first = node.entries.values().next().value;
    if (first !== undefined) return first.keyPlace;
  }
  return node.place;
}

/** `collections[0].dependents[1].query` */
export function pathText(path: readonly PathPart[]): string {
  return path
    .map((part, i) => (typeof part === 'number' ? `[${part}]` : i === 0 ? part : `.${part}`))
    .join('');
}

/** For a message: the value as written, without what a variable holds and without credentials. */
export function shown(node: PlanNode): string {
  if (node.kind === 'map') return 'a map';
  if (node.kind === 'list') return 'a list';
  if (node.value === null) return 'nothing';
  if (typeof node.written !== 'string') return String(node.written);
  return quoted(hideCredentials(node.written, findCredentials(node.written)));
}

/** Plain values for the schema. Objects have no prototype, so `__proto__` is a key like any other. */
export function plainValue(node: PlanNode): unknown {
  if (node.kind === 'scalar') return node.value;
  if (node.kind === 'list') return node.items.map(plainValue);
  const object: Record<string, unknown> = Object.create(null);
  for (const [key, entry] of node.entries) object[key] = plainValue(entry.value);
  return object;
}

/** Nested Maps and arrays for a query: unlike an object, a Map keeps keys such as "1" in the order of the file. */
export function orderedValue(node: PlanNode): unknown {
  if (node.kind === 'scalar') return node.value;
  if (node.kind === 'list') return node.items.map(orderedValue);
  return new Map([...node.entries].map(([key, entry]) => [key, orderedValue(entry.value)]));
}

/** Calls `visit` for every scalar, in the order of the file. */
export function eachScalar(
  node: PlanNode,
  visit: (scalar: ScalarNode, path: readonly PathPart[]) => void,
  path: readonly PathPart[] = [],
): void {
  if (node.kind === 'scalar') visit(node, path);
  else if (node.kind === 'list') node.items.forEach((item, i) => void eachScalar(item, visit, [...path, i]));
  else for (const [key, entry] of node.entries) eachScalar(entry.value, visit, [...path, key]);
}

/** Whether it holds a value that cannot be judged: then the whole cannot be judged either. */
export function holdsUnjudged(node: PlanNode): boolean {
  let found = false;
  eachScalar(node, (scalar) => {
    found ||= scalar.unjudged;
  });
  return found;
}

/** The texts of a list, as given; none where it is not there. */
export function textsAt(root: PlanNode, ...path: readonly PathPart[]): string[] {
  return itemsAt(root, ...path).map((_, i) => givenText(root, ...path, i) as string);
}
