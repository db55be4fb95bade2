/**
 * Rules about how the collections of a plan fit together: none twice, no circles, and one way to treat each collection,
 * by whichever route its documents are found.
 */

import { faultAt, type PlanFault, quoted } from '../fault.ts';
import { exceptedIds } from '../id-list.ts';
import { itemsAt, type MapNode, nodeAt, orderedValue, type PlanNode, placeAt, textAt } from '../nodes.ts';
import { type CollectionEntry, collectionEntries, exactlyOne, repeats, wayBetween } from './structure.ts';
import { fieldsPath, windowsText } from './window-rules.ts';

export function collectionRules(root: MapNode): PlanFault[] {
  const entries = collectionEntries(root);
  return [
    ...listedTwice(root, entries),
    ...circles(root, entries),
    ...disagreements(root, entries),
    ...sameTarget(root, entries),
    ...exceptionFaults(root, entries),
    ...mergeFaults(entries),
  ];
}

const placeOfName = (root: MapNode, entry: CollectionEntry) =>
  nodeAt(root, ...entry.path, 'collection')?.place ?? placeAt(root, ...entry.path);

/** Two roots of one collection, or two equal dependents of one parent, would select the same documents twice. */
function listedTwice(root: MapNode, entries: readonly CollectionEntry[]): PlanFault[] {
  return repeats(entries, keysOf).map(({ entry, first }) => {
    const isRoot = entry.parents.length === 0;
    const message = isRoot
      ? `the collection ${quoted(entry.name)} is listed twice`
      : `the dependent ${quoted(entry.name)} is listed twice with the same keys`;
    const expected = 'one entry; join the two queries with $or';
    const related = [{ place: placeOfName(root, first), message: 'first here' }];
    return faultAt(placeOfName(root, entry), 'collections', { message, expected, related });
  });
}

/** The same text for entries of one parent that find the same documents, were it not for their queries. */
function keysOf({ name, node, parents }: CollectionEntry): string {
  const [foreignKey = '', localKey = '_id'] = [textAt(node, 'foreignKey'), textAt(node, 'localKey')];
  return JSON.stringify([parents.at(-1)?.path, name, foreignKey, localKey, windowsText(node)]);
}

/**
 * A collection may be its own dependent (a tree). A longer circle has no end that a reader of the plan could see, so
 * it is refused, wherever in the plan its links stand.
 */
function circles(root: MapNode, entries: readonly CollectionEntry[]): PlanFault[] {
  const faults: PlanFault[] = [];
  const dependentsOf = new Map<string, Set<string>>();
  for (const entry of entries) {
    const parent = entry.parents.at(-1)?.name;
    if (parent === undefined) continue;
    if (parent === entry.name) {
      if (entry.parents.at(-2)?.name !== entry.name) continue;
      const message = `${quoted(entry.name)} is its own dependent once more`;
      const expected = 'one level; a tree is followed to its end';
      faults.push(faultAt(placeOfName(root, entry), 'collections', { message, expected }));
      continue;
    }
    const way = wayBetween(entry.name, parent, (name) => dependentsOf.get(name) ?? []);
    if (way === undefined) {
      const known = dependentsOf.get(parent) ?? new Set();
      dependentsOf.set(parent, known.add(entry.name));
      continue;
    }
    const message = `the dependents form a circle: ${[parent, ...way].join(' → ')}`;
    const expected =
      'dependents that lead away from their parents; only a collection itself may be its own dependent';
    faults.push(faultAt(placeOfName(root, entry), 'collections', { message, expected }));
  }
  return faults;
}

/** What is done with a document must not depend on the route by which it was found. */
const SETTINGS: readonly Setting[] = [
  { key: 'into', otherwise: (name) => name },
  { key: 'whenMatched', otherwise: () => 'keepExisting' },
  { key: 'fields', otherwise: () => '' },
  { key: 'whenNotMatched', otherwise: () => 'insert' },
  { key: 'updatedAt', otherwise: () => '' },
  { key: 'softDelete', otherwise: () => '' },
];
/** What only dependents have. */
const SETTINGS_OF_DEPENDENTS: readonly Setting[] = [{ key: 'orphans', otherwise: () => 'holdBack' }];

interface Setting {
  readonly key: string;
  /** What holds where the entry of this name does not say it. */
  readonly otherwise: (name: string) => string;
}

function disagreements(root: MapNode, entries: readonly CollectionEntry[]): PlanFault[] {
  const dependents = entries.filter(({ parents }) => parents.length > 0);
  return [...disagreeing(root, entries, SETTINGS), ...disagreeing(root, dependents, SETTINGS_OF_DEPENDENTS)];
}

function disagreeing(
  root: MapNode,
  entries: readonly CollectionEntry[],
  settings: readonly Setting[],
): PlanFault[] {
  return repeats(entries, ({ name }) => name).flatMap(({ entry, first }) =>
    settings.flatMap(({ key, otherwise }) => {
      const here = settingOf(entry.node, key);
      const there = settingOf(first.node, key);
      if (settled(here, otherwise(entry.name)) === settled(there, otherwise(entry.name))) return [];
      const message = `${quoted(entry.name)} is reached twice, with different \`${key}\``;
      const related = [
        {
          place: there?.place ?? placeOfName(root, first),
          message: there === undefined ? `no \`${key}\` here` : 'the other one',
        },
      ];
      const place = here?.place ?? placeOfName(root, entry);
      return [faultAt(place, 'collections', { message, expected: `the same \`${key}\` in both`, related })];
    }),
  );
}

function settingOf(node: MapNode, key: string): PlanNode | undefined {
  return nodeAt(node, ...(key === 'fields' ? fieldsPath(node) : [key]));
}

function settled(node: PlanNode | undefined, otherwise: string): string {
  if (node === undefined) return otherwise;
  const value = orderedValue(node);
  return typeof value === 'string'
    ? value
    : JSON.stringify(value, (_, inner) => (inner instanceof Map ? [...inner] : inner));
}

/** `fields` and `whenNotMatched` belong to `whenMatched: merge`; a field is restored once, and what finds a document stays. */
function mergeFaults(entries: readonly CollectionEntry[]): PlanFault[] {
  return entries.flatMap(({ node }) => {
    const matched = nodeAt(node, 'whenMatched');
    if (textAt(node, 'whenMatched') !== 'merge') {
      return ['fields', 'whenNotMatched'].flatMap((key) => {
        const given = nodeAt(node, key);
        if (given === undefined) return [];
        const message = `\`${key}\` says nothing without \`whenMatched: merge\``;
        return [faultAt(given.place, 'collections', { message, expected: 'both, or neither' })];
      });
    }
    const fields = itemsAt(node, ...fieldsPath(node));
    if (matched !== undefined && fields.length === 0) {
      const message = '`whenMatched: merge` does not say which fields';
      const expected = 'the paths of the fields to restore: `fields: [price, "address.zip"]`';
      return [faultAt(matched.place, 'collections', { message, expected })];
    }
    return fields.flatMap((field, i) => {
      const path = textOf(field);
      if (path === '_id' || path.startsWith('_id.')) {
        const message = `${quoted(path)} cannot be merged: by its _id a document is found`;
        return [faultAt(field.place, 'collections', { message, expected: 'other fields' })];
      }
      if (path.split('.').includes('')) {
        const message = `${quoted(path)} is not a path: a name in it is empty`;
        return [faultAt(field.place, 'collections', { message, expected: 'names with dots between them' })];
      }
      const other = fields.slice(0, i).find((each) => overlap(textOf(each), path));
      if (other === undefined) return [];
      const message = `${quoted(path)} and ${quoted(textOf(other))} overlap`;
      const related = [{ place: other.place, message: 'the other one' }];
      return [faultAt(field.place, 'collections', { message, expected: 'the outer one alone', related })];
    });
  });
}

const textOf = (field: PlanNode): string => textAt(field) ?? '';

/** One is the other, or lies in it. */
function overlap(a: string, b: string): boolean {
  return a === b || a.startsWith(`${b}.`) || b.startsWith(`${a}.`);
}

/** Two collections in one would overwrite or hide each other's documents. */
function sameTarget(root: MapNode, entries: readonly CollectionEntry[]): PlanFault[] {
  const first = new Map<string, CollectionEntry>();
  return entries.flatMap((entry) => {
    const into = textAt(entry.node, 'into') ?? entry.name;
    const other = first.get(into);
    if (other === undefined) first.set(into, entry);
    if (other === undefined || other.name === entry.name) return [];
    const place = nodeAt(entry.node, 'into')?.place ?? placeOfName(root, entry);
    const message = `${quoted(entry.name)} and ${quoted(other.name)} would both be restored into ${quoted(into)}`;
    const otherPlace = nodeAt(other.node, 'into')?.place ?? placeOfName(root, other);
    const related = [{ place: otherPlace, message: `${other.name} is here` }];
    return [
      faultAt(place, 'collections', { message, expected: 'a collection of its own for each', related }),
    ];
  });
}

function exceptionFaults(root: MapNode, entries: readonly CollectionEntry[]): PlanFault[] {
  return entries.flatMap(({ path }) =>
    itemsAt(root, ...path, 'exceptions').flatMap((exception, i) => [
      ...exactlyOne(root, [...path, 'exceptions', i], {
        keys: ['ids', 'class'],
        what: 'choice of documents',
      }),
      ...exceptedIds(exception).faults,
    ]),
  );
}
