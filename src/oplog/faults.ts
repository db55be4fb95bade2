/** What cannot be followed: an oplog, or one document. */

/** An oplog, or a part of it, that cannot be followed: an unknown form, a gap, a dropped collection. Callers add which entry it was. */
export class OplogFault extends Error {
  override readonly name = 'OplogFault';
  readonly hint: string | undefined;
  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/** A document that cannot be rolled forward exactly; others can. The message goes on from its `_id`: "it has two fields of …". */
export class CannotRoll extends Error {
  override readonly name = 'CannotRoll';
}

/** What to do about a form that a later server writes. */
export const NEWER_SERVER = 'A newer restore-plan may know the entries of that server.';
