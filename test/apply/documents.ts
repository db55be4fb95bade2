/** Small documents for apply tests, and how a refusal is caught. */
import { type Document, serialize } from 'bson';
import * as assert from 'uvu/assert';
import { BSON } from '../../src/bson/types.ts';
import { RestorePlanError } from '../../src/errors.ts';
import { build } from '../target/every-type.ts';

/** `{_id: from, text}` … `{_id: to - 1, text}`. */
export function numbered(from: number, to: number, text = 'as in the backup'): Buffer[] {
  return Array.from({ length: to - from }, (_, i) =>
    build((b) => {
      b.element(BSON.INT32, '_id');
      b.int32(from + i);
      b.element(BSON.STRING, 'text');
      b.string(text);
    }),
  );
}

/** As a dump holds them. */
export function bytes(documents: readonly Document[]): Buffer[] {
  return documents.map((each) => Buffer.from(serialize(each)));
}

/** The RestorePlanError that an action ends with, after a look for secrets in it. */
export async function failure(action: Promise<unknown>): Promise<RestorePlanError> {
  try {
    await action;
  } catch (error) {
    if (!(error instanceof RestorePlanError)) throw error;
    const { message, hint, facts } = error;
    assert.not.match(JSON.stringify({ message, hint, facts }), 'canary');
    return error;
  }
  throw new Error('it did not fail');
}
