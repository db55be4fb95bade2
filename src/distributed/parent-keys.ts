/**
 * The keys of parents that the slices of a level are asked about, as bytes: for each route that has parents, their number, then each key's length
 * and canonical bytes. A format: one side writes it, the other reads it.
 */
import { KeySet } from '../bson/key-set.ts';
import type { CollectionRoutes } from '../selection/routes.ts';
import type { Scope } from '../selection/slices/scope.ts';

const COUNT_BYTES = 4;
/** A length from here on stands in four bytes behind this one. */
const LONG = 255;
const FIRST_BYTES = 64 * 1024;

/** Those of these scopes, in their order. */
export function encodeKeys(scopes: Iterable<Scope>): Buffer {
  let bytes = Buffer.alloc(FIRST_BYTES);
  let length = 0;
  const room = (more: number): void => {
    if (length + more > bytes.length) bytes = Buffer.concat([bytes.subarray(0, length)], 2 * (length + more));
  };
  for (const { routes } of scopes) {
    for (const { parent } of routes) {
      if (parent === undefined) continue;
      const keys = KeySet.of(parent.keys);
      room(COUNT_BYTES);
      length = bytes.writeUInt32LE(keys.size, length);
      for (const key of keys.canonical()) {
        room(1 + 4 + key.length);
        length = bytes.writeUInt8(Math.min(key.length, LONG), length);
        if (key.length >= LONG) length = bytes.writeUInt32LE(key.length, length);
        length += key.copy(bytes, length);
      }
    }
  }
  return bytes.subarray(0, length);
}

/** Gives them to the routes of these collections, in the same order. Returns false where they are keys of other routes. */
export function decodeKeys(bytes: Buffer, collections: readonly CollectionRoutes[]): boolean {
  let at = 0;
  const left = (): number => bytes.length - at;
  for (const { routes, cyclic } of collections) {
    for (const { parent } of routes) {
      if (parent === undefined) continue;
      if (left() < COUNT_BYTES) return false;
      let count = bytes.readUInt32LE(at);
      at += COUNT_BYTES;
      for (; count > 0; count--) {
        if (left() < 1) return false;
        let length = bytes.readUInt8(at++);
        if (length === LONG) {
          if (left() < 4) return false;
          length = bytes.readUInt32LE(at);
          at += 4;
        }
        if (left() < length) return false;
        if (!cyclic) parent.keys.addCanonical(bytes.subarray(at, at + length));
        at += length;
      }
    }
  }
  return left() === 0;
}
