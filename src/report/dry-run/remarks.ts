/** What a reviewer should know beside the counts: collections to be created, odd targets, targets that were not compared. */
import { suggestionText } from '../../follow-ups/suggestions/suggestion.ts';
import { OUTCOMES, type Outcome } from '../../outcomes.ts';
import { foretold } from '../document-classes.ts';
import { showCounted } from '../quantities.ts';
import { countedParts } from '../sum.ts';
import { wrapped } from '../wrap.ts';
import type { DryRun, PageStyle } from './page.ts';

export function* remarks(run: DryRun, { paint, columns }: PageStyle): Generator<string> {
  const notes: string[] = [];
  for (const { target, database, server, collections } of run.comparisons) {
    notes.push(`${target} is the database ${database} of ${server}`);
    for (const collection of collections) {
      const where = `${target}.${collection.into}`;
      if (collection.wouldCreate !== undefined) {
        const indexes = showCounted(collection.wouldCreate.indexes, 'index', 'indexes');
        notes.push(`${where} does not exist; apply creates it with the backup's options and ${indexes}`);
      }
      const { replaced, stopped } = foretold([collection]);
      const notKept = countedParts<Outcome>(OUTCOMES, { replaced, stopped });
      if (notKept.length > 0) {
        notes.push(`${where}: ${notKept.join(', ')} (whenMatched: ${collection.whenMatched})`);
      }
    }
  }
  if (notes.length > 0) yield '';
  for (const note of notes) yield* wrapped(note, { columns, mark: '· ' });
  if (run.suggestions !== undefined && run.suggestions.length > 0) {
    yield '';
    yield paint.strong('Perhaps forgotten');
    for (const suggestion of run.suggestions) {
      yield* wrapped(suggestionText(suggestion), { columns, mark: '? ' });
    }
  }
  for (const { target, reason, hint } of run.notCompared) {
    yield '';
    yield* wrapped(`${target} was not compared: ${reason}`, { columns }).map(paint.odd);
    if (hint !== undefined) yield* wrapped(hint, { columns });
  }
}
