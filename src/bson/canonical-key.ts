/** Canonical keys as text, for a Map or a Set. */
import { CanonicalBytes } from './canonical-bytes.ts';
import { findId } from './stored-form.ts';
import type { RawValue } from './types.ts';

const shared = new CanonicalBytes();

/** The value's canonical bytes (see canonical-bytes.ts), one character per byte. */
export function canonicalKey(value: RawValue): string {
  const { bytes, length } = shared.set(value);
  return bytes.toString('latin1', 0, length);
}

/** That of a document's `_id`; empty for a document that has none. */
export function idKey(document: Buffer): string {
  const id = findId(document);
  return id === undefined ? '' : canonicalKey(id);
}
