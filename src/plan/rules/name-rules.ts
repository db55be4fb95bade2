/** Names of databases, collections and fields: what MongoDB refuses, and what a restore must keep its hands off. */

import { type FaultDetails, faultAt, type PlanFault } from '../fault.ts';
import { parseDuration } from '../instant.ts';
import { isOfLedger } from '../ledger-names.ts';
import { itemsAt, type MapNode, nodeAt, type PathPart, placeAt, textAt } from '../nodes.ts';
import { collectionEntries } from './structure.ts';

/** Limits of MongoDB, in bytes. */
const MAX_DATABASE_BYTES = 63;
const MAX_NAMESPACE_BYTES = 255;

export function nameRules(root: MapNode): PlanFault[] {
  return [...databaseRules(root), ...collectionNameRules(root), ...fieldPathRules(root)];
}

type Problem = (FaultDetails & { readonly message: string }) | undefined;

function check(root: MapNode, path: readonly PathPart[], judge: (name: string) => Problem): PlanFault[] {
  const node = nodeAt(root, ...path);
  const name = textAt(root, ...path);
  const problem = node === undefined || name === undefined || name === '' ? undefined : judge(name);
  return node === undefined || problem === undefined ? [] : [faultAt(node.place, 'namespace', problem)];
}

const DATABASES: readonly (readonly PathPart[])[] = [
  ['source', 'database'],
  ['targets', 'staging', 'database'],
  ['targets', 'production', 'database'],
];

function databaseRules(root: MapNode): PlanFault[] {
  return DATABASES.flatMap((path) => check(root, path, databaseProblem));
}

function databaseProblem(name: string): Problem {
  if (['admin', 'config', 'local'].includes(name)) {
    return {
      message: `${name} belongs to the server; nothing is restored from or into it`,
      expected: 'a database of an application',
    };
  }
  const character = /[/\\. "$*<>:|?\0]/.exec(name)?.[0];
  if (character !== undefined) {
    return {
      message: `a database name cannot hold ${nameOf(character)}`,
      expected: 'letters, digits, - and _',
    };
  }
  const length = Buffer.byteLength(name);
  if (length > MAX_DATABASE_BYTES) {
    return {
      message: `the database name has ${length} bytes`,
      expected: `at most ${MAX_DATABASE_BYTES} bytes`,
    };
  }
  return undefined;
}

function collectionNameRules(root: MapNode): PlanFault[] {
  const source = textAt(root, 'source', 'database');
  const targets = itemsOf(root, ['targets', 'staging', 'database'], ['targets', 'production', 'database']);
  const longest = targets.sort((a, b) => Buffer.byteLength(b) - Buffer.byteLength(a))[0];
  return collectionEntries(root).flatMap((entry) => {
    const hasInto = nodeAt(entry.node, 'into') !== undefined;
    return [
      ...check(root, [...entry.path, 'collection'], (name) =>
        collectionProblem(name, hasInto ? [source] : [source, longest]),
      ),
      ...check(root, [...entry.path, 'into'], (name) => collectionProblem(name, [longest])),
      ...itemsAt(entry.node, 'references').flatMap((_, i) =>
        check(root, [...entry.path, 'references', i, 'collection'], (name) =>
          collectionProblem(name, [source]),
        ),
      ),
    ];
  });
}

function itemsOf(root: MapNode, ...paths: readonly (readonly PathPart[])[]): string[] {
  return paths.flatMap((path) => textAt(root, ...path) ?? []);
}

/** `databases` are those that the collection would lie in; their names count towards its length. */
function collectionProblem(name: string, databases: readonly (string | undefined)[]): Problem {
  if (name.startsWith('system.')) {
    return { message: 'system collections belong to the server', expected: 'a collection of an application' };
  }
  if (isOfLedger(name)) {
    return {
      message: 'restore_plan holds the ledger of this program',
      expected: 'a collection of an application',
    };
  }
  const character = /[$\0]/.exec(name)?.[0];
  if (character !== undefined) {
    return {
      message: `a collection name cannot hold ${nameOf(character)}`,
      expected: 'a name without $ and NUL',
    };
  }
  if (name.startsWith('.') || name.endsWith('.') || name.includes('..')) {
    return {
      message: 'a collection name cannot begin or end with a dot, or have two in a row',
      expected: 'a name such as artworks',
    };
  }
  for (const database of databases) {
    const length = Buffer.byteLength(`${database ?? ''}.${name}`);
    if (length > MAX_NAMESPACE_BYTES) {
      return {
        message: `the name has ${length} bytes together with its database`,
        expected: `at most ${MAX_NAMESPACE_BYTES} bytes`,
      };
    }
  }
  return undefined;
}

function fieldPathRules(root: MapNode): PlanFault[] {
  const entries = collectionEntries(root).flatMap((entry) => [
    ...['updatedAt', 'foreignKey', 'localKey'].map((key) => [...entry.path, key]),
    ...itemsAt(entry.node, 'references').map((_, i) => [...entry.path, 'references', i, 'field']),
  ]);
  const masks = itemsAt(root, 'mask').map((_, i) => ['mask', i]);
  return [...entries, ...masks].flatMap((path) => check(root, path, fieldPathProblem));
}

function fieldPathProblem(path: string): Problem {
  const expected = 'a field path such as partner.id';
  if (path.includes('\0')) return { message: 'a field path cannot hold NUL', expected };
  const parts = path.split('.');
  if (parts.includes('')) return { message: 'a part of the field path is empty', expected };
  const dollar = parts.findIndex((part) => part.startsWith('$'));
  if (dollar === 0 || (dollar > 0 && !parts.every((part) => /^(?:[^$]|\$(?:id|ref|db)$)/.test(part)))) {
    const reference = 'a field path such as partner.id, or partner.$id of a reference (DBRef)';
    return { message: 'a field path has no $ but in $id, $ref and $db', expected: reference };
  }
  return undefined;
}

function nameOf(character: string): string {
  return character === '\0' ? 'NUL' : character === ' ' ? 'a space' : character;
}

// Rules about the targets: two databases rather than one.

export function targetRules(root: MapNode): PlanFault[] {
  return [...sameDatabase(root), ...gateRules(root)];
}

/**
 * Only what the two texts say. That two different addresses lead to the same server is found when both are reached
 * (the gate compares the servers' identities).
 */
function sameDatabase(root: MapNode): PlanFault[] {
  const written = (target: string) => {
    const uri = nodeAt(root, 'targets', target, 'uri');
    return uri?.kind === 'scalar' && typeof uri.value === 'string' ? uri.value : undefined;
  };
  const database = (target: string) => textAt(root, 'targets', target, 'database');
  const staging = written('staging');
  if (staging === undefined || database('staging') === undefined) return [];
  if (staging !== written('production') || database('staging') !== database('production')) return [];
  const place = nodeAt(root, 'targets', 'production', 'uri')?.place ?? placeAt(root, 'targets', 'production');
  const related = [{ place: placeAt(root, 'targets', 'staging', 'uri'), message: 'staging is here' }];
  const message = 'staging and production are the same database';
  return [faultAt(place, 'targets', { message, expected: 'a staging database of its own', related })];
}

function gateRules(root: MapNode): PlanFault[] {
  const path = ['targets', 'production', 'gate', 'soak'];
  const soak = textAt(root, ...path);
  if (soak === undefined || parseDuration(soak) !== undefined) return [];
  const expected = 'a duration such as 15m or 1h30m';
  return [faultAt(nodeAt(root, ...path)!.place, 'time', { message: 'this is no duration', expected })];
}
