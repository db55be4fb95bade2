/**
 * The one door to the driver's internals: a command argument made of raw documents.
 *
 * OP_MSG carries the documents of an insert, update or delete as a section of their own ("kind 1"), outside the command
 * document. The driver has a class for that, which takes bytes as they are; its public API always decodes and encodes
 * again, which reorders keys and changes types (FAULTS.md, section 1.3). The driver's exact version is pinned in
 * package.json, and `test/target/raw-bytes.test.ts` compares bytes, so an upgrade that breaks this cannot pass.
 */
// @ts-expect-error the driver ships no types for its internals
import internals from 'mongodb/lib/cmap/commands.js';

interface DocumentSequence {
  /** `document` serves command monitoring only; `bytes` goes on the wire as it is. */
  push(document: object, bytes: Uint8Array): number;
}

const Sequence = internals.DocumentSequence as new (field: string) => DocumentSequence;

/**
 * `bytes` are whole documents, one after another: one push for all of them, so the cost does not grow with their number.
 * The value must be a direct field of the command.
 */
export function documentSequence(field: 'documents' | 'updates' | 'deletes', bytes: Buffer): object {
  const sequence = new Sequence(field);
  sequence.push({}, bytes);
  return sequence;
}
