/** How to look at what was restored to staging, before production: command lines to copy. */
import { showValue } from '../bson/show.ts';
import { findId } from '../bson/stored-form.ts';
import { columnsOf } from './columns.ts';
import type { PageStyle } from './dry-run/page.ts';
import { neutral } from './neutral.ts';
import { shellWord } from './shell-word.ts';

export interface LookFacts {
  /** The plan as the operator named it. */
  readonly file: string;
  readonly database: string;
  /** Some restored documents, raw, by their collection in the target. */
  readonly examples: ReadonlyMap<string, readonly Buffer[]>;
}

/**
 * Lines without newlines. They are not wrapped, so that they can be copied; what mongosh reads is written in short lines, each of which
 * asks for the next, so that it can be pasted from a terminal of any width.
 */
export function* waysToLook(
  { file, database, examples }: LookFacts,
  { paint, columns }: PageStyle,
): Generator<string> {
  yield '';
  yield paint.strong('Look at staging before you go on.');
  yield 'Compare it again, in another terminal:';
  yield `  plan verify ${shellWord(file)} --target staging`;
  yield `  plan dry-run ${shellWord(file)} --target production`;
  yield 'Some of the restored documents, in mongosh on the staging server:';
  yield `  use ${neutral(database)}`;
  for (const [collection, documents] of examples) {
    const ids = documents.flatMap((document) => {
      const id = findId(document);
      return id === undefined ? [] : [showValue(id)];
    });
    const name = neutral(JSON.stringify(collection));
    const opening = `  db.getCollection(${name}).find({`;
    if (columnsOf(opening) <= columns) yield opening;
    else yield* ['  db.getCollection(', `    ${name}`, '  ).find({'];
    yield '    _id: { $in: EJSON.deserialize([';
    for (const id of ids) yield `    ${id},`;
    yield '    ]) }';
    yield '  })';
  }
}
